"""The table of open descriptors, shared by the kinds `fds` and `sockets`.

Identity is what a descriptor *points to*, never its number alone: a test that closes one and opens
another keeps the count, and the kernel hands out the lowest free number again.
"""

from __future__ import annotations

import os
import stat
import sys
from collections import deque
from contextlib import suppress
from itertools import islice
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.audit import Openings
from pytest_resource_hygiene.compiled import speedups
from pytest_resource_hygiene.objects import defined_in, is_a
from pytest_resource_hygiene.quiet import Passing
from pytest_resource_hygiene.recorder import Creation
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.trackers._imports import ImportWatch
from pytest_resource_hygiene.trackers._opened_files import OpenedFiles, target_of
from pytest_resource_hygiene.trackers._proc import SIZE, ProcFolder
from pytest_resource_hygiene.trackers._young_records import YoungRecords

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable

    from pytest_resource_hygiene.recorder import Recorder, Stack
    from pytest_resource_hygiene.tracker import Moment

__all__ = ["Descriptors"]

__tracebackhide__ = True  # an error of a function that is wrapped here is not ours

_PROC = "/proc/self/fd"
_DEV = "/dev/fd"
_MAX_RECORDS = 20_000
_Listing = tuple[dict["Hashable", int], dict["Hashable", int]]  # no sockets, and sockets
# How it was made, its inode, and what else tells it from others of that inode, if anything has to:
# of the end of a pipe how it is open, of what has no inode of its own what it is.
_Made = tuple[Creation | None, int, int | str | None]
_NOT_MADE: _Made = (None, -1, None)

# No audit event exists for these; each returns one or two new descriptors.
_UNAUDITED = ("pipe", "pipe2", "dup", "openpty", "eventfd", "memfd_create", "pidfd_open")


class _Before:
    __slots__ = ("how_many", "listed", "made")

    def __init__(self, how_many: int | None, listed: _Listing, made: dict[int, _Made]) -> None:
        self.how_many = how_many
        self.listed = listed
        self.made = made


def _access(fd: int) -> int | None:
    """Return how a descriptor is open: 0 for reading, 1 for writing; None where nobody tells."""
    if sys.platform == "win32":
        return None
    try:
        return System.control_fd(fd, System.F_GETFL) & os.O_ACCMODE
    except OSError:
        return None


def _kind_of_anonymous(fd: int, mode: int) -> str | None:
    """Return what a descriptor is that shares its inode with all its kind; None of any other."""
    return None if stat.S_IFMT(mode) else target_of(fd)


