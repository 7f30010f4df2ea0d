"""The audit names exactly what was made behind the tracker's back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from claude_wrapper.lifecycle import Baseline, ResourceTracker
from claude_wrapper.lifecycle.audit import audit

pytestmark = pytest.mark.anyio


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
