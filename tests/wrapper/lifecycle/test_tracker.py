"""Whatever the tracker made is listed while it lives, and not a moment longer."""

from __future__ import annotations

import asyncio
import threading

import pytest

from claude_wrapper.lifecycle import ResourceTracker
from claude_wrapper.shutdown import Watchdog

pytestmark = pytest.mark.anyio


async def test_a_task_vanishes_when_it_is_done_failed_or_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracker = ResourceTracker()

    async def fail() -> None:
        raise ValueError("broken")

    tasks = [
        tracker.spawn(asyncio.sleep(0), name="short"),
        tracker.spawn(fail(), name="failing"),
        tracker.spawn(asyncio.sleep(600), name="long"),
    ]
    assert [item.name for item in tracker.list("task")] == ["short", "failing", "long"]
    tasks[2].cancel()
    await asyncio.wait(tasks)
    await asyncio.sleep(0)
    assert tracker.list() == ()
    assert "task failing failed" in caplog.text


async def test_a_fired_timer_is_no_longer_listed() -> None:
    tracker, fired = ResourceTracker(), asyncio.Event()
    tracker.call_later(0, fired.set, name="soon")
    later = tracker.call_later(600, fired.set, name="later")
    await fired.wait()
    assert [item.name for item in tracker.list("timer")] == ["later"]
    tracker.cancel_timer(later)
    assert tracker.count() == 0


async def test_a_thread_vanishes_when_it_returns() -> None:
    tracker, go = ResourceTracker(), threading.Event()

    def work() -> None:
        go.wait()

    thread = tracker.thread(work, name="worker")
    assert tracker.count("thread") == 1
    go.set()
    await asyncio.get_running_loop().run_in_executor(None, thread.join)
    assert tracker.count("thread") == 0


async def test_cleanup_goes_on_after_a_failure_and_twice_is_harmless() -> None:
    tracker, closed = ResourceTracker(), []

    def refuse() -> None:
        raise OSError("stuck")

    tracker.track("socket", "first", lambda: closed.append("first"))
    tracker.track("socket", "second", refuse)
    folder, _ = tracker.temp_folder("test-")
    task = tracker.spawn(asyncio.sleep(600), name="long")
    outcomes = await tracker.cleanup_all(5)
    assert {o.resource.name: o.error for o in outcomes if o.error} == {"second": "OSError: stuck"}
    assert closed == ["first"]
    assert task.cancelled()
    assert not folder.exists()
    assert await tracker.cleanup_all(5) == ()


async def test_periodic_work_survives_its_own_failure() -> None:
    tracker, runs, enough = ResourceTracker(), [], asyncio.Event()

    async def work() -> None:
        runs.append(1)
        if len(runs) == 3:
            enough.set()
        raise ValueError("broken")

    tracker.every(0, work, name="periodic")
    await enough.wait()
    await tracker.cleanup_all(5)
    assert tracker.count() == 0


async def test_what_would_block_runs_in_the_loop_where_no_thread_is_to_be_had(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Cleaning up must go on above all when something is short."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    tracker = ResourceTracker()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert await tracker.in_thread(threading.get_ident, name="look") == threading.get_ident()
    assert "look runs in the loop" in caplog.text
    Watchdog(tracker, 1.0, lambda: None).call_off()
    assert tracker.list() == ()
