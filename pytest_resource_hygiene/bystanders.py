"""Tells who besides the thread that asks could do anything in this process.

Where there is nobody, what is open now is open after any wait.
"""

from __future__ import annotations

import _thread
import signal

from pytest_resource_hygiene.system import System

__all__ = ["alarm_within", "has_children", "other_threads"]

_TASKS = "/proc/self/task"  # has a folder for each thread of the kernel's, also those of C code
_LINKS_OF_NONE = 2  # of any folder without folders in it


def other_threads() -> int:
    """Return the number of other threads: of Python alone, where the kernel does not tell."""
    in_python: int = _thread._count()  # noqa: SLF001 - those of threading and of _thread itself
    try:
        in_all = System.stat(_TASKS).st_nlink - _LINKS_OF_NONE
    except OSError:
        return in_python
    return max(in_python, in_all - 1)


def has_children() -> bool:
    """Return whether any child may be there, or has not been waited for: it may send a signal."""
    try:
        # Of all threads: a thread that has ended has left its children to another.
        tasks = System.listdir(_TASKS)
        return any(System.read(f"{_TASKS}/{task}/children") for task in tasks)
    except OSError:
        return True


def alarm_within(seconds: float) -> bool:
    """Return whether a clock sends a signal in time, whose handler may do anything."""
    if not hasattr(signal, "getitimer"):
        return False
    return 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= seconds
