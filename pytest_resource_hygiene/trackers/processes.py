"""Child processes, running or zombie, and grandchildren that were orphaned to us.

A grandchild whose parent ended goes to the nearest ancestor that calls itself a subreaper, else to
process 1, where no test would ever see it again. So on Linux this makes the test process a
subreaper while it watches, and reaps the orphans that have ended, which process 1 would have done.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_resource_hygiene.tracker import Description, Moment, Tracker
from pytest_resource_hygiene.trackers._proc import start_time

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from pytest_resource_hygiene.recorder import Creation, Recorder

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_PR_GET_CHILD_SUBREAPER = 37
_STARTS = ("os.fork", "os.forkpty", "os.posix_spawn", "subprocess.Popen", "os.system")


class Child(NamedTuple):
    """A child process: its id, and whether it was handed to us by a parent that ended."""

    pid: int
    orphan: bool


class ProcessTracker(Tracker):
    """Children by process id and start time."""

    kind = "processes"
    title = "child process"
    rank = 60

    def __init__(self) -> None:
        """Wait for `start`."""
        self._events = 0
        self._made: dict[int, Creation] = {}
        self._own: set[tuple[int, int]] = set()
        self._recorder: Recorder | None = None
        self._was_subreaper: int | None = None

    def start(self, recorder: Recorder) -> None:
        """Hear of every fork, and adopt orphans."""
        self._recorder = recorder
        for event in _STARTS:
            recorder.on(event, self._note_start)
        for name in ("fork", "posix_spawn", "posix_spawnp"):
            recorder.wrap_result(os, name, self._note_pid)
        recorder.wrap_result(os, "forkpty", lambda result, how: self._note_pid(result[0], how))
        self._wrap_fork_exec(recorder)
        self._was_subreaper = _set_subreaper(1)

    def _wrap_fork_exec(self, recorder: Recorder) -> None:
        import subprocess

        with contextlib.suppress(ImportError):
            import _posixsubprocess

            recorder.wrap_result(_posixsubprocess, "fork_exec", self._note_pid)
            recorder.wrap_result(subprocess, "_fork_exec", self._note_pid)

    def stop(self) -> None:
        """Adopt no longer."""
        if self._was_subreaper is not None:
            _set_subreaper(self._was_subreaper)

    def _note_start(self, args: tuple[Any, ...]) -> None:
        self._events += 1

    def _note_pid(self, pid: int, creation: Creation) -> None:
        if pid > 0:
            self._events += 1
            self._made[pid] = creation

    def reading(self) -> object:
        """Return forks seen, and whether there is any child, running or ended."""
        return self._events, _any_child()

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List children; reap orphans that have ended."""
        found: dict[Hashable, Any] = {}
        for pid in _children():
            try:
                key = pid, start_time(f"/proc/{pid}/stat") if sys.platform == "linux" else 0
            except OSError:
                continue
            if pid in self._made:
                self._own.add(key)
            orphan = key not in self._own and bool(self._events)
            if orphan and _is_zombie(pid) and self._reap(pid):
                continue
            found[key] = Child(pid, orphan)
        self._own &= set(found)  # type: ignore[arg-type]
        return found

    def _reap(self, pid: int) -> bool:
        # Only under our own adoption: where somebody else made this process a reaper, it is his.
        if self._was_subreaper != 0:
            return False
        with contextlib.suppress(ChildProcessError):
            return os.waitpid(pid, os.WNOHANG)[0] == pid
        return True

    def forget(self) -> None:
        """Drop the starts of processes that have ended."""
        self._made.clear()

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Return who forked it."""
        return self._made.get(value.pid)

    def anchor(self, key: Hashable, value: Any) -> Any:
        """Find the object that has this process id."""
        import gc
        import subprocess

        for obj in gc.get_objects():
            if isinstance(obj, subprocess.Popen) and obj.pid == value.pid:
                return obj
        return None

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say process id, command line and state."""
        command = _command(value.pid)
        zombie = _is_zombie(value.pid)
        shown = " ".join(command) if command else "(command line gone)"
        state = "zombie" if zombie else "running"
        orphan = ", orphaned by its parent" if value.orphan else ""
        if zombie:
            hint = "wait() for it"
        elif value.orphan:
            hint = "stop the whole process group (start_new_session=True, then os.killpg())"
        else:
            hint = "terminate() or kill() it and wait() for it, or use Popen in a `with` block"
        return Description(
            summary=f"{state} child process {value.pid}: {_shorten(shown)}{orphan}",
            target=Path(command[0]).name if command else state,
            details={"pid": value.pid, "command": command, "state": state, "orphan": value.orphan},
            hint=hint,
        )

    def blind_spot(self) -> str | None:
        """Name what this platform hides."""
        if sys.platform != "linux":
            return "orphaned grandchildren are not handed to this process here"
        return None

    def specimen(self) -> AbstractContextManager[object] | None:
        """Start a process that waits for the end of its input."""
        return _sleeper() if sys.platform != "win32" else None


@contextlib.contextmanager
def _sleeper() -> Iterator[object]:
    # `cat` on a pipe: ends by itself when we close our end, and costs a tenth of an interpreter.
    reading, writing = os.pipe()
    try:
        pid = os.posix_spawnp("cat", ["cat"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)])
        try:
            yield pid
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    finally:
        os.close(reading)
        os.close(writing)


def _any_child() -> int | None:
    """Return None without children, 0 if all are running, else the id of one that has ended."""
    try:
        status = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except (ChildProcessError, AttributeError):
        return None
    return status.si_pid if status is not None else 0


def _children() -> list[int]:
    tasks = "/proc/self/task"
    pids: list[int] = []
    try:
        for task in os.listdir(tasks):  # noqa: PTH208 - 5 times faster
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                with open(f"{tasks}/{task}/children", "rb") as file:  # noqa: PTH123
                    pids += map(int, file.read().split())
    except OSError:
        import psutil

        return [child.pid for child in psutil.Process().children()]
    return pids


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            return file.read().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return False


def _command(pid: int) -> list[str]:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="replace") for part in raw.rstrip(b"\0").split(b"\0") if part]


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 100 else f"{text[:97]}..."


def _set_subreaper(value: int) -> int | None:
    """Set whether orphans come to this process; return the former setting, or None if impossible."""
    if sys.platform != "linux":
        return None
    try:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        former = ctypes.c_int()
        if libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(former), 0, 0, 0) != 0:
            return None
        libc.prctl(_PR_SET_CHILD_SUBREAPER, value, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return None
    return former.value


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return ProcessTracker()
