"""All threads of the process in three groups: `threading.Thread`, raw `_thread`, and foreign ones.

A raw thread is in neither ``threading.enumerate()`` nor, while it is blocked in C code that was its
very target, ``sys._current_frames()``. What remains is arithmetic: ``_thread._count()`` is the
number of threads that Python started, so those which `threading` does not know are raw, and the
kernel's list gives their ids.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
import weakref
from collections import deque
from functools import partial
from operator import itemgetter
from types import FunctionType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.compiled import speedups
from pytest_resource_hygiene.objects import attribute_of, code_of, is_a
from pytest_resource_hygiene.positions import are_one_place
from pytest_resource_hygiene.recorder import Creation
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import IdentityKey
from pytest_resource_hygiene.trackers._proc import LINKS, ProcFolder, start_time
from pytest_resource_hygiene.trackers._young_records import YoungRecords

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from types import CodeType, FrameType

    from pytest_resource_hygiene.recorder import Recorder
    from pytest_resource_hygiene.tracker import Moment

__all__ = ["NativeThread", "RawThread", "ThreadTable", "present_stack"]

__tracebackhide__ = True  # an error of a function that is wrapped here is not ours

# By name, for eventlet has classes of its own that are called so.
_NO_THREADS = frozenset({"_DummyThread", "_MainThread"})
_LINUX = bool(sys.platform == "linux")
_TASKS = "/proc/self/task"
_native_id: Any = vars(System.Thread).get("native_id")  # whatever a derived class makes of it
_MAX_STARTS = 10_000  # where nobody asks for hours: a snapshot in a server
_START_UP = (
    50  # milliseconds in which a thread has begun, not counted while it waits for a processor
)
_LONG_START_UP = 1.0  # seconds that it may wait for one on a busy machine
_MAX_IN_TURN = 8  # threads that start each other in turn


_Keys = list[tuple[int, int]]  # of threads: kernel id and start, the oldest first

# Plain classes: each named tuple takes a fifth of a millisecond at the start of every run.


class RawThread:
    """A thread started by ``_thread.start_new_thread``: kernel id, target, and how it was made.

    The target is asked for, not kept: that it goes is how the end of such a thread is noticed.
    """

    __slots__ = ("_target", "creation", "tid")

    def __init__(
        self, tid: int, target: Callable[[], Any] | None, creation: Creation | None
    ) -> None:
        self.tid = tid
        self._target = target
        self.creation = creation

    @property
    def function(self) -> Any:
        """The target, or None if it is not known, or gone with the thread."""
        return self._target() if self._target is not None else None


class NativeThread:
    """A thread that Python did not start: kernel id and the name that the kernel shows."""

    __slots__ = ("name", "tid")

    def __init__(self, tid: int, name: str) -> None:
        self.tid = tid
        self.name = name


class _Scan:
    __slots__ = ("native", "python", "raw")

    def __init__(
        self,
        python: dict[Hashable, threading.Thread],
        raw: dict[Hashable, RawThread],
        native: dict[Hashable, NativeThread],
    ) -> None:
        self.python = python
        self.raw = raw
        self.native = native


class ThreadTable:
    """Hears of every start, and sorts the kernel's list."""

    def __init__(self, recorder: Recorder) -> None:
        """Hook the recorder; one instance serves all kinds, through `Recorder.service`."""
        self.starts = 0
        self._recorder = recorder
        self._raw_starts: deque[Creation] = deque(maxlen=_MAX_STARTS)
        self._young_starts = YoungRecords()
        self._raw: dict[Hashable, RawThread] = {}
        self._waited_for: list[tuple[int, int]] = []  # in vain
        self._stale_states: set[int] = set()
        self._guessed: set[Hashable] = set()  # raw ones whose start nobody has recorded
        self._native: set[tuple[int, int]] = set()
        self._python_ids: set[int | None] = set()
        self._tasks = ProcFolder(_TASKS, LINKS)
        if sys.version_info >= (3, 12):
            recorder.on("_thread.start_new_thread", self._note_start)
            recorder.on("_thread.start_joinable_thread", self._note_start)  # Python 3.13
            for name in ("_start_new_thread", "_start_joinable_thread"):
                if isinstance(getattr(threading, name, None), FunctionType):
                    # A greenlet under gevent: neither the interpreter nor the kernel tells of it.
                    recorder.wrap(threading, name, self._noting_start)
        else:  # no audit event yet
            recorder.wrap(threading, "_start_new_thread", self._noting_start)
            recorder.wrap(_thread, "start_new_thread", self._noting_start)
            recorder.wrap(_thread, "start_new", self._noting_start)
            for module in ("gevent.threadpool", "gevent._monitor"):
                recorder.when_imported(module, partial(self._heed_gevent, module))

    def close(self) -> None:
        """Close the one descriptor that this keeps."""
        self._tasks.close()

    def _noting_start(self, original: Callable[..., int]) -> Callable[..., int]:
        def start_new_thread(*args: Any, **kwargs: Any) -> int:
            if args:
                self._note_start(args)
            return original(*args, **kwargs)

        return start_new_thread

    def _heed_gevent(self, name: str) -> None:
        """Hear of the workers of gevent's hub, which it starts by the function that it has kept."""
        module = sys.modules[name]
        if hasattr(module, "start_new_thread"):
            self._recorder.wrap(module, "start_new_thread", self._noting_start)

    def _note_start(self, args: tuple[Any, ...]) -> None:
        self.starts += 1
        thread = attribute_of(args[0], "__self__")
        if is_a(thread, System.Thread):
            self._recorder.threads[thread] = _without_repetition(
                Creation(*self._recorder.site(None))
            )
        else:
            self._raw_starts.append(Creation(*self._recorder.site(_weakly(args[0]))))

    def forget(self) -> None:
        """Drop the starts of raw threads that have ended, but for what another thread has just begun."""
        self._young_starts.drop_others(self._raw_starts, len(self._raw_starts))

    def reading(self) -> tuple[int, int]:
        """Return starts seen, and the number of threads that Python started and that live."""
        return self.starts, _thread._count()  # noqa: SLF001

    def total(self) -> int | None:
        """Return a number that changes with the number of kernel threads, or None."""
        return self._tasks.measure()

    def scan(self, moment: Moment) -> _Scan:
        """Sort all live threads, once in a moment."""
        result: _Scan = moment.once(self, self._scan)
        return result

    def _scan(self) -> _Scan:
        main = System.main_thread()
        known = [t for t in System.threads() if type(t).__name__ not in _NO_THREADS]
        python: dict[Hashable, threading.Thread] = {
            IdentityKey(thread): thread for thread in known if thread is not main
        }
        ids = {_tid(thread) for thread in known} | {_tid(main)}
        # What was a Python thread a moment ago is ending: it has left `threading`, not the kernel.
        listed = _kernel_threads()
        strangers = self._keys(listed - ids - self._python_ids)
        self._python_ids = ids | (listed & self._python_ids)
        raw: dict[Hashable, RawThread] = {k: self._raw[k] for k in strangers if k in self._raw}
        guessed = [key for key in strangers if key in self._guessed]
        fresh = [k for k in strangers if k not in raw and k not in self._guessed | self._native]
        missing, fresh = self._missing(len(python) + len(raw) + len(guessed), fresh)
        if missing > 0:  # the newest were just started
            raw.update(self._started_raw(fresh[-missing:]))
        # A guess holds, or another thread would seem to be new when one of C's comes and goes. But
        # one may be wrong: a thread that is ending is counted longer than `threading` lists it.
        right = guessed[:missing] if missing < 0 else guessed
        raw.update((key, RawThread(key[0], None, None)) for key in right)
        self._raw = {key: one for key, one in raw.items() if one.creation is not None}
        self._guessed = raw.keys() - self._raw.keys()
        self._native = {key for key in strangers if key not in raw}
        native: dict[Hashable, NativeThread] = {
            key: NativeThread(key[0], _name(key[0])) for key in strangers if key not in raw
        }
        return _Scan(python, raw, native)

    def _keys(self, tids: set[int | None]) -> list[tuple[int, int]]:
        """Return id and start of each, the oldest first: the kernel's numbers begin again at some time."""
        keys = []
        for tid in sorted(tid for tid in tids if tid is not None):
            try:
                keys.append((tid, _started(tid)))
            except OSError:
                continue
        return sorted(keys, key=itemgetter(1))

    def _missing(self, listed: int, fresh: _Keys) -> tuple[int, _Keys]:
        """Return how many Python threads are not listed, and which they may be."""
        if speedups is None:
            return self._missing_by_count(listed, fresh), fresh
        if fresh and self._raw_starts:
            _let_begin(speedups.threads_of_python, self._stale_states)
        counted: int = _thread._count() - listed  # noqa: SLF001
        # Where others come and go at this moment, the count says nothing. A thread of C's that only
        # calls Python has a state as well; nobody has started that one.
        states = set(speedups.threads_of_python()) if fresh else set()
        fresh = [key for key in fresh if key[0] in states]
        return min(len(fresh), max(counted, len(self._raw_starts))) or min(counted, 0), fresh

    def _missing_by_count(self, listed: int, fresh: _Keys) -> int:
        """Return how many Python threads are not listed; one that is just starting counts late."""
        wanted = min(len(fresh), len(self._raw_starts))
        missing: int = _thread._count() - listed  # noqa: SLF001
        tries = 0 if fresh == self._waited_for else _START_UP
        until = System.perf_counter() + _LONG_START_UP
        while missing < wanted and tries and System.perf_counter() < until:
            System.sleep(0.001)
            tries = _START_UP if any(_wants_to_run(tid) for tid, _ in fresh) else tries - 1
            missing = _thread._count() - listed  # noqa: SLF001
        self._waited_for = fresh if missing < wanted else []  # once: greenlets are never counted
        return missing

    def _started_raw(self, keys: list[tuple[int, int]]) -> dict[Hashable, RawThread]:
        """Find the start of each raw thread: if as many may be alive as are, in their order."""
        starts = _alive(self._raw_starts) or list(self._raw_starts)
        if not starts:
            return {key: RawThread(key[0], None, None) for key in keys}
        certain = are_one_place([start.stack for start in starts])
        if len(starts) != len(keys):
            starts = [starts[-1]] * len(keys)
        return {
            key: RawThread(key[0], start.what, start._replace(certain=certain))
            for key, start in zip(keys, starts, strict=True)
        }


