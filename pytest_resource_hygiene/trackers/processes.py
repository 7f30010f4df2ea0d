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
from collections import deque
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene import forks
from pytest_resource_hygiene.compiled import speedups
from pytest_resource_hygiene.positions import are_one_place
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Description, Moment, Tracker
from pytest_resource_hygiene.trackers._child_waits import ChildWaits
from pytest_resource_hygiene.trackers._children import (
    any_child,
    children,
    children_of_thread,
    is_zombie,
    parent_of,
    start_of,
)
from pytest_resource_hygiene.trackers._subreaper import set_subreaper
from pytest_resource_hygiene.trackers._young_records import YoungRecords

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from mmap import mmap

    from pytest_resource_hygiene.recorder import Creation, Recorder

_MAX_STARTS = 10_000  # where nobody asks for hours: a snapshot in a server
_STARTS = ("os.fork", "os.forkpty", "os.posix_spawn", "subprocess.Popen", "os.system")
_ID_SIZE = 8  # bytes

__tracebackhide__ = True  # an error of a function that is wrapped here is not ours


class Child:
    """A child process: its id, and whether it was handed to us by a parent that ended."""

    __slots__ = ("orphan", "pid")

    def __init__(self, pid: int, orphan: bool) -> None:
        self.pid = pid
        self.orphan = orphan


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
        self._young = YoungRecords()
        self._starting: set[int] = set()  # threads that are about to have a child
        self._were_starting: set[int] = set()
        self._forks: deque[Creation] = deque(maxlen=_MAX_STARTS)  # whose process ids are not known
        # How each thread that forks has come to it, and its children before: a pool of processes
        # that replaces its workers forks in a thread of its own, at any time.
        self._forking: dict[int, tuple[Creation, frozenset[int]]] = {}
        self._newborn: mmap | None = None  # shared with children, which write their ids to it
        self._own: set[tuple[int, int]] = set()
        self._listed: set[tuple[int, int]] = set()
        self._listed_before = False
        self._waits = ChildWaits(children, self._is_adopted)
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
            if "posix" in sys.modules:  # where `os` has them from
                recorder.wrap_result(sys.modules["posix"], name, self._note_pid)
        forks.after_in_parent(self.after_fork)
        recorder.on("os.fork", self._note_fork)
        recorder.on("os.forkpty", self._note_fork)
        self._wrap_fork_exec(recorder)
        if self.adopts:
            forks.after_in_child(self.after_fork_in_child)
            self._was_subreaper = set_subreaper(1)
            self._waits.start(recorder)

    def _wrap_fork_exec(self, recorder: Recorder) -> None:
        import subprocess

        with contextlib.suppress(ImportError):
            import _posixsubprocess

            recorder.wrap_result(_posixsubprocess, "fork_exec", self._note_pid)
            recorder.wrap_result(subprocess, "_fork_exec", self._note_pid)

    def stop(self) -> None:
        """Adopt no longer."""
        self._forks.clear()  # or a later fork would be taken for one of them
        self._waits.hide(())  # whoever has kept the wrapped functions
        if self._newborn is not None:
            self._newborn.close()
            self._newborn = None
        if self._was_subreaper is not None:
            set_subreaper(self._was_subreaper)

    def _note_start(self, args: tuple[Any, ...]) -> None:
        self._starting.add(System.get_ident())
        self._events += 1
        self._has_children = True
        assert self._recorder is not None
        self._recorder.stir()

    def _note_fork(self, args: tuple[Any, ...]) -> None:
        assert self._recorder is not None
        creation = self._recorder.creation(None)
        self._forks.append(creation)
        self._forking[System.get_ident()] = creation, frozenset(children_of_thread())
        if self.adopts:
            self._share_a_page()

    def _share_a_page(self) -> None:
        """Have the child that is about to be forked find where to write its id."""
        if self._newborn is None:
            assert self._recorder is not None
            with self._recorder.mute():  # not at the start of each run: most never fork
                import mmap

                self._newborn = mmap.mmap(-1, _ID_SIZE)
        self._newborn[:] = bytes(_ID_SIZE)

    def after_fork(self) -> None:
        """Learn the id of the child that this thread has just forked: no event tells it."""
        begun = self._forking.pop(System.get_ident(), None)
        if begun is None:
            return  # a fork of somebody who makes no event, or one within `subprocess`
        creation, before = begun
        new = set(children_of_thread()) - before
        if len(new) > 1:  # an orphan came at the same moment, perhaps of the child itself
            new &= {self._id_of_newborn()}
        if len(new) == 1:
            rest = [one for one in list(self._forks) if one is not creation]
            self._forks = deque(rest, maxlen=_MAX_STARTS)
            self._note_pid(new.pop(), creation)

    def after_fork_in_child(self) -> None:
        """Tell the parent who this is, before any other code runs here; what is forked here is not his."""
        if self._newborn is not None:
            self._newborn[:] = System.getpid().to_bytes(_ID_SIZE, "big")
            self._newborn = None
        self._was_subreaper = None  # orphans do not come here: that is not inherited, prctl(2)

    def _id_of_newborn(self) -> int:
        """Return what the last child has written; 0 if it has not come to that yet."""
        return int.from_bytes(self._newborn[:], "big") if self._newborn is not None else 0

    def _note_pid(self, pid: int, creation: Creation) -> None:
        for starting in (self._starting, self._were_starting):
            starting.discard(System.get_ident())
        self._events += 1
        self._has_children = True
        self._made.pop(pid, None)  # to come last
        self._made[pid] = creation
        if len(self._made) > _MAX_STARTS:
            del self._made[next(iter(self._made))]

    def reading(self) -> object:
        """Return forks seen, and whether there is any child, running or ended."""
        # Asking the kernel costs a microsecond and is in vain while nobody has ever forked.
        return self._events, any_child() if self._has_children else None

    def probes(self) -> Collection[Callable[[], object]]:
        """Ask about children while there are any; starts are recorded."""
        return (any_child,) if self._has_children else ()

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List children; reap orphans that have ended, as process 1 would have done.

        Tests that count children, and code that waits for any child, must not meet them. A child
        that C code made without any event looks the same; none is known that does.
        """
        found: dict[Hashable, Any] = {}
        listed: set[tuple[int, int]] = set()
        for pid in self._children_for_sure():
            try:
                key = pid, start_of(pid)
            except OSError:
                continue
            # Where a fork told no process id, what is new after it may be a child of our own.
            # And so may be one that another thread has started, and not told of yet.
            others = (self._starting | self._were_starting) - {System.get_ident()}
            may_be_own = self._forks or others
            if pid in self._made or may_be_own or not self._listed_before:
                self._own.add(key)
            orphan = key not in self._own
            if orphan and is_zombie(pid):
                self._reap(pid)
                continue
            found[key] = Child(pid, orphan)
            listed.add(key)
        self._listed_before = True
        self._listed = listed
        self._own &= listed
        if self._was_subreaper == 0:
            self._waits.hide(listed - self._own)
        return found

    def _children_for_sure(self) -> set[int]:
        """Return the children listed by the kernel, and those listed before that are still here.

        Where a child ends while the list is read, the kernel may leave out another: "reliable
        results only if all the child processes have been frozen", proc_pid_children(5).
        """
        pids = set(children())
        for pid, start in self._listed:
            if pid not in pids:
                with contextlib.suppress(OSError):
                    if start_of(pid) == start and parent_of(pid) == System.getpid():
                        pids.add(pid)
        return pids

    def _is_adopted(self, pid: int) -> bool:
        """Return whether this is surely an orphan, of whichever test.

        What uvloop starts is announced by nobody, and it has to be uvloop that hears of its end.
        """
        if self._was_subreaper != 0 or self._forks or pid in self._made or not self._listed_before:
            return False
        if "uvloop" in sys.modules or pid not in children():
            return False
        try:
            return (pid, start_of(pid)) not in self._own
        except OSError:
            return False

    def _reap(self, pid: int) -> None:
        if self._was_subreaper == 0:  # where somebody else made us one before, they are his
            with contextlib.suppress(ChildProcessError):
                System.waitpid(pid, os.WNOHANG)

    def forget(self) -> None:
        """Drop the starts of processes that have ended."""
        if self._made or self._forks:
            for pid in self._young.keys_to_drop(self._made):
                self._made.pop(pid, None)
            self._forks.clear()
        self._starting, self._were_starting = set(), self._starting
        if self._has_children:
            self._has_children = any_child() is not None

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Return who forked it; of an orphan, who started the process that most likely has."""
        made = self._made.get(value.pid)
        if made is None and value.orphan:
            return self._start_of_parent(value.pid)
        if made is not None or not self._forks:
            return made
        certain = are_one_place([fork.stack for fork in self._forks])
        return self._forks[-1]._replace(certain=certain)

    def late_creation(self, key: Hashable, value: Any) -> Creation | None:
        """Ask once more: another thread may have had the child before it told of it."""
        return self._made.get(value.pid)

    def _start_of_parent(self, pid: int) -> Creation | None:
        """Return how the leader of an orphan's group or session was started, or all that were."""
        for leader_of in (os.getpgid, os.getsid):
            with contextlib.suppress(OSError):
                if (made := self._made.get(leader_of(pid))) is not None:
                    return made
        starts = list(self._made.values())
        if not starts or not are_one_place([start.stack for start in starts]):
            return None
        return starts[-1]._replace(certain=False)

    def anchor(self, key: Hashable, value: Any) -> Any:
        """Find the object that has this process id."""
        from pytest_resource_hygiene.trackers._process_words import object_of

        return object_of(value.pid)

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say process id, command line and state."""
        from pytest_resource_hygiene.trackers._process_words import describe_child

        return describe_child(value)

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


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return ProcessTracker()
