"""Files and folders made through `tempfile` and left on disk, and segments of shared memory.

Everything that `tempfile` gives a name passes through two audit events, raised *before* the attempt
to create: a name that exists already at that moment is somebody else's, and will not be taken.
Unnamed files (``O_TMPFILE``, which `TemporaryFile` and a spooled file use) leave nothing behind.
What lies below a folder that is listed itself, or below the test runner's own temporary folder
(which the runner prunes), does not count.

Cannot see: segments that C code or a child process made and that are no longer mapped here; whose
they are cannot be told, for other processes make theirs in the same folder.
"""

from __future__ import annotations

import gc
import os
import re
import stat
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytest_resource_hygiene.recorder import Creation
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Description, Moment, Tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from pytest_resource_hygiene.recorder import Recorder

_SHM = "/dev/shm"  # noqa: S108 - looked at, not written to
_RANDOM = re.compile(r"[a-z0-9_]{8}(?=(\.[^.]*)?$)")
# The runner's temporary folder is ``pytest-of-<user>`` unless --basetemp names another.
_RUNNERS = f"{os.sep}pytest-of-"
_HINTS = {
    "file": "delete it with os.unlink(), or use tempfile.NamedTemporaryFile in a `with` block, "
    "or the fixture tmp_path",
    "folder": "delete it with shutil.rmtree(), or use tempfile.TemporaryDirectory in a `with` "
    "block, or the fixture tmp_path",
    "shared memory segment": "call unlink() on the SharedMemory once, and close() in each process",
}


class TempPathTracker(Tracker):
    """Paths by name, device and inode.

    Args:
        ignored: folders below which nothing counts, because somebody else removes them.
    """

    kind = "temp_paths"
    title = "temporary path"
    severity: Literal["fail", "note", "off"] = "off"
    rank = 2

    def __init__(self, ignored: Iterable[str] = ()) -> None:
        """Wait for `start`."""
        self.ignored = [os.path.join(os.path.realpath(one), "") for one in ignored]  # noqa: PTH118
        self._events = 0
        self._made: dict[str, Any] = {}
        self._site: Callable[..., Any] | None = None
        self._foreign: set[str] = set()

    def start(self, recorder: Recorder) -> None:
        """Hook `tempfile`, and the one function by which Python makes segments."""
        self._site = recorder.site
        recorder.on("tempfile.mkstemp", self._note_event)
        recorder.on("tempfile.mkdtemp", self._note_event)
        recorder.wrap_result(tempfile, "mktemp", self._note_name)
        recorder.when_imported("multiprocessing.shared_memory", lambda: self._wrap_shm(recorder))
        self._foreign = _segments()

    def _wrap_shm(self, recorder: Recorder) -> None:
        def make(original: Callable[..., int]) -> Callable[..., int]:
            def shm_open(path: str, flags: int, *args: Any, **kwargs: Any) -> int:
                fd = original(path, flags, *args, **kwargs)
                if flags & os.O_CREAT:
                    self._add(f"{_SHM}/{path.lstrip('/')}", recorder.creation(None))
                return fd

            return shm_open

        recorder.wrap(sys.modules.get("_posixshmem"), "shm_open", make)

    def ignore_below(self, folder: str) -> None:
        """Leave out what lies below a folder that somebody else removes."""
        self.ignored.append(os.path.join(os.path.realpath(folder), ""))  # noqa: PTH118

    def _note_event(self, args: tuple[Any, ...]) -> None:
        path = os.path.abspath(os.fsdecode(args[0]))  # noqa: PTH100 - five times faster
        if self._site is not None and not os.path.lexists(path):
            self._add(path, self._site(None))

    def _note_name(self, result: Any, creation: Creation) -> None:
        self._add(os.path.abspath(os.fsdecode(result)), creation)  # noqa: PTH100

    def _add(self, path: str, site: Any) -> None:
        self._events += 1
        self._made[path] = site

    def reading(self) -> object:
        """Return paths recorded, and when a segment last came or went."""
        try:
            return self._events, System.stat(_SHM).st_mtime_ns
        except OSError:
            return self._events

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List what is still there by path, device and inode; the handle is the path."""
        found: dict[Hashable, Any] = {}
        for path in self._present():
            try:
                status = os.lstat(path)
            except OSError:  # removed meanwhile
                continue
            found[path, status.st_dev, status.st_ino] = path
        return found

    def _present(self) -> list[str]:
        present = [path for path in list(self._made) if os.path.lexists(path)]
        segments = _segments() - self._foreign - self._made.keys()
        if segments:
            present += sorted(segments & _mapped())
        above = tuple(os.path.join(path, "") for path in present)  # noqa: PTH118
        return [path for path in present if not (path.startswith(above) or self._is_ignored(path))]

    def _is_ignored(self, path: str) -> bool:
        if _RUNNERS in path:
            return True
        return bool(self.ignored) and os.path.realpath(path).startswith(tuple(self.ignored))

    def forget(self) -> None:
        """Drop the records of paths that are gone."""
        self._made = {path: site for path, site in self._made.items() if os.path.lexists(path)}

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Return who asked for it."""
        site = self._made.get(value)
        return Creation(*site) if site is not None else None

    def anchor(self, key: Hashable, value: Any) -> Any:
        """Find the object that would remove it, if there is one."""
        for obj in gc.get_objects():
            # Not isinstance(): some objects do things when asked for their class.
            if type(obj) in _OWNERS and getattr(obj, "name", None) == value:
                return obj
        return None

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say what is left, with the random part of its name left out of the target."""
        form = _form(value)
        folder, name = os.path.split(value)
        return Description(
            summary=f"{form} {value} left on disk",
            target=os.path.join(folder, _RANDOM.sub("*", name)),  # noqa: PTH118
            details={"path": value, "form": form},
            hint=_HINTS[form],
        )

    def blind_spot(self) -> str | None:
        """Name what a machine without the folder of segments hides."""
        if Path(_SHM).is_dir():
            return None
        return "no folder of shared memory here: segments are not seen"

    def specimen(self) -> AbstractContextManager[object]:
        """Make a folder."""
        return _folder()


_OWNERS = (
    tempfile.TemporaryDirectory,
    tempfile._TemporaryFileWrapper,  # noqa: SLF001 - what NamedTemporaryFile returns
)


def _form(path: str) -> str:
    if path.startswith(f"{_SHM}/"):
        return "shared memory segment"
    try:
        return "folder" if stat.S_ISDIR(os.lstat(path).st_mode) else "file"
    except OSError:
        return "file"


def _segments() -> set[str]:
    """Return the segments of our user, whichever process made them."""
    user = getattr(os, "getuid", lambda: -1)()
    found: set[str] = set()
    try:
        names = System.listdir(_SHM)
    except OSError:
        return found
    for name in names:
        path = f"{_SHM}/{name}"
        try:
            if os.lstat(path).st_uid == user:
                found.add(path)
        except OSError:  # removed meanwhile
            continue
    return found


def _mapped() -> set[str]:
    """Return the segments that are mapped into this process."""
    try:
        lines = System.read("/proc/self/maps").decode(errors="replace").splitlines()
    except OSError:
        return set()
    return {line[line.index(_SHM) :] for line in lines if f" {_SHM}/" in line}


@contextmanager
def _folder() -> Iterator[object]:
    path = tempfile.mkdtemp(prefix="resource-hygiene-canary-")
    try:
        yield path
    finally:
        os.rmdir(path)  # noqa: PTH106


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return TempPathTracker()
