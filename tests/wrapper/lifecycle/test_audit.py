"""The audit names exactly what was made behind the tracker's back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from wrapper.support.clock import FakeClock

from claude_wrapper.http_protocol import HttpProtocol
from claude_wrapper.lifecycle import AuditReport, Baseline, Emitter, ResourceTracker, audit
from claude_wrapper.monitoring.auditor import Auditor

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_the_timers_of_a_connection_are_the_http_servers() -> None:
    """A client that keeps its connection has one all the time; another's timer is a stranger."""
    loop, tracker = asyncio.get_running_loop(), ResourceTracker()
    before = set(audit(tracker, Baseline.now()).strangers)
    timers = [loop.call_later(600, HttpProtocol._head_is_late, None), loop.call_later(600, is_odd)]
    try:
        strangers = set(audit(tracker, Baseline.now()).strangers) - before
    finally:
        for timer in timers:
            timer.cancel()
    assert strangers == {f"timer {__name__}.is_odd"}


def is_odd() -> None:
    """Stand for a callback of anybody's."""


async def test_strangers_of_each_kind_are_named_and_nothing_else() -> None:
    tracker, stop = ResourceTracker(), threading.Event()
    # The test runner's own tasks and threads are not the server's.
    known = Baseline.now()
    before = set(audit(tracker, known).strangers)
    tracker.spawn(asyncio.sleep(600), name="ours")
    task = asyncio.create_task(asyncio.sleep(600), name="stray-task")
    thread = threading.Thread(target=stop.wait, name="stray-thread")
    thread.start()
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    )
    try:
        report = audit(tracker, known)
        found = {f"child cli {child.pid}", "task stray-task", "thread stray-thread"}
        assert set(report.strangers) - before == found
        assert report.ghosts == ()
    finally:
        stop.set()
        thread.join()
        child.communicate()
        task.cancel()
        await tracker.cleanup_all(5)


async def test_an_entry_of_something_dead_is_a_ghost() -> None:
    tracker = ResourceTracker()
    entry = tracker.track("child", "cli 999999999", lambda: None)
    assert audit(tracker).ghosts == ("child cli 999999999",)
    entry.done()


async def test_timers_folders_and_listeners_behind_its_back_are_named(tmp_path: Path) -> None:
    tracker, loop = ResourceTracker(), asyncio.get_running_loop()
    ours = tmp_path / "ours"
    for folder in (ours, tmp_path / "stray"):
        folder.mkdir()
    made, _ = tracker.temp_folder("made-", tmp_path)
    tracker.call_later(600, stray_callback, name="ours")
    tracker.emitter("ours").on("a", lambda: None)
    known = Baseline.now()
    assert audit(tracker, known, folder=tmp_path, folders=[ours]).strangers == (
        f"folder {tmp_path / 'stray'}",
    )
    timer, emitter = loop.call_later(600, stray_callback), Emitter("stray")
    emitter.on("a", lambda: None)
    found = audit(tracker, known).strangers
    assert [name.partition(" at ")[0] for name in found] == [
        "listener stray.a", f"timer {stray_callback.__module__}.stray_callback"
    ]  # fmt: skip
    timer.cancel()
    emitter.destroy()
    made.rmdir()
    report = audit(tracker, known)
    assert (report.strangers, report.ghosts) == ((), (f"temp_folder {made}",))
    await tracker.cleanup_all(5)


def stray_callback() -> None:
    """Never called: an hour is long."""


async def test_only_what_is_found_twice_is_reported_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    tracker = ResourceTracker(clock.sleep)
    seen = [("passing",), ("staying",), ("staying",), ("staying",), ()]
    auditor = Auditor(tracker, lambda _known: AuditReport(strangers=seen.pop(0), ghosts=()), clock)
    await auditor.start()
    confirmed = []
    for _ in range(5):
        await clock.advance(60)
        confirmed.append(auditor.confirmed.strangers)
    assert confirmed == [(), (), ("staying",), ("staying",), ()]
    assert caplog.text.count("the audit found what the tracker does not: staying") == 1
    assert auditor.to_dict()["runs"] == 5
    await auditor.destroy()
    assert tracker.list() == ()