def _let_begin(states_of: Callable[[], list[int]], stale: set[int]) -> None:
    """Wait for threads that were started and have not come to run yet.

    Until then their states have no id, or that of the thread that has started them, which may have
    ended.

    Args:
        states_of: returns the ids of all states.
        stale: ids of states that somebody has left behind, for which was waited in vain; more are added.
    """
    until = System.perf_counter() + _LONG_START_UP
    states = states_of()
    ended = set(states) - _kernel_threads() - stale
    while 0 in states or len(set(states)) < len(states) or ended:
        if System.perf_counter() >= until:
            stale |= ended
            break
        System.sleep(0.001)
        states = states_of()
        ended = set(states) - _kernel_threads() - stale


def _wants_to_run(tid: int) -> bool:
    """Return whether a thread waits for a processor, or has one (field 3 of proc_pid_stat(5))."""
    try:
        fields = System.read(f"{_TASKS}/{tid}/stat").rpartition(b")")[2].split()
    except OSError:
        return False
    return fields[0] == b"R"


def _without_repetition(start: Creation) -> Creation:
    """Leave out the makers since a thread was last started so: they say nothing new.

    A timer that sets itself again does it in a thread that the last one has started, and so on for
    as long as the process runs. Each record would keep all before it.
    """
    maker, links = start.parent, 0
    while maker is not None and maker.parent is not None and links < _MAX_IN_TURN:
        if maker.stack == start.stack:
            return start._replace(parent=maker.parent)
        maker, links = maker.parent, links + 1
    return start


