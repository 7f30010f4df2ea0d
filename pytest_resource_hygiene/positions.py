"""Where a call is written, from what a creation record keeps: code and offset.

Offsets alone tell too much: Python 3.11 runs a call of a built-in function at one instruction, and
from the eighth time on at another (``PRECALL`` and ``CALL``), so one line of a loop has two.
"""

from __future__ import annotations

import opcode
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import CodeType

    from pytest_resource_hygiene.audit import Stack

__all__ = ["are_one_place", "is_entered", "line_of", "position_of"]

# Of CPython 3.11 to 3.13; where a `with` statement is compiled to something else, none is found.
_WITH = {opcode.opmap.get("BEFORE_WITH"), opcode.opmap.get("BEFORE_ASYNC_WITH")}
_CACHE, _CALL, _PRECALL, _RETURN = map(
    opcode.opmap.get, ("CACHE", "CALL", "PRECALL", "RETURN_VALUE")
)


def line_of(code: CodeType, offset: int) -> int:
    """Return the line of an instruction, or the first line of the code where it is unknown."""
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return line
    return code.co_firstlineno


def position_of(code: CodeType, offset: int) -> tuple[int | None, ...]:
    """Return first and last line and column of the call at an offset, as far as they are known.

    ``open(a), os.pipe()`` on one line are two calls; two instructions of one call are one.
    """
    return next(islice(code.co_positions(), offset // 2, None), (line_of(code, offset),))


def is_entered(stack: Stack) -> bool:
    """Return whether what a call made is what a `with` statement enters, and so will close.

    The call may stand in a function that returns the thing at once, as `pathlib.Path.open` does.
    """
    for code, offset in zip(stack[::2], stack[1::2], strict=True):
        following = _following(code.co_code, offset)
        if following != _RETURN:
            return following in _WITH
    return False


def _following(instructions: bytes, offset: int) -> int | None:
    """Return the instruction after a call, which is one or two, with caches behind each."""
    parts = (_CACHE, _CALL) if instructions[offset] == _PRECALL else (_CACHE,)
    return next((one for one in instructions[offset + 2 :: 2] if one not in parts), None)


def are_one_place(stacks: Collection[Stack]) -> bool:
    """Return whether the same lines, one called by the other, led to all of these."""
    distinct = set(stacks)
    return len(distinct) < 2 or len(set(map(_lines, distinct))) == 1


def _lines(stack: Stack) -> tuple[Any, ...]:
    calls = zip(stack[::2], stack[1::2], strict=True)
    return tuple((code, line_of(code, offset)) for code, offset in calls)
