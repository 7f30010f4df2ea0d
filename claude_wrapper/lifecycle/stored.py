"""What an earlier run has left on disk, read back only if it is what it should be.

The files lie where a user, a full disk or another version can have changed them, and they are read
by whoever starts, stops or asks: a wrong type must be found here, and not where it is used.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

__all__ = ["from_json"]

T = TypeVar("T")


def from_json(kind: type[T], text: str) -> T:
    """Make a dataclass of JSON text; what it does not name is left out.

    Raises:
        ValueError: It is no JSON, or a value is missing or has another type than is declared.
    """
    read: T = _adapter(kind).validate_json(text, strict=True)  # type: ignore[arg-type]
    return read


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
