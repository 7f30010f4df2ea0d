"""How much memory the process has resident: one read of ``/proc/self/statm``, else psutil."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.trackers._proc import ProcFolder, open_high

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ResidentMemory"]

_STATM = "/proc/self/statm"  # proc_pid_statm(5): the second field is resident pages


class ResidentMemory:
    """Reads the resident set size.

    The file is held open: opening it anew costs four times more, and raises an audit event that
    other trackers would have to look into.
    """

    def __init__(self) -> None:
        """Open the file on Linux; elsewhere ask psutil."""
        self._fd = self._pid = self._inode = -1
        self._kib_per_page = 0
        self._ask: Callable[[], int | None] = _ask_psutil()
        if sys.platform == "linux" and os.path.exists(_STATM):  # noqa: PTH110 - pathlib not needed
            self._kib_per_page = os.sysconf("SC_PAGE_SIZE") // 1024
            self._ask = self._read

    def measure(self) -> int | None:
        """Return KiB, or None where nobody can tell."""
        try:
            return self._ask()
        except (OSError, ValueError, IndexError):
            return None

    def _read(self) -> int | None:
        if not self._is_ours():
            self._open()  # somebody closed every descriptor that he found, or this is a child
        return int(os.pread(self._fd, 64, 0).split()[1]) * self._kib_per_page

    def _is_ours(self) -> bool:
        if self._pid != System.getpid():
            return False
        try:
            return System.fstat(self._fd).st_ino == self._inode
        except OSError:
            return False

    def _open(self) -> None:
        self._drop()
        self._fd = open_high(_STATM, os.O_RDONLY)
        self._pid, self._inode = System.getpid(), System.fstat(self._fd).st_ino
        ProcFolder.own_numbers.add(self._fd)

    def close(self) -> None:
        """Close the file, unless its number already belongs to somebody else."""
        self._drop()
        self._fd = self._pid = -1

    def _drop(self) -> None:
        """Close the old descriptor: a forked child has it as well, and it shows the parent."""
        with contextlib.suppress(OSError):
            if System.fstat(self._fd).st_ino == self._inode:
                System.close(self._fd)
        ProcFolder.own_numbers.discard(self._fd)


def _ask_psutil() -> Callable[[], int | None]:
    def ask() -> int | None:
        import psutil

        return int(psutil.Process().memory_info().rss) // 1024

    return ask
