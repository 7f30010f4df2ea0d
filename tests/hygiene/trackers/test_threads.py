"""Threads in words: what they run, and how each sort of them is ended."""

from __future__ import annotations

import _thread
import ctypes
import socketserver
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.compiled import speedups
from pytest_resource_hygiene.tracker import Moment
from pytest_resource_hygiene.trackers import _thread_table
from pytest_resource_hygiene.trackers._thread_table import RawThread, _let_begin
from pytest_resource_hygiene.trackers.threads import ThreadTracker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_resource_hygiene.recorder import Recorder


@pytest.fixture
def tracker(recorder: Recorder) -> ThreadTracker:
    """A tracker that has begun to record."""
    tracker = ThreadTracker()
    tracker.start(recorder)
    return tracker


@pytest.fixture
def done() -> Iterator[threading.Event]:
    """What the threads of a test wait for."""
    event = threading.Event()
    yield event
    event.set()


class _Polls(threading.Thread):
    """A thread that says itself what it runs."""

    def run(self) -> None:
        """Do nothing."""


def _hint(tracker: ThreadTracker, thread: threading.Thread) -> str | None:
    return tracker.describe(0, thread).hint


def test_a_timer_is_no_thread(tracker: ThreadTracker, done: threading.Event) -> None:
    """It is listed as a timer, and would be told twice."""
    timer, thread = threading.Timer(3600, print), threading.Thread(target=done.wait)
    for one in (timer, thread):
        one.start()
    try:
        listed = list(tracker.list_resources(Moment()).values())
    finally:
        timer.cancel()
        done.set()
        for one in (timer, thread):
            one.join()

    assert thread in listed
    assert timer not in listed


@pytest.mark.parametrize(
    ("made", "target"),
    [
        (threading.Thread(target=print), "builtins.print"),
        (threading.Thread(target=partial(print, 1)), "builtins.print"),
        (_Polls(), f"{__name__}._Polls.run"),
    ],
    ids=["function", "partial", "overridden"],
)
def test_a_thread_is_known_by_what_it_runs(
    tracker: ThreadTracker, made: threading.Thread, target: str
) -> None:
    said = tracker.describe(0, made)

    assert said.target == target
    assert said.summary == f"thread {made.name!r} running {target}"


def test_a_raw_thread_is_held_by_the_object_whose_method_it_runs(tracker: ThreadTracker) -> None:
    """It has no object of its own; a plain thread is that object itself."""
    raw, unknown = RawThread(7, lambda: [].append, None), RawThread(7, None, None)
    thread = threading.Thread(target=print)

    assert tracker.anchor(0, raw) == []
    assert tracker.anchor(0, unknown) is None
    assert tracker.anchor(0, thread) is thread
    assert tracker.describe(0, raw).summary == "raw thread running list.append"
    assert tracker.describe(0, unknown).target == "unknown target"


def test_each_sort_of_thread_has_its_own_way_to_end(
    tracker: ThreadTracker, done: threading.Event
) -> None:
    """An executor is shut down, a pool closed, a server stopped; all else is told to stop."""
    with ThreadPoolExecutor(1) as executor, ThreadPool(1) as pool:
        executor.submit(done.wait)
        (worker,) = executor._threads
        pools: Any = pool
        of_executor, of_pool = _hint(tracker, worker), _hint(tracker, pools._pool[0])
        done.set()  # before anything can fail, or the block would wait for it
    assert "executor.shutdown()" in str(of_executor)
    assert "pool.close()" in str(of_pool)
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        serves = threading.Thread(target=server.serve_forever)
        assert "server.shutdown()" in str(_hint(tracker, serves))
    feeder = threading.Thread(target=print, name="QueueFeederThread")
    assert "queue.join_thread()" in str(_hint(tracker, feeder))
    assert "Event" in str(_hint(tracker, threading.Thread(target=print)))


def test_a_timer_that_sets_itself_again_keeps_no_record_of_all_before(
    tracker: ThreadTracker, recorder: Recorder, done: threading.Event
) -> None:
    """Each starts in the thread of the last; a heartbeat does so for as long as the process runs."""
    timers: list[threading.Timer] = []

    def ring() -> None:
        timer = threading.Timer(0, ring if len(timers) < 100 else done.set)
        timers.append(timer)
        timer.start()

    recorder.start()
    ring()
    assert done.wait(30)
    for timer in timers:
        timer.join()

    makers = 0
    creation = tracker.creation(0, timers[-1])
    while creation is not None:
        makers, first, creation = makers + 1, creation, creation.parent
    assert 2 <= makers < 20
    me = "test_a_timer_that_sets_itself_again_keeps_no_record_of_all_before"
    assert me in [code.co_name for code in first.stack[::2]]


@contextmanager
def _thread_of_c() -> Iterator[None]:
    libc = ctypes.CDLL(None)
    handle = ctypes.c_ulong()
    assert not libc.pthread_create(ctypes.byref(handle), None, libc.pause, None)
    try:
        yield
    finally:
        libc.pthread_cancel(handle)
        libc.pthread_join(handle, None)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's list of threads")
