"""Drops what pytest still holds of a test that is over, as it will do in a moment itself.

Loaded with the first suspect: a clean run never needs it.
"""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from typing import Any

from _pytest import threadexception, unraisableexception
from _pytest.logging import caplog_records_key

__all__ = ["clear_frames", "drop_arguments"]

# Up to pytest 8.3 there are none: such an exception is local to a context of pytest's.
_WAITING = [
    key
    for module, name in (
        (unraisableexception, "unraisable_exceptions"),
        (threadexception, "thread_exceptions"),
    )
    if (key := getattr(module, name, None)) is not None
]


def drop_arguments(item: Any) -> bool:
    """Drop a test's arguments, the records of its log, and the frames of its failure.

    ``runtestprotocol`` keeps the values of fixtures until the last report is written, and the frames
    of a failed test, with all their locals, until the next test is called. What a finalizer or a
    thread raised waits, with its frames, until the end of the teardown.

    Returns:
        Whether there was any such error: what its frames have held may be a cycle.
    """
    arguments = getattr(item, "funcargs", None)
    if isinstance(arguments, dict):
        arguments.clear()
    stash = getattr(item, "stash", None)
    if stash is not None:
        for records in stash.get(caplog_records_key, {}).values():
            records.clear()
    clear_frames(getattr(sys, "last_value", None))
    stash = item.config.stash if item is not None else {}
    waiting = [meta for key in _WAITING for meta in list(stash.get(key, ()))]
    for meta in waiting:
        clear_frames(getattr(meta, "exc_value", None))  # its text is written already
    return bool(waiting)


def clear_frames(error: BaseException | None) -> None:
    """Drop the locals of the frames of an exception, of those that led to it, and of its group."""
    pending, seen = [error], set()
    while pending:
        one = pending.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        for frame, _ in traceback.walk_tb(one.__traceback__):
            with suppress(RuntimeError):  # of a generator that is running
                frame.clear()
                _ = frame.f_locals  # up to Python 3.12 a copy, made when somebody asked; made anew
        pending += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            pending += one.exceptions
