"""Descriptors kept for ourselves: a test that has used up all that there are is to be judged as well.

To list what is open, to load what a first finding needs, and to show its line takes a few numbers;
where the process is at its limit (``RLIMIT_NOFILE``), there are none left.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.trackers._proc import FLOOR, ProcFolder, duplicate

__all__ = ["SpareDescriptors"]

_COUNT = 6
_LOW = 16  # half of them are below a limit that a test has lowered for itself


class SpareDescriptors:
    """Descriptors of the null device, closed when they are needed."""

    def __init__(self) -> None:
        """Take them, where there are any."""
        self._held: dict[int, int] = {}  # number and inode: others may close what they find
        self.is_given = False
        self.take()

    def take(self) -> None:
        """Have them, as far as the process may open any."""
        if os.name != "posix":
            return
        self.is_given = False
        with suppress(OSError):
            low = System.open_fd(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            inode = System.fstat(low).st_ino
            try:
                while len(self._held) < _COUNT:
                    floor = FLOOR if len(self._held) < _COUNT // 2 else _LOW
                    fd = duplicate(low, floor, _LOW)
                    self._held[fd] = inode
                    ProcFolder.own_numbers.add(fd)
            finally:
                System.close(low)

    def give_if_short(self) -> None:
        """Close them if nothing can be opened any more."""
        if not self._held:
            return
        fd, inode = next(iter(self._held.items()))
        try:
            if System.fstat(fd).st_ino == inode:
                # To open anything would be an event that is heard, and taken for the test's.
                System.close(duplicate(fd, 3))
        except OSError as error:
            if error.errno == errno.EMFILE:
                self.give()

    def give(self) -> None:
        """Close them."""
        self.is_given = True
        while self._held:
            fd, inode = self._held.popitem()
            ProcFolder.own_numbers.discard(fd)
            with suppress(OSError):
                if System.fstat(fd).st_ino == inode:
                    System.close(fd)