def test_a_raw_thread_that_was_there_before_stays_the_one_when_one_of_c_comes_and_goes(
    recorder: Recorder,
) -> None:
    """As in a worker of xdist, where such a thread reads what the controller sends."""
    begun, may_end, ended = (_thread.allocate_lock() for _ in range(3))
    for lock in (begun, may_end, ended):
        lock.acquire()

    def receive() -> None:
        begun.release()
        may_end.acquire()
        ended.release()

    _thread.start_new_thread(receive, ())
    begun.acquire()
    try:
        tracker = ThreadTracker()
        tracker.start(recorder)
        before = tracker.list_resources(Moment()).keys()
        with _thread_of_c():
            during = tracker.list_resources(Moment()).keys()
        after = tracker.list_resources(Moment()).keys()
    finally:
        may_end.release()
        ended.acquire()
    assert before
    assert before == during == after


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's list of threads")
def test_a_guess_is_taken_back_when_there_are_fewer_threads_of_python_than_it_takes(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that is ending is counted a little longer than `threading` lists it."""
    monkeypatch.setattr(_thread_table, "speedups", None)  # which knows better
    tracker = ThreadTracker()
    tracker.start(recorder)
    before = tracker.list_resources(Moment()).keys()
    count = _thread._count
    with _thread_of_c():
        monkeypatch.setattr(_thread, "_count", lambda: count() + 1)
        guessed = tracker.list_resources(Moment()).keys() - before
        monkeypatch.undo()
        monkeypatch.setattr(_thread_table, "speedups", None)
        after = tracker.list_resources(Moment()).keys()
    assert len(guessed) == 1
    assert after == before


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's list of threads")
def test_a_raw_thread_that_waits_for_a_processor_is_waited_for(
    tracker: ThreadTracker, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine it is counted only after a tenth of a second and more."""
    monkeypatch.setattr(_thread_table, "speedups", None)  # which knows better
    recorder.start()
    may_end = _thread.allocate_lock()
    may_end.acquire()
    before = tracker.list_resources(Moment()).keys()
    _thread.start_new_thread(may_end.acquire, ())
    try:
        count, asked = _thread._count, iter(range(80))
        monkeypatch.setattr(_thread, "_count", lambda: count() - (next(asked, None) is not None))
        monkeypatch.setattr(_thread_table, "_wants_to_run", lambda _tid: True)
        new = tracker.list_resources(Moment()).keys() - before
    finally:
        may_end.release()
    assert len(new) == 1


@pytest.mark.skipif(speedups is None, reason="the states of threads")
def test_a_raw_thread_is_one_though_others_come_and_go(
    tracker: ThreadTracker, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of threads is smaller at that moment; a thread of C's is none of Python's for it."""
    recorder.start()
    may_end = _thread.allocate_lock()
    may_end.acquire()
    before = tracker.list_resources(Moment()).keys()
    count = _thread._count
    with _thread_of_c():
        _thread.start_new_thread(may_end.acquire, ())
        try:
            monkeypatch.setattr(_thread, "_count", lambda: count() - 1)
            new = tracker.list_resources(Moment()).keys() - before
        finally:
            may_end.release()
    assert len(new) == 1


def test_the_newest_thread_is_that_which_began_last(
    tracker: ThreadTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's numbers begin again when all have been used."""
    began = {30_000: 1, 31_000: 2, 400: 3}
    monkeypatch.setattr(_thread_table, "_started", began.__getitem__)
    assert tracker._threads()._keys(set(began)) == list(began.items())


def test_of_thousands_of_raw_starts_the_latest_are_kept(tracker: ThreadTracker) -> None:
    """A snapshot in a server may not be looked at for months."""
    table = tracker._threads()
    for _ in range(10_100):
        table._note_start((print, ()))

    assert len(table._raw_starts) == 10_000


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's ids of threads")
def test_a_thread_whose_starter_has_ended_is_waited_for() -> None:
    """Until it runs, its state has the id of the thread that has started it."""
    starter = threading.Thread(target=int)
    starter.start()
    starter.join()
    ended, here = starter.native_id or 0, threading.get_native_id()
    answers = [[here, ended], [here, 0], [here, here], [here]]
    stale: set[int] = set()

    _let_begin(lambda: answers.pop(0), stale)

    assert not answers
    assert not stale


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's ids of threads")
def test_a_state_that_is_left_behind_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread of C's may end without dropping its own."""
    monkeypatch.setattr(_thread_table, "_LONG_START_UP", 0.01)
    here, none_has_it = threading.get_native_id(), 2**30
    asked: list[None] = []

    def states() -> list[int]:
        asked.append(None)
        return [here, none_has_it]

    stale: set[int] = set()
    _let_begin(states, stale)
    first = len(asked)
    _let_begin(states, stale)

    assert first > 1
    assert len(asked) == first + 1
    assert stale == {none_has_it}
