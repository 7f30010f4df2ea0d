"""Where a call is written, from what a creation record keeps: code and offset.

Offsets alone tell too much: Python 3.11 runs a call of a built-in function at one instruction, and
from the eighth time on at another (``PRECALL`` and ``CALL``), so one line of a loop has two.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import CodeType

    from pytest_resource_hygiene.audit import Stack

__all__ = ["are_one_place", "line_of", "position_of"]


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


def are_one_place(stacks: Collection[Stack]) -> bool:
    """Return whether the same lines, one called by the other, led to all of these."""
    distinct = set(stacks)
    return len(distinct) < 2 or len(set(map(_lines, distinct))) == 1


def _lines(stack: Stack) -> tuple[Any, ...]:
    calls = zip(stack[::2], stack[1::2], strict=True)
    return tuple((code, line_of(code, offset)) for code, offset in calls)
