"""Child processes, running or zombie, and grandchildren that were orphaned to us.

A grandchild whose parent ended goes to the nearest ancestor that calls itself a subreaper, else to
process 1, where no test would ever see it again. So on Linux this makes the test process a
subreaper while it watches, reaps the orphans that end, and hides those of earlier tests from
whoever waits for any child.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_resource_hygiene.compiled import speedups
from pytest_resource_hygiene.objects import attributes_of, instances_of
from pytest_resource_hygiene.positions import are_one_place
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Description, Moment, Tracker
from pytest_resource_hygiene.trackers._proc import start_time
from pytest_resource_hygiene.trackers._wait_for_any import WaitForAny

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from pytest_resource_hygiene.recorder import Creation, Recorder

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_PR_GET_CHILD_SUBREAPER = 37
# Handlers at forks can never be taken back, so there is one, and it asks who is listening.
_listening: weakref.WeakSet[ProcessTracker] = weakref.WeakSet()
_at_fork_installed = False
_STARTS = ("os.fork", "os.forkpty", "os.posix_spawn", "subprocess.Popen", "os.system")


class Child(NamedTuple):
    """A child process: its id, and whether it was handed to us by a parent that ended."""

    pid: int
    orphan: bool


class ProcessTracker(Tracker):
    """Children by process id and start time.

    Attributes:
        adopts: whether orphans are to come to this process; read at `start`.
    """

    kind = "processes"
    title = "child process"
    rank = 60

    def __init__(self) -> None:
        """Wait for `start`."""
        self.adopts = True
        self._events = 0
        self._has_children = True
        self._made: dict[int, Creation] = {}
        self._forks: list[Creation] = []  # those whose process ids are not known
        self._before_fork: frozenset[int] = frozenset()
        self._own: set[tuple[int, int]] = set()
        self._listed: set[tuple[int, int]] = set()
        self._listed_before = False
        self._wait_for_any = WaitForAny(_children)
        self._recorder: Recorder | None = None
        self._was_subreaper: int | None = None

    def start(self, recorder: Recorder) -> None:
        """Hear of every fork, and adopt orphans."""
        self._recorder = recorder
        for event in _STARTS:
            recorder.on(event, self._note_start)
        # Not os.fork: its warning about threads would name our wrapper as the place.
        for name in ("posix_spawn", "posix_spawnp"):
            recorder.wrap_result(os, name, self._note_pid)
        _listen_at_forks(self)
        recorder.on("os.fork", self._note_fork)
        recorder.on("os.forkpty", self._note_fork)
        self._wrap_fork_exec(recorder)
        if self.adopts:
            self._was_subreaper = _set_subreaper(1)
            self._wait_for_any.start(recorder)

    def _wrap_fork_exec(self, recorder: Recorder) -> None:
        import subprocess

        with contextlib.suppress(ImportError):
            import _posixsubprocess

            recorder.wrap_result(_posixsubprocess, "fork_exec", self._note_pid)
            recorder.wrap_result(subprocess, "_fork_exec", self._note_pid)

    def stop(self) -> None:
        """Adopt no longer."""
        _listening.discard(self)
        self._wait_for_any.hide(())  # whoever has kept the wrapped functions
        if self._was_subreaper is not None:
            _set_subreaper(self._was_subreaper)

    def _note_start(self, args: tuple[Any, ...]) -> None:
        self._events += 1
        self._has_children = True
        assert self._recorder is not None
        self._recorder.stir()

    def _note_fork(self, args: tuple[Any, ...]) -> None:
        assert self._recorder is not None
        self._forks.append(self._recorder.creation(None))
        self._before_fork = frozenset(_children_of_thread())

    def after_fork(self) -> None:
        """Learn the id of the child that this thread has just forked: no event tells it."""
        if not self._forks:
            return  # a fork of somebody who makes no event, or one within `subprocess`
        new = set(_children_of_thread()) - self._before_fork
        if len(new) == 1:  # else an orphan came at the same moment
            self._note_pid(new.pop(), self._forks.pop())

    def _note_pid(self, pid: int, creation: Creation) -> None:
        self._events += 1
        self._has_children = True
        self._made[pid] = creation

    def reading(self) -> object:
        """Return forks seen, and whether there is any child, running or ended."""
        # Asking the kernel costs a microsecond and is in vain while nobody has ever forked.
        return self._events, _any_child() if self._has_children else None

    def probes(self) -> Collection[Callable[[], object]]:
        """Ask about children while there are any; starts are recorded."""
        return (_any_child,) if self._has_children else ()

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List children; reap orphans that have ended, as process 1 would have done.

        Tests that count children, and code that waits for any child, must not meet them. A child
        that C code made without any event looks the same; none is known that does.
        """
        found: dict[Hashable, Any] = {}
        listed: set[tuple[int, int]] = set()
        for pid in self._children_for_sure():
            try:
                key = pid, _start_of(pid)
            except OSError:
                continue
            # Where a fork told no process id, what is new after it may be a child of our own.
            if pid in self._made or self._forks or not self._listed_before:
                self._own.add(key)
            orphan = key not in self._own
            if orphan and _is_zombie(pid):
                self._reap(pid)
                continue
            found[key] = Child(pid, orphan)
            listed.add(key)
        self._listed_before = True
        self._listed = listed
        self._own &= listed
        if self._was_subreaper == 0:
            self._wait_for_any.hide(listed - self._own)
        return found

    def _children_for_sure(self) -> set[int]:
        """Return the children listed by the kernel, and those listed before that are still here.

        Where a child ends while the list is read, the kernel may leave out another: "reliable
        results only if all the child processes have been frozen", proc_pid_children(5).
        """
        pids = set(_children())
        for pid, start in self._listed:
            if pid not in pids:
                with contextlib.suppress(OSError):
                    if _start_of(pid) == start and _parent_of(pid) == System.getpid():
                        pids.add(pid)
        return pids

    def _reap(self, pid: int) -> None:
        if self._was_subreaper == 0:  # where somebody else made us one before, they are his
            with contextlib.suppress(ChildProcessError):
                System.waitpid(pid, os.WNOHANG)

    def forget(self) -> None:
        """Drop the starts of processes that have ended."""
        if self._made or self._forks:
            self._made.clear()
            self._forks.clear()
        if self._has_children:
            self._has_children = _any_child() is not None

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Return who forked it."""
        made = self._made.get(value.pid)
        if made is not None or value.orphan or not self._forks:
            return made
        certain = are_one_place([fork.stack for fork in self._forks])
        return self._forks[-1]._replace(certain=certain)

    def anchor(self, key: Hashable, value: Any) -> Any:
        """Find the object that has this process id."""
        import subprocess

        for obj in instances_of(subprocess.Popen):
            if attributes_of(obj).get("pid") == value.pid:
                return obj
        return None

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say process id, command line and state."""
        # Loaded with the first finding: a clean run never needs it.
        from pytest_resource_hygiene.trackers._secrets import without_secrets

        command = without_secrets(_command(value.pid))
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
        """Start a process that has ended at once, or one that waits for the end of its input."""
        if speedups is not None and sys.platform == "linux":
            return self._zombie()
        return _sleeper() if sys.platform != "win32" else None

    @contextlib.contextmanager
    def _zombie(self) -> Iterator[object]:
        assert speedups is not None
        pid = speedups.make_zombie()
        if self._recorder is not None:  # else it would be reaped as an orphan by whoever lists it
            self._note_pid(pid, self._recorder.creation(None))
        try:
            yield pid
        finally:
            os.waitpid(pid, 0)


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
        System.close(reading)
        System.close(writing)


