"""Where the functions that tests and fixtures consist of are written, through what wraps them."""

from __future__ import annotations

import inspect
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import CodeType

__all__ = ["code_of", "function_of", "place_of", "unwrapped"]


def function_of(item: Any) -> Any:
    """Return the function of a test item, or None for one that has none, such as a text file's."""
    return getattr(item, "obj", None) or getattr(item, "function", None)


def unwrapped(function: Any) -> Any:
    """Return what is behind decorators, a partial and a method."""
    with suppress(ValueError):  # a decorator that wraps itself
        function = inspect.unwrap(function)
    function = getattr(function, "func", function)  # functools.partial
    return getattr(function, "__func__", function)


def code_of(function: Any) -> CodeType | None:
    """Return the code of a function, or None for what is written in C or can merely be called."""
    return getattr(unwrapped(function), "__code__", None) if function is not None else None


def place_of(function: Any) -> tuple[str, int, str] | None:
    """Return file, line and name of a function as it is written."""
    code = code_of(function)
    return (code.co_filename, code.co_firstlineno, code.co_name) if code is not None else None
