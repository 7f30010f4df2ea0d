"""Drops what pytest still holds of a test that is over, as it will do in a moment itself.

Loaded with the first suspect: a clean run never needs it.
"""

from __future__ import annotations

import gc
import inspect
import logging
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from _pytest import threadexception, unraisableexception
from _pytest.logging import caplog_records_key

from pytest_resource_hygiene.engine.references.kept_in_modules import are_kept
from pytest_resource_hygiene.pytest_plugin.taken_arguments import PLAIN, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

__all__ = ["clear_contents", "clear_frames", "drop_arguments", "will_be_raised_again"]

# Up to pytest 8.3 there are none: such an exception is local to a context of pytest's.
_WAITING = [
    key
    for module, name in (
        (unraisableexception, "unraisable_exceptions"),
        (threadexception, "thread_exceptions"),
    )
    if (key := getattr(module, name, None)) is not None
]

_LAST_FAILURE = ("last_type", "last_value", "last_traceback", "last_exc")
# What exceptions of the interpreter's own keep beside their arguments.
_KEPT_BY_ERRORS = ("obj", "value", "object")
_MAY_GO_ON = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def drop_arguments(item: Any, leads: Callable[[Any], bool]) -> bool:
    """Drop a test's arguments, what the records of its log lead to, and its failure.

    ``runtestprotocol`` keeps the values of fixtures until the last report is written, and the
    exception of a failed test, with all that it and its frames lead to, until the next test is
    called. What a finalizer or a thread raised waits, with its frames, until the end of the teardown.

    Args:
        item: the test.
        leads: says whether an argument may keep a suspect.

    Returns:
        Whether there was any such error: what its frames have held may be a cycle.
    """
    take(item, leads)
    stash = getattr(item, "stash", None)
    if stash is not None:
        for records in stash.get(caplog_records_key, {}).values():
            for record in records:
                _put_record_in_words(record, leads)
    failure = getattr(sys, "last_value", None)
    for name in _LAST_FAILURE:
        if hasattr(sys, name):
            delattr(sys, name)
    clear_frames(failure)
    stash = item.config.stash if item is not None else {}
    waiting = [meta for key in _WAITING for meta in list(stash.get(key, ()))]
    for meta in waiting:
        clear_frames(getattr(meta, "exc_value", None))  # its text is written already
    return bool(waiting)


def _put_record_in_words(record: logging.LogRecord, leads: Callable[[Any], bool]) -> None:
    """Have a record say the same, and keep no suspect: a hook may want to read it."""
    leading = [
        name
        for name, value in vars(record).items()
        if type(value) not in PLAIN and value != () and leads(value)
    ]
    if not leading or are_kept([record]):
        return
    if record.exc_info and "exc_info" in leading:
        with suppress(Exception):  # anybody's exception
            record.exc_text = record.exc_text or logging.Formatter().formatException(
                record.exc_info
            )
        record.exc_info = None
    with suppress(Exception):  # anybody's words
        record.msg = record.getMessage()
    record.args = None
    for name in leading:
        vars(record)[name] = _in_words(vars(record)[name])


def clear_frames(error: BaseException | None) -> None:
    """Drop the locals of the frames of an exception, of those that led to it, and of its group.

    But not of one that somebody keeps, who may want to look at them.
    """
    related = _related(error)
    if not are_kept(related):
        _clear_frames_of(related)


def _clear_frames_of(related: list[BaseException]) -> None:
    tracebacks = [one.__traceback__ for one in related]
    frames = [frame for one in tracebacks for frame, _ in traceback.walk_tb(one)]
    suspended = _suspended(frames)
    for frame in frames:
        if id(frame) in suspended:
            continue
        with suppress(RuntimeError):  # of a generator that is running
            frame.clear()
            _ = frame.f_locals  # up to Python 3.12 a copy, made when somebody asked; made anew


def _suspended(frames: Iterable[FrameType]) -> set[int]:
    """Return the ids of those that will go on: of a worker that caught what its job raised.

    To clear such a frame closes its generator or coroutine. Only the generator itself knows its frame,
    and not the other way round.
    """
    candidates = [frame for frame in frames if frame.f_code.co_flags & _MAY_GO_ON]
    if not candidates:
        return set()
    found = set()
    for thing in gc.get_referrers(*candidates):
        if inspect.isgenerator(thing):
            found.add(id(thing.gi_frame))
        elif inspect.iscoroutine(thing):
            found.add(id(thing.cr_frame))
        elif inspect.isasyncgen(thing):
            found.add(id(thing.ag_frame))
    return found


def clear_contents(error: BaseException | None) -> None:
    """Put words in the place of what an exception leads to that is more than words and numbers.

    For one that pytest holds on its own stack while it tears down; it is written out already.
    """
    related = _related(error)
    if are_kept(related):  # a constant of a module, that somebody may raise again
        return
    _clear_frames_of(related)
    for one in related:
        one.args = tuple(map(_in_words, one.args))
        for name, value in list(vars(one).items()):
            vars(one)[name] = value if name == "__notes__" else _in_words(value)
        for name in _KEPT_BY_ERRORS:
            with suppress(AttributeError, TypeError):
                setattr(one, name, _in_words(getattr(one, name)))


def will_be_raised_again(error: BaseException, definitions: Iterable[Any]) -> bool:
    """Return whether a wider fixture has failed by this: so will each test that asks for it.

    Args:
        error: what a test's setup has failed by.
        definitions: pytest's own objects for the wider fixtures that have not ended.
    """
    results = [one.cached_result for one in definitions]
    failures = [one[2][0] for one in results if one is not None and one[2] is not None]
    return any(one is failure for one in _related(error) for failure in failures)


def _related(error: BaseException | None) -> list[BaseException]:
    """Return an exception, those that led to it, and those of its group."""
    pending: list[BaseException | None] = [error]
    found: dict[int, BaseException] = {}
    while pending:
        one = pending.pop()
        if one is None or id(one) in found:
            continue
        found[id(one)] = one
        pending += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            pending += one.exceptions
    return list(found.values())


class _Words(str):
    """What a value said of itself."""

    __slots__ = ("words",)

    words: str

    def __repr__(self) -> str:
        return self.words


def _in_words(value: Any) -> Any:
    if type(value) in PLAIN:
        return value
    try:
        words = _Words(str(value))
        words.words = repr(value)
    except Exception:  # noqa: BLE001 - anybody's class
        return None
    return words
