"""Open descriptors that are no sockets: files, folders, pipes, terminals, eventfd, epoll, memfd.

Cannot see: descriptors that C code opens and closes again. A swap made wholly by C code (one closed,
one opened) is seen at the end of the module, when everything is listed.
"""

from __future__ import annotations

import io
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import attribute_of, is_a
from pytest_resource_hygiene.recorder import Creation
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Description, Moment, Tracker
from pytest_resource_hygiene.trackers._asyncio_table import AsyncioTable
from pytest_resource_hygiene.trackers._descriptors import Descriptors
from pytest_resource_hygiene.trackers._numbered import NumberedObjects
from pytest_resource_hygiene.trackers._opened_files import target_of
from pytest_resource_hygiene.trackers._proc import epoll_waited_for
from pytest_resource_hygiene.trackers._sqlite import SqliteConnections

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from pytest_resource_hygiene.recorder import Recorder

_FORMS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "pipe",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}
_ACCESS = {os.O_RDONLY: "read", os.O_WRONLY: "write", os.O_RDWR: "read and write"}
_HINTS = {
    "folder": "close it with os.close(), or exhaust or close() the scandir iterator",
    "pipe": "close each end that is open with os.close(), or use its owner in a `with` block",
    "eventpoll": "close() the epoll, selector or event loop",
    "eventfd": "close it with os.close()",
    "memfd": "close it with os.close()",
    "terminal": "close both ends of the terminal with os.close()",
}
_BY_NUMBER = "close it with os.close(), or close() the object that owns it, such as an mmap"
_DATABASE = "call connection.close(); its `with` block ends the transaction, and no more"


