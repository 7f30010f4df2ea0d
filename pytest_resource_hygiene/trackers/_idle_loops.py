"""Tells whether time can change anything on a loop that nobody runs but us.

A task that sleeps for half a minute, or waits for what nobody will send, is as pending after the
grace period as before it. Where that can be known, nobody has to wait to see it.
"""

from __future__ import annotations

import _thread
import signal
from typing import Any

from pytest_resource_hygiene.system import System

__all__ = ["can_change"]

_TASKS = "/proc/self/task"  # has a folder for each thread of the kernel's, also those of C code
_LINKS_OF_ONE = 3


def can_change(loop: Any, seconds: float) -> bool:
    """Return whether anything may happen on an idle loop within so many seconds.

    Only what could call it is asked for: a callback that is due, a timer, a descriptor, a signal or
    another thread. Of a loop that cannot be looked into, anything may be expected.

    Args:
        loop: an event loop of asyncio's that does not run.
        seconds: how long somebody is about to wait for it.
    """
    selector = getattr(loop, "_selector", None)
    ready, timers = getattr(loop, "_ready", None), getattr(loop, "_scheduled", None)
    if selector is None or ready is None or timers is None:
        return True
    if ready or getattr(loop, "_signal_handlers", None) or _has_threads() or _alarms_in(seconds):
        return True
    own = getattr(loop, "_ssock", None)  # by which other threads wake it
    if any(key.fileobj is not own and key.fileobj != _number(own) for key in _watched(selector)):
        return True
    end = loop.time() + seconds
    return any(timer.when() <= end for timer in timers if not timer.cancelled())


def _has_threads() -> bool:
    if _thread._count():  # noqa: SLF001 - those of threading and of _thread itself
        return True
    try:
        return System.stat(_TASKS).st_nlink > _LINKS_OF_ONE
    except OSError:
        return False


def _alarms_in(seconds: float) -> bool:
    """Return whether a clock sends a signal in time, whose handler may do anything."""
    if not hasattr(signal, "getitimer"):
        return False
    return 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= seconds


def _watched(selector: Any) -> list[Any]:
    return list((selector.get_map() or {}).values())


def _number(sock: Any) -> int:
    return int(sock.fileno()) if sock is not None else -1
