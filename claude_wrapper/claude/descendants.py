"""What our children started: found by a mark and a folder that nobody else has, and ended.

A process group is not enough: a process may leave it, and its leader may be dead. All descendants
inherit the mark in their environment, and most stay in the private folder they were born in. Both
hold random names, so a stranger that merely got a recorded number has neither.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from claude_wrapper.claude.identity import RUN_VARIABLE, is_zombie

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["belongs", "end_descendants"]

PROC = Path("/proc")
# One that forks while we look is found by the next look.
LOOKS = 3


def end_descendants(mark: str, folder: Path) -> tuple[int, ...]:
    """Kill every living process that carries the mark, or works in the folder; their pids.

    It reads the environment of all processes of this user, which takes some milliseconds; call it
    in a thread where that matters.

    Args:
        mark: A run's id, or that of one child in it.
        folder: The private folder of that run or child.
    """
    ended: set[int] = set()
    for _ in range(LOOKS):
        found = {
            pid for pid in _others() if belongs(pid, mark, folder) and _kill(pid, mark, folder)
        }
        if not found - ended:
            break
        ended |= found
    return tuple(sorted(ended))


def _others() -> Iterator[int]:
    yield from (pid for pid in psutil.pids() if pid != os.getpid())


def belongs(pid: int, mark: str, folder: Path) -> bool:
    """Whether a process carries the mark, or works in the folder."""
    if (PROC / "self" / "environ").exists():
        return _has_mark(pid, mark) or _is_inside(pid, folder)
    with suppress(psutil.Error, OSError):
        value = psutil.Process(pid).environ().get(RUN_VARIABLE, "")
        return value == mark or value.startswith(f"{mark}.")
    return False


def _has_mark(pid: int, mark: str) -> bool:
    """Whether its environment names the run, or the run and a child of it."""
    with suppress(OSError):
        wanted = f"{RUN_VARIABLE}={mark}".encode()
        entries = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
        return any(entry == wanted or entry.startswith(wanted + b".") for entry in entries)
    return False


def _is_inside(pid: int, folder: Path) -> bool:
    """Whether its working folder is the private one, also when that has been removed."""
    with suppress(OSError):
        place = str((PROC / str(pid) / "cwd").readlink())
        return place == str(folder) or place.startswith(f"{folder}{os.sep}")
    return False


def _kill(pid: int, mark: str, folder: Path) -> bool:
    """Kill it; False when it has ended, and the number may be another's by now."""
    if not hasattr(os, "pidfd_open"):
        with suppress(psutil.Error):
            # psutil looks at the start time once more before it signals.
            psutil.Process(pid).kill()
            return True
        return False
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        # The descriptor is held before the last look: what is seen is what is hit.
        if is_zombie(pid) or not belongs(pid, mark, folder):
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