class FdTracker(Tracker):
    """Descriptors by number, device, inode, form and, for anonymous inodes, target."""

    kind = "fds"
    title = "open descriptor"
    lists_anew = True
    rank = 10

    def __init__(self) -> None:
        """Wait for `start`."""
        self._table: Descriptors | None = None
        self._loops: AsyncioTable | None = None
        self._objects: NumberedObjects | None = None
        self._recorder: Recorder | None = None
        self._databases: SqliteConnections | None = None
        # Numbers that somebody else shifts around, such as a test runner that captures output.
        self.ignored: frozenset[int] = frozenset()

    def start(self, recorder: Recorder) -> None:
        """Share the table of descriptors with the kind `sockets`."""
        self._recorder = recorder
        self._table = recorder.service(Descriptors)
        self._table.ignored = self.ignored
        self._loops = recorder.service(AsyncioTable)
        self._objects = recorder.service(NumberedObjects)
        self._databases = recorder.service(SqliteConnections)

    def _objects_by_number(self) -> NumberedObjects:
        assert self._objects is not None, "start() comes first"
        return self._objects

    def _descriptors(self) -> Descriptors:
        assert self._table is not None, "start() comes first"
        return self._table

    def is_ours(self, key: Hashable, value: Any) -> bool:
        """Return whether a library made it once in C, while we watched it being imported."""
        return key in self._descriptors().made_by_imports

    def sensor(self) -> Callable[[], object]:
        """Ask the shared table: openings seen and descriptors open."""
        return self._descriptors().reading

    def may_be_as_listed(self) -> bool:
        """Ask the shared table whether there are as many as then."""
        return self._descriptors().may_be_as_listed()

    def probes(self) -> Collection[Callable[[], object]]:
        """Ask the shared table for the number of open descriptors."""
        return self._descriptors().probes()

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List by identity; the handle is the number."""
        return self._descriptors().scan(moment)[0]

    def forget(self) -> None:
        """Drop the records of openings."""
        self._descriptors().forget()
        self._objects_by_number().forget()

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Find the opening by number, else by the path that the descriptor points to."""
        table = self._descriptors()
        if value in table.made and isinstance(key, tuple):  # of ten thousand, few are
            made = table.made_as(value, key[2])
            if made is not None:
                return made
        if not isinstance(key, tuple) or not key[3]:  # an anonymous inode, shared by all its kind
            if "eventpoll" in target_of(value) and self._loops is not None:  # no event tells of it
                made = self._loops.creation_of_selector(value)
                return made if made is not None else self._creation_by_thread(value)
            return None  # it was opened by no name
        known = table.files.known_opening(key[1:4])
        if known is not None:
            return known
        object_of = self._objects_by_number().file
        found = table.files.opening(value, key[1:4], _same_path, object_of)
        if found is None:
            found = table.files.opening_by_inode(key[1], key[2], target_of(value))
        if found is None and key[3] == stat.S_IFREG:
            file = self._objects_by_number().file(value)
            found = table.files.opening_of_moved(file.name if file is not None else None)
        return found

    def late_creation(self, key: Hashable, value: Any) -> Creation | None:
        """Ask once more for what is made before anybody records it.

        A pipe of another thread's; the epoll of a loop; one that a thread waits for that has just begun.
        """
        table = self._descriptors()
        made = table.made_as(value, key[2]) if isinstance(key, tuple) else None
        if made is not None or "eventpoll" not in target_of(value):
            return made
        made = self._loops.creation_of_selector(value) if self._loops is not None else None
        return made if made is not None else self._creation_by_thread(value)

    def _creation_by_thread(self, fd: int) -> Creation | None:
        """Return how the thread was made that waits for an epoll: whoever has, has that as well."""
        for thread, made in list(self._recorder.threads.items()) if self._recorder else ():
            # Whatever a derived class makes of the public one.
            tid = attribute_of(thread, "_native_id")
            if isinstance(tid, int) and epoll_waited_for(tid) == fd:
                if self._objects_by_number().poller(fd) is None:
                    return None  # C code's own, for which a thread only happens to wait
                return Creation((), made.owner, made.window, made, None)
        return None

    def called_as(self, key: Hashable, value: Any) -> Collection[str]:
        """Name the classes of polls, what libc makes by `ctypes`, and the commands that duplicate."""
        form = _form(value, target_of(value))
        makers = _MADE_BY.get(form, ())
        if form != "eventpoll":
            return *makers, *_DUPLICATING
        # The object of a class closes its number, and nothing else has it.
        return makers if self._objects_by_number().poller(value) is not None else _DUPLICATING

    def anchor(self, key: Hashable, value: Any) -> Any:
        """Find the file, epoll or database connection that owns the number, if there is one."""
        target = target_of(value)
        if "eventpoll" in target:
            return self._objects_by_number().poller(value)
        file = self._objects_by_number().file(value)
        is_on_disk = file is None and isinstance(key, tuple) and key[3] == stat.S_IFREG
        if is_on_disk and isinstance(key, tuple) and self._databases is not None:
            alike = self._descriptors().numbers_of(key[1:4])
            return self._databases.connection(target, value, alike)
        return file

    def seat(self, key: Hashable) -> Hashable | None:
        """Return device and inode of a regular file; pipes and the like are never the same again."""
        is_file = isinstance(key, tuple) and key[3] == stat.S_IFREG
        return key[1:4] if is_file and isinstance(key, tuple) else None

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say what the descriptor points to, and how it is open."""
        target = target_of(value) or f"descriptor {value}"
        form = _form(value, target)
        details: dict[str, Any] = {"fd": value, "target": target, "form": form}
        with suppress(OSError, ValueError):
            info = _fdinfo(value)
            if "Pid" in info:  # of a pidfd: the child that it stands for
                details["pid"] = int(info["Pid"])
            flags = int(info["flags"], 8)
            details["access"] = _ACCESS.get(flags & os.O_ACCMODE, "unknown")
            details["close_on_exec"] = bool(flags & os.O_CLOEXEC)
        access = (
            f", open for {details['access']}"
            if form in {"file", "pipe"} and "access" in details
            else ""
        )
        shown = "" if form == "pipe" else f" {target}"
        return Description(
            summary=f"{form} fd {value}{shown}{access}",
            target=_stable_target(target),
            details=details,
            hint=self._hint(key, value, form),
        )

    def _hint(self, key: Hashable, value: Any, form: str) -> str:
        """Say how to close it: the object that has it, else the number."""
        owner = self.anchor(key, value) if form != "eventpoll" else None
        if is_a(owner, io.FileIO):
            return "close it, or open it in a `with` block"
        return _HINTS.get(form, _BY_NUMBER) if owner is None else _DATABASE

    def blind_spot(self) -> str | None:
        """Name what a machine without a descriptor folder hides."""
        if Path("/proc/self/fd").is_dir() or Path("/dev/fd").is_dir():
            return None
        return "no folder of descriptors here: numbers up to 2,047 are probed, targets unknown"

    def specimen(self) -> AbstractContextManager[object]:
        """Open a pipe."""
        return _pipe()


# What raises no audit event, and cannot be wrapped: by what the kernel calls it.
_MADE_BY = {
    "eventpoll": ("epoll", "EpollSelector", "DefaultSelector"),
    "inotify": ("inotify_init", "inotify_init1"),
    "timerfd": ("timerfd_create",),
    "signalfd": ("signalfd",),
    "eventfd": ("eventfd",),
    "memfd": ("memfd_create",),
}
_DUPLICATING = ("F_DUPFD", "F_DUPFD_CLOEXEC")


@contextmanager
def _pipe() -> Iterator[object]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            System.close(end)


def _fdinfo(fd: int) -> dict[str, str]:
    lines = System.read(f"/proc/self/fdinfo/{fd}").decode("ascii").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _form(fd: int, target: str) -> str:
    if target.startswith("anon_inode:"):
        return target.removeprefix("anon_inode:").strip("[]")
    if "/memfd:" in target:
        return "memfd"
    if target.startswith(("/dev/pts/", "/dev/ptmx", "/dev/tty")):
        return "terminal"
    with suppress(OSError):
        return _FORMS.get(stat.S_IFMT(System.fstat(fd).st_mode), "descriptor")
    return "descriptor"


def _stable_target(target: str) -> str:
    # Inode numbers and temporary names differ from run to run; fingerprints must not.
    return target.split(":[", 1)[0] if target.startswith(("pipe:", "socket:")) else target


def _same_path(recorded: Any, target: str) -> bool:
    try:
        path = os.fsdecode(recorded)
    except TypeError:
        return False
    plain = target.removesuffix(" (deleted)")
    if os.path.abspath(path) == plain:  # noqa: PTH100 - of a str or bytes, without resolving links
        return True
    if os.path.basename(path) != os.path.basename(plain):  # noqa: PTH119
        # SQLite keeps its journal beside the file that it was asked to open.
        return bool(path) and path != ":memory:" and plain.startswith(os.path.abspath(path) + "-")  # noqa: PTH100
    return not os.path.isabs(path) or os.path.realpath(path) == plain  # noqa: PTH117


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return FdTracker()