def _alive(starts: Iterable[Creation]) -> list[Creation]:
    """Leave out the starts whose function, if it is Python's, runs in no thread any more."""
    running: set[CodeType] = set()
    for frame in sys._current_frames().values():  # noqa: SLF001
        outermost: FrameType | None = frame
        while outermost is not None:
            code, outermost = outermost.f_code, outermost.f_back
        running.add(code)
    # Of a function in C nobody can say whether it still runs, unless it is gone.
    targets = [(start, start.what()) for start in starts]
    return [
        start
        for start, target in targets
        if target is not None and code_of(target) in {None, *running}
    ]


def _weakly(function: Any) -> Callable[[], Any]:
    """Refer to a target, which the thread itself keeps for as long as it runs."""
    try:
        return weakref.ref(function)
    except TypeError:
        return lambda: function


def _kernel_threads() -> set[int | None]:
    if _LINUX:
        return set(map(int, System.listdir(_TASKS)))
    import psutil

    return {thread.id for thread in psutil.Process().threads()}


def _tid(thread: threading.Thread) -> int | None:
    """Return the kernel's id, or None: eventlet's own threads, and the main one under it, have none."""
    try:
        found: int | None = _native_id.__get__(thread)
    except AttributeError:
        return os.getpid() if thread is System.main_thread() and _LINUX else None
    return found


def _started(tid: int) -> int:
    return start_time(f"{_TASKS}/{tid}/stat") if sys.platform == "linux" else 0


def _name(tid: int) -> str:
    try:
        return System.read(f"{_TASKS}/{tid}/comm").decode(errors="replace").strip()
    except OSError:
        return ""


def present_stack(ident: int | None) -> tuple[str, ...]:
    """Return where the thread with that ident is now, outermost first; empty if in C from birth."""
    frame = sys._current_frames().get(ident) if ident is not None else None  # noqa: SLF001
    lines: list[str] = []
    while frame is not None:
        lines.append(f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}")
        frame = frame.f_back
    return tuple(reversed(lines))
