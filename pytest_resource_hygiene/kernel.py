"""What is asked of the kernel once a test: in C where that was compiled, else with what Python has.

What Python has makes an object for each of a dozen facts of which one is wanted.
"""

from __future__ import annotations

import signal
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.compiled import speedups
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from collections.abc import Callable

    Probe = Callable[[], object]

__all__ = ["clock_probe", "descriptor_probe", "signals_probe", "state_of"]

# `signal` itself would make an enum of each number, which costs twenty times the call.
_fast: Any = sys.modules.get("_signal", signal)
_sigmask = getattr(_fast, "pthread_sigmask", None)
_getitimer = getattr(_fast, "getitimer", None)
_SIG_BLOCK = int(getattr(signal, "SIG_BLOCK", 0))


def state_of(fd: int) -> tuple[int, int, int]:
    """Return the inode, the size and the number of links of what a descriptor points to.

    Raises:
        OSError: it is not open.
    """
    status = System.fstat(fd)
    return status.st_ino, status.st_size, status.st_nlink


def descriptor_probe(fd: int) -> Probe:
    """Ask for the state of a descriptor, as `state_of` tells it."""
    return partial(state_of, fd)


def clock_probe(which: int) -> Probe:
    """Ask whether an interval timer runs, such as ``signal.ITIMER_REAL``."""
    return lambda: _getitimer is not None and _getitimer(which)[0] > 0


def signals_probe(
    getsignal: Callable[[int], object],
    numbers: tuple[int, ...],
    set_wakeup_fd: Callable[[int], int],
    put_back: Callable[[int], object],
    main_ident: int,
) -> Probe:
    """Ask for what answers to signals: handlers, the mask of this thread, the wakeup descriptor.

    Args:
        getsignal: returns the handler of a number. It may raise when it is compared, so its id is
            the answer, which stays its own while an entry of ours keeps it alive.
        numbers: the signals.
        set_wakeup_fd: returns the former descriptor, -1 for none. There is no way to read it but to
            take it out and put it back, and that only in the main thread.
        put_back: called with one that was taken out.
        main_ident: the ident of the main thread.
    """

    def wakeup_fd() -> int:
        if threading.get_ident() != main_ident:
            return -1
        fd = set_wakeup_fd(-1)
        if fd != -1:
            put_back(fd)
        return fd

    return lambda: (
        tuple(map(id, map(getsignal, numbers))),
        _sigmask(_SIG_BLOCK, ()) if _sigmask is not None else None,
        wakeup_fd(),
    )


if not TYPE_CHECKING and speedups is not None and sys.platform == "linux":
    state_of, descriptor_probe = speedups.state_of, speedups.descriptor_probe
    clock_probe, signals_probe = speedups.clock_probe, speedups.signals_probe