class Descriptors:
    """Counts cheaply, lists exactly, and remembers who opened what."""

    def __init__(self, recorder: Recorder) -> None:
        """Hook the recorder; one instance serves both kinds, through `Recorder.service`."""
        self._events = 0
        self._count = -1
        self.ignored: frozenset[int] = frozenset()
        self.files = OpenedFiles(recorder, self._new_numbers)
        self.sockets: deque[Any] = deque(maxlen=_MAX_RECORDS)
        self._sockets_listed = 0  # how many of these records are older than the last listing
        self.made: dict[int, _Made] = {}
        self._young_made = YoungRecords()
        self._listed: _Listing = {}, {}
        self._listed_before: _Listing = {}, {}
        # Numbers of what the last listing had anew, by file; made when first asked.
        self._fresh: dict[Hashable, list[int]] | None = None
        self._indexed_sockets: Any = None  # the latest record of those that are indexed
        self._by_number: dict[int, Any] = {}
        self._loose: list[Any] = []
        # The same descriptors are the same listing; what is anonymous is known by its target only.
        self._found_open: list[tuple[int, int, int, int, str]] = []
        self._count_listed: int | None = None
        self._directory = ProcFolder(_PROC, SIZE)
        self._site = recorder.site
        self._openings = Openings(recorder, self.files.records.append)
        for event in ("open", "os.scandir", "sqlite3.connect"):
            recorder.on(event, self._openings)
        # A bare _socket.socket has no weak references.
        self._births = Openings(recorder, self.sockets.append, _nothing)
        recorder.on("socket.__new__", self._births)
        recorder.passing.append(Passing(self.sockets, 4, _is_closed))
        recorder.on("mmap.__new__", self._note_mapping)
        for name in _UNAUDITED:
            recorder.wrap_result(os, name, self._note_made)
        recorder.wrap_result(os, "forkpty", lambda made, how: self._note_made(made[1:], how))
        self._recorder = recorder
        recorder.wrap(os, "dup2", self._noting_dup2)
        self.made_by_imports: set[Hashable] = set()
        recorder.when_imported("uvloop", self._heed_uvloop)
        recorder.service(ImportWatch).add(self._before_import, self._after_import)

    def close(self) -> None:
        """Close the one descriptor that this keeps; drop the records, which name tests."""
        self.forget()
        self._directory.close()

    def _note_mapping(self, args: tuple[Any, ...]) -> None:
        if args[0] >= 0:  # mmap keeps a duplicate of the descriptor
            self._events += 1
            self.files.records.append(self._site(target_of(args[0])))

    def _noting_dup2(self, original: Callable[..., int]) -> Callable[..., int]:
        if speedups is not None:
            in_c: Callable[..., int] = speedups.Dup2(original, self._note_dup2)
            return in_c

        def dup2(fd: int, fd2: int, inheritable: bool = True) -> int:
            result = original(fd, fd2, inheritable)
            if result > 2:  # pytest's capture puts the standard streams back a dozen times a test
                self._note_made(result, self._recorder.creation(None))
            return result

        return dup2

    def _note_dup2(self, fd: int) -> None:
        self._note_made(fd, self._recorder.creation(None))

    def _note_made(self, result: Any, creation: Creation) -> None:
        self._events += 1
        for access, fd in enumerate(result if isinstance(result, tuple) else (result,)):
            try:
                made = System.fstat(fd)
            except OSError:  # closed by another thread meanwhile
                continue
            is_pipe = isinstance(result, tuple) and stat.S_ISFIFO(made.st_mode)
            sign = access if is_pipe else _kind_of_anonymous(fd, made.st_mode)
            self.made[fd] = creation, made.st_ino, sign

    def _heed_uvloop(self) -> None:
        """Hear of uvloop's loops, which open what they need in C when the object is made."""
        import uvloop

        self._warm_uvloop()
        if hasattr(uvloop, "Loop"):
            self._recorder.wrap(uvloop.Loop, "__new__", self._noting_loops_in_c)

    def _noting_loops_in_c(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def make(cls: Any, *args: Any, **kwargs: Any) -> Any:
            before = self._before_import()
            loop = original(cls, *args, **kwargs)
            made = self._recorder.creation(None)
            self._after_import(before, made.stack, made.owner, made.window, made.parent)
            return loop

        return make

    def _warm_uvloop(self) -> None:
        """Have uvloop make the one pipe that it keeps for the process, before a test has to."""
        import uvloop

        with self._recorder.mute():
            before = self._scan()
            uvloop.new_event_loop().close()
            after = self._scan()
        self.made_by_imports |= set(after[0]) - set(before[0])

    # An epoll makes no audit event, nor does what C code opens; an import that makes one is seen by
    # comparing. Nothing is listed where the count says that nothing was opened.

    def _before_import(self) -> _Before:
        count = self._directory.measure()
        known = count is None or count == self._count_listed
        return _Before(count, self._listed if known else self._scan_unseen(), self.made.copy())

    def _after_import(
        self,
        before: _Before,
        stack: Stack,
        owner: Any,
        window: Any,
        parent: Creation | None = None,
    ) -> None:
        count = self._directory.measure()
        if count is None or count == before.how_many:
            return
        for listed, known in zip(self._scan_unseen(), before.listed, strict=True):
            for key in listed.keys() - known.keys():
                fd = listed[key]
                # A record of before is of what had that number and has been closed.
                if self.made.get(fd) is before.made.get(fd):
                    with suppress(OSError):
                        creation = Creation(stack, owner, window, parent, None)
                        made = System.fstat(fd)
                        sign = _kind_of_anonymous(fd, made.st_mode)
                        self.made[fd] = creation, made.st_ino, sign

    def _scan_unseen(self) -> _Listing:
        with self._recorder.mute():
            return self._scan()

    def made_as(self, fd: int, inode: int) -> Creation | None:
        """Return how the descriptor was made by a wrapped function, if it is still that one."""
        creation, recorded, sign = self.made.get(fd, _NOT_MADE)
        if recorded != inode:
            return None
        if isinstance(sign, str):  # an epoll may have the number of an eventfd that was closed
            return creation if target_of(fd) == sign else None
        # Both ends of a pipe have one inode: a duplicate may have the other's number.
        return creation if sign is None or _access(fd) in {sign, None} else None

    def reading(self) -> tuple[int, int, list[int]]:
        """Return recorded openings, open descriptors, and new sockets not closed (about 1 µs)."""
        count = self._directory.measure()
        live = [
            id(one)
            for one in list(self.sockets)  # to which other threads may add at any time
            if (sock := one[4]()) is not None and not _is_closed(sock)
        ]
        if count is None:
            count = len(_numbers())
        if not live and count == self._count:
            self.sockets.clear()  # or each clean test would be asked about those of all before
        self._count = count
        return self._events + self._openings.count + self._births.count, count, live

    def may_be_as_listed(self) -> bool:
        """Return whether there were as many at the last reading as in the last listing."""
        return self._count_listed is None or self._count == self._count_listed

    def probes(self) -> Collection[Callable[[], object]]:
        """Ask how many there are: C code opens descriptors without telling."""
        probe = self._directory.probe()
        return (self.reading if probe is None else probe,)

    def _new_numbers(self, file: Hashable) -> list[int]:
        """Return the numbers of what the last listing had anew of a file."""
        if self._fresh is None:
            self._fresh = {}
            for key in self._listed[0].keys() - self._listed_before[0].keys():
                if isinstance(key, tuple) and self.made_as(key[0], key[2]) is None:
                    self._fresh.setdefault(key[1:4], []).append(key[0])
        return self._fresh.get(file, [])

    def socket_of(self, fd: int) -> tuple[Any, list[Any]]:
        """Return the record of the socket object with that number, and records without a number."""
        latest = self.sockets[-1] if self.sockets else None
        if self._indexed_sockets is None or self._indexed_sockets is not latest:
            records = list(self.sockets)
            self._indexed_sockets = latest
            self._by_number, self._loose = {}, []
            for record in records:
                number = fileno(record[4]())
                if number < 0:  # detached or gone: its descriptor may be the one that is left
                    self._loose.append(record)
                else:
                    self._by_number[number] = record
        return self._by_number.get(fd), self._loose

    def forget(self) -> None:
        """Drop the records."""
        self._indexed_sockets = None
        self._by_number, self._loose = {}, []
        self.files.forget()
        self._forget_sockets()
        if self.made:
            creations = {fd: made[0] for fd, made in list(self.made.items())}
            for fd in self._young_made.keys_to_drop(creations):
                self.made.pop(fd, None)

    def _forget_sockets(self) -> None:
        """Drop the records, but of what other threads have opened since the listing, or are about to."""
        count = min(self._sockets_listed, len(self.sockets))
        listed = set(self._listed[1].values())

        def is_new(record: Any) -> bool:
            sock = record[4]()
            number = fileno(sock)
            return number not in listed if number >= 0 else _is_being_made(sock)

        new = list(filter(is_new, islice(iter(self.sockets.popleft, None), count)))
        self.sockets.extendleft(reversed(new))
        self._sockets_listed = len(self.sockets)

    def scan(self, moment: Moment) -> _Listing:
        """Return open descriptors that are no sockets, and sockets: identity to number."""
        result: _Listing = moment.once(self, self._scan_counting)
        return result

    def _scan_counting(self) -> _Listing:
        self._sockets_listed = len(self.sockets)
        return self._scan()

    def numbers_of_sockets(self) -> list[int]:
        """Return the numbers of the sockets in the last listing."""
        return list(self._listed[1].values())

    def numbers_of(self, file: Hashable) -> list[int]:
        """Return the descriptors of one file, by device, inode and form, in the last listing."""
        keys = self._listed[0]
        return [fd for key, fd in keys.items() if isinstance(key, tuple) and key[1:4] == file]

    def _scan(self) -> _Listing:
        found = _open_now()
        if found == self._found_open:
            return self._listed
        files: dict[Hashable, int] = {}
        sockets: dict[Hashable, int] = {}
        skipped = ProcFolder.own_numbers | self.ignored
        has_anonymous = False
        for one in found:  # of which there may be ten thousand
            fd, form = one[0], one[3]
            if fd in skipped:
                continue
            if form == stat.S_IFSOCK:
                sockets[fd, one[2]] = fd
            elif form:
                files[one] = fd
            else:
                # Eventfd, epoll, inotify and the like all share one anonymous inode.
                files[*one[:4], target_of(fd)] = fd
                has_anonymous = True
        self._found_open = [] if has_anonymous else found
        if has_anonymous and (files, sockets) == self._listed:
            return self._listed  # the very same, as its kinds promise
        self._listed_before, self._listed = self._listed, (files, sockets)
        self._fresh = None
        self._count_listed = self._directory.measure()
        return files, sockets


def _open_now() -> list[tuple[int, int, int, int, str]]:
    """Return number, device, inode and form of each descriptor, and an empty text, by number."""
    if speedups is not None:
        with suppress(OSError):
            return sorted(speedups.descriptors(_PROC, ProcFolder.own_numbers))
    found = []
    for fd in _numbers():
        # Not there: the listing's own descriptor, or closed meanwhile by a thread.
        with suppress(OSError):
            status = System.fstat(fd)
            form = stat.S_IFMT(status.st_mode)
            found.append((fd, status.st_dev, status.st_ino, form, ""))
    return found


def _numbers() -> list[int]:
    for folder in (_PROC, _DEV):
        try:
            return sorted(map(int, System.listdir(folder)))
        except (OSError, ValueError):
            continue
    return list(range(2048))


def _nothing() -> None:
    """Stand where a weak reference cannot be had."""


def _is_closed(sock: Any) -> bool:
    return fileno(sock) < 0 and not _is_being_made(sock)


def _is_being_made(sock: Any) -> bool:
    """Return whether another thread is about to open a socket, or to learn its number.

    `socket.socket.__init__` is interrupted there for as long as others have the lock of the
    interpreter; it sets ``_closed`` afterwards.
    """
    slot = defined_in(type(sock), "_closed")
    if not is_a(slot, MemberDescriptorType):
        return False
    try:
        slot.__get__(sock)
    except AttributeError:
        return True
    return False


def fileno(sock: Any) -> int:
    """Return the number of a socket object, or -1 if it has none any more."""
    try:
        return int(sock.fileno()) if sock is not None else -1
    except Exception:  # noqa: BLE001 - a subclass may do anything here
        return -1
