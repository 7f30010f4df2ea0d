"""Reads and sets what answers to signals: handlers, mask and wakeup descriptor, by functions in C.

They skip the conversion to enums, which costs twenty times the call; and nobody patches them: what
is put back really is.
"""

from __future__ import annotations

import functools
import signal
import sys
import threading
from threading import get_ident
from typing import Any

from pytest_resource_hygiene.kernel import signals_probe
from pytest_resource_hygiene.objects import is_a
from pytest_resource_hygiene.system import System

__all__ = [
    "COMMON",
    "MAIN",
    "blocked",
    "caught_signals",
    "getsignal",
    "is_constant",
    "read_slots",
    "set_handler",
    "set_mask",
    "set_wakeup_fd",
    "take_lost_wakeup_fd",
    "wakeup_fd",
]

_fast: Any = sys.modules.get("_signal", signal)
getsignal = _fast.getsignal
set_handler = _fast.signal
set_wakeup_fd = _fast.set_wakeup_fd
set_mask: Any = getattr(_fast, "pthread_sigmask", None)
"""``pthread_sigmask``, or None where there are no masks."""

MAIN = threading.main_thread().ident
"""The only thread in which Python sets handlers."""

COMMON = tuple(
    int(number)
    for name in ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM", "CHLD", "PIPE", "BREAK")
    if (number := getattr(signal, f"SIG{name}", None)) is not None
)
"""Signals that are read each time, for they may be set past the function that records."""

_set_again = functools.partial(set_wakeup_fd, warn_on_full_buffer=False)
_lost: list[int] = []  # the wakeup descriptor, if it could not be put back: it is closed by now


def _put_back(fd: int) -> None:
    try:
        _set_again(fd)
    except (OSError, ValueError):
        _lost[:] = [fd]


read_slots = signals_probe(getsignal, COMMON, set_wakeup_fd, _put_back, MAIN or 0)
"""Returns what changes with the slots of the common signals, the mask or the wakeup descriptor."""

_SIG_BLOCK = int(getattr(signal, "SIG_BLOCK", 0))


def wakeup_fd() -> int:
    """Return the descriptor that is written to at each signal; -1 for none, or in another thread."""
    # There is no way to read it but to take it out and put it back, in the main thread.
    if get_ident() != MAIN:
        return -1
    fd = set_wakeup_fd(-1)
    if fd != -1:
        _lost.clear()
        _put_back(fd)
    return int(_lost[0]) if fd == -1 and _lost else int(fd)


def take_lost_wakeup_fd() -> int:
    """Return a wakeup descriptor that could not be put back, once; else -1."""
    return _lost.pop() if _lost else -1


def blocked() -> frozenset[int] | None:
    """Return the signals that are blocked in this thread; None where there are no masks."""
    return frozenset(map(int, set_mask(_SIG_BLOCK, ()))) if set_mask is not None else None


def caught_signals() -> frozenset[int]:
    """Return the signals that a handler answers to, whoever set it; empty where none can tell.

    The mask is that of Linux, ``proc_pid_status(5)``: bit 0 stands for signal 1.
    """
    try:
        text = System.read("/proc/self/status")
    except OSError:
        return frozenset()
    line = text.partition(b"\nSigCgt:")[2].partition(b"\n")[0]
    bits = int(line, 16) if line.strip() else 0
    return frozenset(number for number in range(1, 65) if bits >> (number - 1) & 1)


def is_constant(handler: Any) -> bool:
    """Return whether it is none, but the default or to be ignored; a handler may refuse to compare."""
    return is_a(handler, int) and handler in {signal.SIG_DFL, signal.SIG_IGN}
