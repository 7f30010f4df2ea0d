"""What is asked of the kernel once a test: in C where that was compiled, else with what Python has.

What Python has makes an object for each of a dozen facts of which one is wanted.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.compiled import speedups
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["blocked_signals", "is_armed", "state_of"]

# `signal` itself would make an enum of each number, which costs twenty times the call.
_fast: Any = sys.modules.get("_signal", signal)
_sigmask = getattr(_fast, "pthread_sigmask", None)
_getitimer = getattr(_fast, "getitimer", None)
_SIG_BLOCK = int(getattr(signal, "SIG_BLOCK", 0))


def _blocked_signals() -> object:
    return _sigmask(_SIG_BLOCK, ()) if _sigmask is not None else None


def _is_armed(which: int) -> bool:
    return _getitimer is not None and _getitimer(which)[0] > 0


def _state_of(fd: int) -> tuple[int, int, int]:
    status = System.fstat(fd)
    return status.st_ino, status.st_size, status.st_nlink


# Changes with the mask of blocked signals of this thread; the same without masks.
blocked_signals: Callable[[], object] = _blocked_signals
# Whether an interval timer runs.
is_armed: Callable[[int], bool] = _is_armed
# The inode, the size and the number of links of what a descriptor points to.
state_of: Callable[[int], tuple[int, int, int]] = _state_of

if speedups is not None and sys.platform == "linux":
    blocked_signals = speedups.blocked_signals
    is_armed = speedups.is_armed
    state_of = speedups.state_of