def _any_child() -> int | None:
    """Return None without children, 0 if all are running, else the id of one that has ended."""
    try:
        status = System.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except (ChildProcessError, AttributeError):
        return None
    return status.si_pid if status is not None else 0


def _listen_at_forks(tracker: ProcessTracker) -> None:
    global _at_fork_installed  # noqa: PLW0603 - per process, for ever
    _listening.add(tracker)
    if not _at_fork_installed and hasattr(os, "register_at_fork"):
        _at_fork_installed = True
        os.register_at_fork(after_in_parent=_after_fork)


def _after_fork() -> None:
    for tracker in list(_listening):
        tracker.after_fork()


def _children_of_thread() -> list[int]:
    try:
        return [int(pid) for pid in System.read("/proc/thread-self/children").split()]
    except OSError:
        return []


def _children() -> list[int]:
    tasks = "/proc/self/task"
    pids: list[int] = []
    try:
        for task in System.listdir(tasks):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                pids += map(int, System.read(f"{tasks}/{task}/children").split())
    except OSError:
        import psutil

        return [child.pid for child in psutil.Process().children()]
    return pids


def _start_of(pid: int) -> int:
    return start_time(f"/proc/{pid}/stat") if sys.platform == "linux" else 0


def _parent_of(pid: int) -> int:
    return int(System.read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1])


def _is_zombie(pid: int) -> bool:
    try:
        return System.read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return False


def _command(pid: int) -> list[str]:
    try:
        raw = System.read(f"/proc/{pid}/cmdline")
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
    if speedups is not None:
        former_value: int | None = speedups.set_subreaper(value)
        return former_value
    try:
        import ctypes  # takes three milliseconds

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
