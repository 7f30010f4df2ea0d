"""The table of open descriptors, shared by the kinds `fds` and `sockets`.

Identity is what a descriptor *points to*, never its number alone: a test that closes one and opens
another keeps the count, and the kernel hands out the lowest free number again.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.audit import Openings
from pytest_resource_hygiene.compiled import speedups
from pytest_resource_hygiene.positions import are_one_place, is_entered
from pytest_resource_hygiene.recorder import Creation
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.trackers._imports import watch_imports
from pytest_resource_hygiene.trackers._proc import ProcFolder

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable

    from pytest_resource_hygiene.recorder import Recorder, Stack
    from pytest_resource_hygiene.tracker import Moment

__all__ = ["Descriptors"]

_PROC = "/proc/self/fd"
_DEV = "/dev/fd"
_MAX_RECORDS = 20_000
_MAX_STATUSES = 1_000
_Listing = tuple[dict["Hashable", int], dict["Hashable", int]]  # no sockets, and sockets

# No audit event exists for these; each returns one or two new descriptors.
_UNAUDITED = ("pipe", "pipe2", "dup", "openpty", "eventfd", "memfd_create", "pidfd_open")


Fits = Callable[[Any, str], bool]  # whether a recorded path is what a descriptor points to


class Descriptors:
    """Counts cheaply, lists exactly, and remembers who opened what."""

    def __init__(self, recorder: Recorder) -> None:
        """Hook the recorder; one instance serves both kinds, through `Recorder.service`."""
        self._events = 0
        self._count = -1
        self.ignored: frozenset[int] = frozenset()
        self.opened: deque[Any] = deque(maxlen=_MAX_RECORDS)
        self.sockets: deque[Any] = deque(maxlen=_MAX_RECORDS)
        self.made: dict[int, tuple[Creation, int]] = {}
        # Made when first asked: with ten thousand new descriptors, comparing all with all takes
        # minutes.
        self._indexed = self._indexed_sockets = -1
        self._by_name: dict[str, list[Any]] = {}
        self._found: dict[str, Creation | None] = {}
        self._of_file: dict[Hashable, Creation] = {}
        self._by_inode: dict[tuple[int, int], list[Any]] = {}
        self._listed: _Listing = {}, {}
        self._listed_before: _Listing = {}, {}
        # Numbers of what the last listing had anew, by file; made when first asked.
        self._fresh: dict[Hashable, list[int]] | None = None
        self._ordered: dict[Hashable, dict[int, Creation]] = {}
        self._by_number: dict[int, Any] = {}
        self._loose: list[Any] = []
        # The same descriptors are the same listing; what is anonymous is known by its target only.
        self._found_open: list[tuple[int, int, int, int]] = []
        self._count_listed: int | None = None
        self._directory = ProcFolder(_PROC, lambda status: status.st_size)
        self._site = recorder.site
        self._openings = Openings(recorder, self.opened.append)
        for event in ("open", "os.scandir", "sqlite3.connect"):
            recorder.on(event, self._openings)
        # A bare _socket.socket has no weak references.
        self._births = Openings(recorder, self.sockets.append, _nothing)
        recorder.on("socket.__new__", self._births)
        recorder.on("mmap.__new__", self._note_mapping)
        for name in _UNAUDITED:
            recorder.wrap_result(os, name, self._note_made)
        self._recorder = recorder
        recorder.wrap(os, "dup2", self._noting_dup2)
        self.made_by_imports: set[Hashable] = set()
        recorder.when_imported("uvloop", self._heed_uvloop)
        watch_imports(recorder, self._before_import, self._after_import)

    def close(self) -> None:
        """Close the one descriptor that this keeps."""
        self._directory.close()

    def _note_mapping(self, args: tuple[Any, ...]) -> None:
        if args[0] >= 0:  # mmap keeps a duplicate of the descriptor
            self._events += 1
            self.opened.append(self._site(_target(args[0])))

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
        for fd in result if isinstance(result, tuple) else (result,):
            try:
                self.made[fd] = creation, System.fstat(fd).st_ino
            except OSError:  # closed by another thread meanwhile
                continue

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
            self._after_import(before, made.stack, made.owner, made.window)
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

    def _before_import(self) -> tuple[int | None, _Listing]:
        count = self._directory.measure()
        if count is None or count == self._count_listed:
            return count, self._listed
        return count, self._scan_unseen()

    def _after_import(
        self, before: tuple[int | None, _Listing], stack: Stack, owner: Any, window: Any
    ) -> None:
        count = self._directory.measure()
        if count is None or count == before[0]:
            return
        for listed, known in zip(self._scan_unseen(), before[1], strict=True):
            for key in listed.keys() - known.keys():
                if listed[key] not in self.made:
                    with suppress(OSError):
                        creation = Creation(stack, owner, window, None, None)
                        self.made[listed[key]] = creation, System.fstat(listed[key]).st_ino

    def _scan_unseen(self) -> _Listing:
        with self._recorder.mute():
            return self._scan()

    def made_as(self, fd: int, inode: int) -> Creation | None:
        """Return how the descriptor was made by a wrapped function, if it is still that one."""
        creation, recorded = self.made.get(fd, (None, -1))
        return creation if recorded == inode else None

    def reading(self) -> tuple[int, int, list[int]]:
        """Return recorded openings, open descriptors, and new sockets not closed (about 1 µs)."""
        count = self._directory.measure()
        live = [
            id(one) for one in self.sockets if (sock := one[4]()) is not None and fileno(sock) >= 0
        ]
        if count is None:
            count = len(_numbers())
        if not live and count == self._count:
            self.sockets.clear()  # or each clean test would be asked about those of all before
        self._count = count
        return self._events + self._openings.count + self._births.count, count, live

    def probes(self) -> Collection[Callable[[], object]]:
        """Ask how many there are: C code opens descriptors without telling."""
        probe = self._directory.probe()
        return (self.reading if probe is None else probe,)

    def opening(self, fd: int, file: Hashable, fits: Fits) -> Creation | None:
        """Return the latest opening of a file by name, uncertain if several places have opened it.

        Args:
            fd: the descriptor.
            file: what it points to, as the kernel identifies it.
            fits: decides whether a recorded path is that target.
        """
        self._index()
        # Of thousands that point to one file only the first is asked for its name.
        known = self._of_file.get(file)
        if known is not None:
            return known
        in_order = self._in_order(fd, file, fits)
        if in_order is not None:
            return in_order
        known = self.opening_of_name(_target(fd), fits)
        if known is not None and not self._ordered[file] and _has_one_name(fd):
            self._of_file[file] = known
        return known

    def opening_of_name(self, target: str, fits: Fits) -> Creation | None:
        """Return the latest opening that fits what a descriptor points to."""
        self._index()
        if target not in self._found:
            fitting = [record for record in self._opened_as(target) if fits(record[4], target)]
            self._found[target] = self._latest(fitting)
        return self._found[target]

    def _latest(self, records: list[Any]) -> Creation | None:
        ours = self._ours(records)
        if not ours:
            return None
        certain = are_one_place([record[0] for record in ours])
        return Creation(*_kept(ours)[-1])._replace(certain=certain)

    def _ours(self, records: list[Any]) -> list[Any]:
        """Leave out what the runner opened, if that is not all.

        It opens test files, too, to show the lines of a traceback; it closes them.
        """
        # A loop leaves thousands, of one place: each place is asked about once.
        places = {(id(record[0]), id(record[3])): Creation(*record) for record in records}
        ours = {key: one for key, one in places.items() if not self._recorder.is_foreign(one)}
        by_user = {key for key, one in ours.items() if self._recorder.is_by_user(one)}
        fitting = by_user or set(ours)
        return [one for one in records if (id(one[0]), id(one[3])) in fitting] or records

    def _in_order(self, fd: int, file: Hashable, fits: Fits) -> Creation | None:
        """Return the opening of one of several new descriptors of one file, if all are still open.

        They were opened in the order of their numbers, unless a lower one became free meanwhile.
        """
        if self._fresh is None:
            self._fresh, self._ordered = {}, {}
            for key in self._listed[0].keys() - self._listed_before[0].keys():
                if isinstance(key, tuple) and key[0] not in self.made:
                    self._fresh.setdefault(key[1:4], []).append(key[0])
        if file not in self._ordered:
            self._ordered[file] = self._put_in_order(sorted(self._fresh.get(file, ())), fits)
        return self._ordered[file].get(fd)

    def _put_in_order(self, numbers: list[int], fits: Fits) -> dict[int, Creation]:
        if len(numbers) < 2:
            return {}
        target = _target(numbers[0])
        opened = [record for record in self._opened_as(target) if fits(record[4], target)]
        ours = _kept(self._ours(opened))
        if len(ours) != len(numbers) or are_one_place([record[0] for record in ours]):
            return {}
        made = [Creation(*record)._replace(certain=False) for record in ours]
        return dict(zip(numbers, made, strict=True))

    def opening_by_inode(self, device: int, inode: int, target: str) -> Creation | None:
        """Return the opening of a file by another path than its own: a link, ``.``, a folder.

        A temporary file without a name is opened by its folder (``O_TMPFILE``).
        """
        self._index()
        if not self._by_inode:
            for record in list(self.opened)[-_MAX_STATUSES:]:
                with suppress(OSError, ValueError, TypeError):
                    status = System.stat(record[4])
                    place = status.st_dev, status.st_ino
                    self._by_inode.setdefault(place, []).append(record)
        folder, name = os.path.split(target)
        with suppress(OSError):
            if name.startswith("#") and name.endswith(" (deleted)"):
                status = System.stat(folder)
                device, inode = status.st_dev, status.st_ino
        return self._latest(self._by_inode.get((device, inode), []))

    def opening_of_moved(self, path: object) -> Creation | None:
        """Return the opening of a file that has another path by now.

        Args:
            path: by which its object was opened; None if it has no object.
        """
        if path is not None:
            return self._latest([record for record in self.opened if record[4] == path])
        gone = [record for record in self.opened if _is_gone(record[4])]
        found = self._latest(gone)
        return found._replace(certain=False) if found is not None and found.certain else None

    def _index(self) -> None:
        """Sort the records by the last part of their paths, unless that was done."""
        if self._indexed != len(self.opened):
            self._indexed = len(self.opened)
            self._by_name, self._found, self._of_file = {}, {}, {}
            self._by_inode, self._ordered = {}, {}
            for record in self.opened:
                self._by_name.setdefault(_last_component(record[4]), []).append(record)

    def _opened_as(self, target: str) -> list[Any]:
        name = _last_component(target.removesuffix(" (deleted)"))
        stem = name.rpartition("-")[0]  # SQLite keeps its journal beside the file it was given
        return self._by_name.get(name, []) + (self._by_name.get(stem, []) if stem else [])

    def socket_of(self, fd: int) -> tuple[Any, list[Any]]:
        """Return the record of the socket object with that number, and records without a number."""
        if self._indexed_sockets != len(self.sockets):
            self._indexed_sockets = len(self.sockets)
            self._by_number, self._loose = {}, []
            for record in self.sockets:
                number = fileno(record[4]())
                if number < 0:  # detached or gone: its descriptor may be the one that is left
                    self._loose.append(record)
                else:
                    self._by_number[number] = record
        return self._by_number.get(fd), self._loose

    def forget(self) -> None:
        """Drop the records."""
        self._indexed = self._indexed_sockets = -1
        self._by_name, self._found, self._of_file = {}, {}, {}
        self._by_number, self._loose = {}, []
        self._by_inode, self._ordered = {}, {}
        self.opened.clear()
        self.sockets.clear()
        self.made.clear()

    def scan(self, moment: Moment) -> _Listing:
        """Return open descriptors that are no sockets, and sockets: identity to number."""
        result: _Listing = moment.once(self, self._scan)
        return result

    def _scan(self) -> _Listing:
        found = _open_now()
        if found == self._found_open:
            return self._listed
        self._found_open = found if all(one[3] for one in found) else []
        files: dict[Hashable, int] = {}
        sockets: dict[Hashable, int] = {}
        skipped = ProcFolder.own_numbers | self.ignored
        for fd, device, inode, form in found:
            if fd in skipped:
                continue
            if form == stat.S_IFSOCK:
                sockets[fd, inode] = fd
            else:
                # Eventfd, epoll, inotify and the like all share one anonymous inode.
                target = _target(fd) if form == 0 else ""
                files[fd, device, inode, form, target] = fd
        self._listed_before, self._listed = self._listed, (files, sockets)
        self._fresh = None
        self._count_listed = self._directory.measure()
        return files, sockets


def _open_now() -> list[tuple[int, int, int, int]]:
    """Return number, device, inode and form of each descriptor, by number."""
    if speedups is not None:
        with suppress(OSError):
            listed: list[tuple[int, int, int, int]] = speedups.descriptors(_PROC)
            return sorted(listed)
    found = []
    for fd in _numbers():
        # Not there: the listing's own descriptor, or closed meanwhile by a thread.
        with suppress(OSError):
            status = System.fstat(fd)
            found.append((fd, status.st_dev, status.st_ino, stat.S_IFMT(status.st_mode)))
    return found


def _numbers() -> list[int]:
    for folder in (_PROC, _DEV):
        try:
            return sorted(map(int, System.listdir(folder)))
        except (OSError, ValueError):
            continue
    return list(range(2048))


def _target(fd: int) -> str:
    try:
        return System.readlink(f"{_PROC}/{fd}")
    except OSError:
        return ""


target_of = _target


def _has_one_name(fd: int) -> bool:
    try:
        return System.fstat(fd).st_nlink == 1
    except OSError:
        return False


def _nothing() -> None:
    """Stand where a weak reference cannot be had."""


def _kept(records: list[Any]) -> list[Any]:
    """Leave out what a `with` statement has closed, if that is not all."""
    return [one for one in records if not is_entered(one[0])] or records


def _last_component(path: Any) -> str:
    try:
        return os.fsdecode(path).rstrip("/").rpartition("/")[2]
    except TypeError:
        return ""


def _is_gone(path: Any) -> bool:
    try:
        System.stat(path)
    except FileNotFoundError:
        return True
    except (OSError, ValueError, TypeError):
        return False
    return False


def fileno(sock: Any) -> int:
    """Return the number of a socket object, or -1 if it has none any more."""
    try:
        return int(sock.fileno()) if sock is not None else -1
    except Exception:  # noqa: BLE001 - a subclass may do anything here
        return -1
