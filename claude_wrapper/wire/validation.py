"""Request bodies checked against a model, with the wrong field named as the client wrote it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from claude_wrapper.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

__all__ = ["MOST_TOKENS", "Lenient", "inner_extras", "validate"]

# Far beyond every model, and still a number that every program along the way can hold.
MOST_TOKENS = 2**31 - 1
# Messages or tools, with their parts: a million tiny ones fit into a body, and would hold everybody
# else up for seconds while they are checked.
MOST_ITEMS = 10_000

# Of what the client sent, in an error.
SHOWN = 100
WITHOUT_VALUE = frozenset(["missing", "union_tag_not_found"])


class Lenient(BaseModel):
    """A part of a request; fields that are not known are kept, so that they can be named."""

    model_config = ConfigDict(extra="allow")


def inner_extras(part: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The unknown fields of a part and of all within it, each with its path without numbers.

    Args:
        part: A model, or a list of such.
        path: Where it stands, such as `messages`.
    """
    if isinstance(part, list | tuple):
        for one in part:
            yield from inner_extras(one, path)
    elif isinstance(part, Lenient):
        if part.model_extra:
            yield path, part.model_extra
        for name in type(part).model_fields:
            yield from inner_extras(getattr(part, name), f"{path}.{name}")


_Body = TypeVar("_Body", bound=BaseModel)


def validate(model: type[_Body], document: Any, *, example: str) -> _Body:
    """Check a body.

    Args:
        model: What it must be.
        document: The parsed JSON.
        example: What a body looks like, for who sent something that is not an object.

    Raises:
        InvalidRequestError: A field is wrong; `param` says which.
    """
    if not isinstance(document, dict):
        raise InvalidRequestError(f"the body must be a JSON object like {example}")
    for name, items in document.items():
        if isinstance(items, list) and _has_too_many(items):
            raise InvalidRequestError(
                f"{name} has more than {MOST_ITEMS:,} items, their parts included; send fewer",
                param=name,
            )
    try:
        return model.model_validate(document, strict=True)
    except ValidationError as error:
        raise _explain(error, document) from None


def _has_too_many(items: list[Any]) -> bool:
    count = len(items)
    if count <= MOST_ITEMS:
        parts = (one for item in items if isinstance(item, dict) for one in item.values())
        count += sum(len(one) for one in parts if isinstance(one, list))
    return count > MOST_ITEMS


def _explain(error: ValidationError, document: dict[str, Any]) -> InvalidRequestError:
    # Every variant of a union complains. The one that got furthest is the one that was meant.
    found = [
        (_real_path(one["loc"], document, is_missing=one["type"] == "missing"), one)
        for one in error.errors(include_url=False)
    ]
    # A variant whose type fits went further than those that wanted another one.
    path, best = max(found, key=lambda pair: (len(pair[0]), not pair[1]["type"].endswith("_type")))
    path += _tag(best)
    valid = [_valid(best)]
    if best["type"].endswith("_type"):
        valid = list(dict.fromkeys(_valid(one) for where, one in found if where == path))
    param = ".".join(str(part) for part in path) or None
    text = f"{param or 'the body'}{_given(best)}{', or '.join(valid)}"
    return InvalidRequestError(text, param=param)


def _tag(error: ErrorDetails) -> list[int | str]:
    """The field that says of which kind an object is, where that is what is wrong."""
    tag = error.get("ctx", {}).get("discriminator")
    return [] if tag is None else [str(tag).strip("'")]


def _given(error: ErrorDetails) -> str:
    """What the field holds, where that is short and no object."""
    given = error.get("ctx", {}).get("tag", error["input"])
    if error["type"] in WITHOUT_VALUE:
        return " "
    if not isinstance(given, str | int | float):
        return ": "
    shown = repr(given[:SHOWN]) if isinstance(given, str) else json.dumps(given)
    return f" is {shown[:SHOWN]}; "


def _valid(error: ErrorDetails) -> str:
    """What it must be, in the words of JSON and not of Python."""
    if error["type"] == "union_tag_invalid":
        return f"valid are {error['ctx']['expected_tags']}"
    if error["type"] in {"model_type", "model_attributes_type", "dict_type"}:
        return "must be an object"
    if error["type"] in WITHOUT_VALUE:
        return "is missing"
    words = re.sub(r"^[A-Z][a-z]+ should\b", "must", error["msg"])
    words = words.replace("a valid integer", "an integer").replace("a valid ", "a ")
    return words.partition(" after validation")[0]


def _real_path(
    location: tuple[int | str, ...], document: Any, *, is_missing: bool
) -> list[int | str]:
    """The location without the names of union variants, which stand for nothing in the body."""
    path: list[int | str] = []
    here = document
    for part in location:
        if _leads_on(here, part):
            here = here[part]
            path.append(part)
    if is_missing:
        path.append(location[-1])
    return path


def _leads_on(here: Any, part: int | str) -> bool:
    if isinstance(here, dict):
        return part in here
    return isinstance(here, list) and isinstance(part, int) and part < len(here)
