"""Cheap questions to Linux' ``/proc``: folders whose status says how much is in them."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pytest_resource_hygiene import forks
from pytest_resource_hygiene.kernel import descriptor_probe, state_of
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FLOOR",
    "LINKS",
    "SIZE",
    "ProcFolder",
    "duplicate",
    "epoll_waited_for",
    "open_high",
    "start_time",
]

_INODE, SIZE, LINKS = range(3)  # of a `state_of`

# epoll_wait, epoll_pwait and epoll_pwait2, by the numbers that the kernel gives them.
_EPOLL_WAITS = {"x86_64": (b"232", b"281", b"441"), "aarch64": (b"22", b"441")}
# Above what most tests count with, and below 256: so many the kernel has room for from the
# beginning, and where threads run it takes ten milliseconds to make more.
FLOOR = 240


class ProcFolder:
    """A folder under ``/proc/self``, held open, because resolving its path costs three times more.

    Args:
        path: the folder.
        fact: which number of its state is wanted, `SIZE` or `LINKS`; 0 means that this kernel does
            not say.
    """

    own_numbers: ClassVar[set[int]] = set()  # never to be mistaken for somebody's leak

    def __init__(self, path: str, fact: int) -> None:
        """Open it if this is Linux."""
        self._path = path
        self._fact = fact
        self._fd = -1
        self._inode = -1
        self._probe: tuple[int, Callable[[], object]] | None = None
        self._usable = sys.platform == "linux" and Path(path).is_dir()
        if self._usable:
            self._open()
            # A forked child would look at its parent through the inherited descriptor.
            forks.after_in_child(self._reopen)

    def measure(self) -> int | None:
        """Return the number, or None where it cannot be had this way (about 1 µs)."""
        if not self._usable:
            return None
        try:
            state = state_of(self._fd)
        except OSError:
            return self._measure_again()
        return state[self._fact] if state[_INODE] == self._inode else self._measure_again()

    def probe(self) -> Callable[[], object] | None:
        """Return a function in C whose answer changes with the number, or None."""
        if not self._usable:
            return None
        if self._probe is None or self._probe[0] != self._fd:
            self._probe = self._fd, descriptor_probe(self._fd)
        return self._probe[1]

    def _measure_again(self) -> int | None:
        # Somebody closed every descriptor that he found: take a new one.
        self.own_numbers.discard(self._fd)
        self._fd = -1
        self._open()
        return self.measure() if self._fd >= 0 else None

    def _open(self) -> None:
        self._usable = False
        with contextlib.suppress(OSError):
            self._fd = open_high(self._path, os.O_PATH | os.O_DIRECTORY)
            state = state_of(self._fd)
            self._inode = state[_INODE]
            self.own_numbers.add(self._fd)
            self._usable = state[self._fact] > 0

    def _reopen(self) -> None:
        self.close()
        self._open()

    def close(self) -> None:
        """Close the folder, unless its number already belongs to somebody else."""
        if self._fd >= 0:
            self.own_numbers.discard(self._fd)
            with contextlib.suppress(OSError):
                if System.fstat(self._fd).st_ino == self._inode:
                    System.close(self._fd)
        self._fd = -1
        self._usable = False  # who looks once more, looks without it


def open_high(path: str, flags: int) -> int:
    """Open something of our own under a number that tests do not count with; no child inherits it.

    Args:
        path: what to open.
        flags: as of ``os.open``.

    Raises:
        OSError: it cannot be opened, or there is no number left.
    """
    low = System.open_fd(path, flags | os.O_CLOEXEC)
    try:
        return duplicate(low, FLOOR)
    finally:
        System.close(low)


def duplicate(fd: int, floor: int, least: int = 3) -> int:
    """Duplicate a descriptor to the first free number from a floor on; no child inherits it.

    Args:
        fd: the descriptor.
        floor: where to look.
        least: where to look if the limit of the process is below the floor.

    Raises:
        OSError: there is no number left.
    """
    try:
        return System.control_fd(fd, System.F_DUPFD_CLOEXEC, floor)
    except OSError:
        return System.control_fd(fd, System.F_DUPFD_CLOEXEC, least)


def epoll_waited_for(tid: int) -> int | None:
    """Return the number of the epoll for which a thread of ours waits, if it does.

    From ``/proc/self/task/.../syscall``, see proc_pid_syscall(5): the call's number and its arguments.
    Not from the frames of the thread: to ask one for its variables changes what they keep alive.
    """
    try:
        call, *arguments = System.read(f"/proc/self/task/{tid}/syscall").split()
    except (OSError, ValueError):  # it has ended, or the kernel does not tell
        return None
    is_wait = call in _EPOLL_WAITS.get(os.uname().machine, ())
    return int(arguments[0], 16) if is_wait and arguments else None


def start_time(stat_path: str) -> int:
    """Return the start time in clock ticks since boot from a ``stat`` file of a task or process.

    Field 22 of proc_pid_stat(5). The second field, the name, may hold spaces and parentheses, so
    counting starts behind the last parenthesis.

    Raises:
        OSError: it has ended.
    """
    return int(System.read(stat_path).rpartition(b")")[2].split()[19])
