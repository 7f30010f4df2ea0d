"""The table of open descriptors, shared by the kinds `fds` and `sockets`.

Identity is what a descriptor *points to*, never its number alone: a test that closes one and opens
another keeps the count, and the kernel hands out the lowest free number again.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import weakref
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from pytest_resource_hygiene.recorder import Creation, Recorder
    from pytest_resource_hygiene.tracker import Moment

__all__ = ["Descriptors"]

_PROC = "/proc/self/fd"
_DEV = "/dev/fd"
_MAX_RECORDS = 20_000
_OWN_FD_FLOOR = 900  # far above what tests count with, below the usual limit of 1,024

# No audit event exists for these; each returns one or two new descriptors.
_UNAUDITED = ("pipe", "pipe2", "dup", "dup2", "openpty", "eventfd", "memfd_create", "pidfd_open")


class Descriptors:
    """Counts cheaply, lists exactly, and remembers who opened what."""

    def __init__(self, recorder: Recorder) -> None:
        """Hook the recorder; one instance serves both kinds, through `Recorder.service`."""
        self.events = 0
        self.opened: deque[Any] = deque(maxlen=_MAX_RECORDS)
        self.sockets: deque[Any] = deque(maxlen=_MAX_RECORDS)
        self.made: dict[int, Creation] = {}
        self._directory = _OwnDirectory(_PROC)
        self._site = recorder.site
        recorder.on("open", self._note_open)
        recorder.on("os.scandir", self._note_open)
        recorder.on("sqlite3.connect", self._note_open)
        recorder.on("socket.__new__", self._note_socket)
        recorder.on("mmap.__new__", self._note_mapping)
        for name in _UNAUDITED:
            recorder.wrap_result(os, name, self._note_made)

    def close(self) -> None:
        """Close the one descriptor that this keeps."""
        self._directory.close()

    def _note_open(self, args: tuple[Any, ...]) -> None:
        if args[0].__class__ is not int:  # an int: a descriptor that exists already
            self.events += 1
            self.opened.append(self._site(args[0]))

    def _note_mapping(self, args: tuple[Any, ...]) -> None:
        if args[0] >= 0:  # mmap keeps a duplicate of the descriptor
            self.events += 1
            self.opened.append(self._site(_target(args[0])))

    def _note_socket(self, args: tuple[Any, ...]) -> None:
        self.events += 1
        try:
            self.sockets.append(self._site(weakref.ref(args[0])))
        except TypeError:  # a bare _socket.socket has no weak references
            self.sockets.append(self._site(None))

    def _note_made(self, result: Any, creation: Creation) -> None:
        self.events += 1
        for fd in result if isinstance(result, tuple) else (result,):
            self.made[fd] = creation

    def reading(self) -> tuple[int, int]:
        """Return the number of recorded openings and of open descriptors (about 1 µs)."""
        return self.events, self._directory.size()

    def forget(self) -> None:
        """Drop the records."""
        self.opened.clear()
        self.sockets.clear()
        self.made.clear()

    def scan(self, moment: Moment) -> tuple[dict[Hashable, int], dict[Hashable, int]]:
        """Return open descriptors that are no sockets, and sockets: identity to number."""
        result: tuple[dict[Hashable, int], dict[Hashable, int]] = moment.once(self, self._scan)
        return result

    def _scan(self) -> tuple[dict[Hashable, int], dict[Hashable, int]]:
        files: dict[Hashable, int] = {}
        sockets: dict[Hashable, int] = {}
        own = self._directory.fd
        for fd in _numbers():
            if fd == own:
                continue
            try:
                status = os.fstat(fd)
            except OSError:  # the listing's own descriptor, or closed meanwhile by a thread
                continue
            form = stat.S_IFMT(status.st_mode)
            if form == stat.S_IFSOCK:
                sockets[fd, status.st_ino] = fd
            else:
                # Eventfd, epoll, inotify and the like all share one anonymous inode.
                target = _target(fd) if form == 0 else ""
                files[fd, status.st_dev, status.st_ino, form, target] = fd
        return files, sockets


class _OwnDirectory:
    """The descriptor folder, held open: its size is the count, without listing it.

    ``st_size`` of ``/proc/self/fd`` is the number of open descriptors since Linux 6.2; before, and
    elsewhere, the folder is listed.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.fd = -1
        self._inode = -1
        self._counts = False
        if Path(path).is_dir() and sys.platform == "linux":
            self._open()
            # A forked child would read its parent's table through the inherited descriptor.
            reopen = weakref.WeakMethod(self._open)
            os.register_at_fork(after_in_child=lambda: _call(reopen()))

    def _open(self) -> None:
        import fcntl

        self.close()
        with contextlib.suppress(OSError):
            low = os.open(self._path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self.fd = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, _OWN_FD_FLOOR)
            except OSError:  # a limit below the floor
                self.fd = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 3)
            os.close(low)
            status = os.fstat(self.fd)
            self._inode = status.st_ino
            self._counts = status.st_size > 0

    def close(self) -> None:
        if self.fd >= 0 and self._is_mine():
            os.close(self.fd)
        self.fd = -1

    def _is_mine(self) -> bool:
        try:
            return os.fstat(self.fd).st_ino == self._inode
        except OSError:
            return False

    def size(self) -> int:
        if self._counts:
            try:
                status = os.fstat(self.fd)
            except OSError:
                status = None
            if status is not None and status.st_ino == self._inode:
                return status.st_size
            self.fd = -1  # a test closed every descriptor it found
            self._open()
            return self.size() if self._counts and self.fd >= 0 else 0
        return len(_numbers())


def _call(function: Callable[[], None] | None) -> None:
    if function is not None:
        function()


def _numbers() -> list[int]:
    for folder in (_PROC, _DEV):
        try:
            return sorted(map(int, os.listdir(folder)))  # noqa: PTH208 - 5 times faster
        except (OSError, ValueError):
            continue
    return list(range(2048))


def _target(fd: int) -> str:
    try:
        return os.readlink(f"{_PROC}/{fd}")  # noqa: PTH115 - 5 times faster
    except OSError:
        return ""


target_of = _target
