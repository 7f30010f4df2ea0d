"""JSON schemas of clients, made fit for the CLI, which is stricter than JSON schema is. Pure.

A tool whose schema is not plainly that of an object makes the CLI drop *all* tools of the request.
A schema for the answer goes through Ajv 8 in its strict mode, which knows draft 7 and nothing else;
with one word more the CLI does without the schema. Both were seen with CLI 2.1.330, and both in
silence: the model is asked all the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from claude_wrapper.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_wrapper.model import ToolSpec

__all__ = ["answer_schema", "check_tool_names", "tool_schema"]

Schema = dict[str, Any]

ONE_SCHEMA = frozenset(
    ["additionalItems", "additionalProperties", "contains", "else", "if", "items", "not",
     "propertyNames", "then"]
)  # fmt: skip
MANY_SCHEMAS = frozenset(["allOf", "anyOf", "items", "oneOf"])
NAMED_SCHEMAS = frozenset(
    ["$defs", "definitions", "dependencies", "patternProperties", "properties"]
)
VALUES = frozenset(["const", "default", "enum", "examples"])
KNOWN = (
    ONE_SCHEMA | MANY_SCHEMAS | NAMED_SCHEMAS | VALUES
    | frozenset(
        ["$comment", "$id", "$ref", "contentEncoding", "contentMediaType", "deprecated",
         "description", "exclusiveMaximum", "exclusiveMinimum", "format", "maxItems", "maxLength",
         "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum",
         "multipleOf", "nullable", "pattern", "readOnly", "required", "title", "type",
         "uniqueItems", "writeOnly"]
    )
)  # fmt: skip
# Words of later drafts that check something, and that draft 7 has no other words for.
UNCHECKABLE = frozenset(
    ["$dynamicRef", "$recursiveRef", "maxContains", "minContains", "unevaluatedItems",
     "unevaluatedProperties"]
)  # fmt: skip

# The API's own rule; the CLI drops a tool that does not keep it, and says nothing.
PROPERTY_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")


def tool_schema(given: Schema | None, param: str) -> Schema:
    """The parameters of a tool as the schema of an object; none given takes no arguments.

    Args:
        given: What the client sent.
        param: Where that stood, for the error.

    Raises:
        InvalidRequestError: It is not the schema of an object.
    """
    schema = _of_an_object(given or {"properties": {}}, param)
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        raise _wrong(f"{param}.properties", "an object with a schema for each name")
    for name, one in properties.items():
        if not isinstance(one, dict | bool):
            raise _wrong(f"{param}.properties.{name}", "a schema, which is an object")
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise _wrong(f"{param}.required", "a list of names")
    return schema


def answer_schema(given: Schema, param: str) -> Schema:
    """The schema of an answer in the words of draft 7.

    Words that check nothing (`example`, `discriminator`, `x-…`) are left out, words of later drafts
    are said in the older way.

    Args:
        given: What the client sent.
        param: Where that stood, for the error.

    Raises:
        InvalidRequestError: It is not the schema of an object, or draft 7 cannot say it.
    """
    older: Schema = _in_draft_7(_of_an_object(given, param), param)
    return older


def check_tool_names(tools: Sequence[ToolSpec]) -> None:
    """Refuse two tools of one name: the CLI would offer one of them, and nobody knew which.

    Raises:
        InvalidRequestError: `param` is `tools`.
    """
    seen: set[str] = set()
    for tool in tools:
        if tool.name in seen:
            raise InvalidRequestError(
                f"tools: {tool.name!r} is there twice; each name must be unique", param="tools"
            )
        seen.add(tool.name)


def _of_an_object(given: Schema, param: str) -> Schema:
    kind = given.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if kind is not None and "object" not in kinds:
        raise _wrong(f"{param}.type", f"'object', not {str(kind)[:100]!r}")
    # Some libraries write null where they mean nothing.
    said = {
        name: value
        for name, value in given.items()
        if value is not None or name not in ("properties", "required")
    }
    _check_property_names(said.get("properties"), f"{param}.properties")
    return {**said, "type": "object"}


def _check_property_names(properties: object, param: str) -> None:
    """Those of the object itself; the API takes any name further in."""
    names = properties if isinstance(properties, dict) else ()
    wrong = next((name for name in names if not PROPERTY_NAME.fullmatch(str(name))), None)
    if wrong is not None:
        raise InvalidRequestError(
            f"{param}: the API takes no property called {wrong[:100]!r}; valid are names of "
            "A-Z a-z 0-9 _ . -, up to 64",
            param=param,
        )


def _in_draft_7(schema: Any, param: str) -> Any:
    if not isinstance(schema, dict):
        return schema
    for name in UNCHECKABLE & schema.keys():
        raise InvalidRequestError(
            f"{param}.{name}: answers are checked by JSON schema draft 7, which has no such word; "
            "leave it out",
            param=f"{param}.{name}",
        )
    older = {
        name: _inner(name, value, f"{param}.{name}")
        for name, value in _in_older_words(schema).items()
        if name in KNOWN and (value is not None or name in VALUES)
    }
    return {name: value for name, value in older.items() if _has_effect(name, older)}


def _inner(name: str, value: Any, param: str) -> Any:
    if name in NAMED_SCHEMAS and isinstance(value, dict):
        return {key: _in_draft_7(one, f"{param}.{key}") for key, one in value.items()}
    if name in MANY_SCHEMAS and isinstance(value, list):
        return [_in_draft_7(one, f"{param}.{index}") for index, one in enumerate(value)]
    return _in_draft_7(value, param) if name in ONE_SCHEMA else value


def _in_older_words(schema: Schema) -> Schema:
    older = dict(schema)
    if isinstance(older.get("prefixItems"), list):
        rest = older.pop("items", None)
        older["items"] = older.pop("prefixItems")
        older |= {} if rest is None else {"additionalItems": rest}
    for name in ("dependentRequired", "dependentSchemas"):
        if isinstance(older.get(name), dict):
            older["dependencies"] = {**older.get("dependencies", {}), **older[name]}
    for name, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        # Draft 4 and OpenAPI 3.0: a flag beside the limit.
        if isinstance(older.get(name), bool):
            is_exclusive = older.pop(name)
            if is_exclusive and limit in older:
                older[name] = older.pop(limit)
    return older


def _has_effect(name: str, schema: Schema) -> bool:
    """Whether a word says something beside the others; strict mode refuses those that do not."""
    if name == "if":
        return "then" in schema or "else" in schema
    if name in ("then", "else"):
        return "if" in schema
    if name == "additionalItems":
        return isinstance(schema.get("items"), list)
    return name != "nullable" or "type" in schema


def _wrong(param: str, valid: str) -> InvalidRequestError:
    return InvalidRequestError(f"{param}: must be {valid}", param=param)
