"""Servers built and closed in one process leave it as it was."""

from __future__ import annotations

import asyncio
import atexit
import gc
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from claude_wrapper.lifecycle.emitter import living_emitters
from claude_wrapper.server import EXIT_FAILED, EXIT_LEFT, WrapperServer
from claude_wrapper.settings import load_settings
from claude_wrapper.shutdown import ShutdownStep, SignalHub, Verifier, read_report, run_steps
from pytest_resource_hygiene import no_leaks

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

FDS = Path("/proc/self/fd")
WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def facts() -> dict[str, Any]:
    """What a server must leave exactly as it found it."""
    gc.collect()
    loggers = [
        logging.getLogger(name) for name in ("", "claude_wrapper", "uvicorn", "uvicorn.error")
    ]
    return {
        "signals": [signal.getsignal(number) for number in WATCHED],
        "exit callbacks": atexit._ncallbacks(),
        "handlers": [list(logger.handlers) for logger in loggers],
        "levels": [(logger.level, logger.propagate) for logger in loggers],
        "tasks": {task.get_name() for task in asyncio.all_tasks()},
        "threads": {t.name for t in threading.enumerate() if not t.name.startswith("asyncio_")},
        "hooks": (sys.excepthook, threading.excepthook),
        "listeners": sum(emitter.listener_count() for emitter in living_emitters()),
        "fds": len(list(FDS.iterdir())) if FDS.is_dir() else 0,
    }


async def run_once(folder: Path) -> WrapperServer:
    flags = {"state_dir": str(folder), "port": "0", "pool_size": "1"}
    server = WrapperServer(load_settings(flags, {}), demo=True)
    running = asyncio.ensure_future(server.run())
    while not server.port:
        await asyncio.sleep(0.001)
    server.stop()
    assert await running == 0
    return server


async def test_twenty_one_servers_leave_no_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The first one imports modules and fills caches that rightly stay.
    await run_once(tmp_path)
    before = facts()
    async with no_leaks():
        for _ in range(21):
            server = await run_once(tmp_path)
            assert server.report is not None
            assert [outcome.result for outcome in server.report.outcomes] == ["done"] * 9
            assert server.report.left == ()
    assert facts() == before


async def test_every_step_runs_whatever_the_others_do() -> None:
    ran = []

    async def fail() -> None:
        raise ValueError("broken")

    async def hang() -> None:
        while True:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                ran.append("cancelled")
                raise

    async def work() -> str:
        ran.append("worked")
        return "3 things"

    report = await run_steps([
        ShutdownStep(name="a", action=fail, deadline=5),
        ShutdownStep(name="b", action=hang, deadline=0.01),
        ShutdownStep(name="c", action=work, deadline=5),
    ])  # fmt: skip
    assert [(o.name, o.result, o.detail) for o in report.outcomes] == [
        ("a", "failed", "ValueError: broken"), ("b", "late", ""), ("c", "done", "3 things"),
    ]  # fmt: skip
    assert not report.is_clean
    assert "worked" in ran


async def test_handlers_of_others_are_restored_and_not_overwritten() -> None:
    def mine(_number: int, _frame: object) -> None: ...

    def later(_number: int, _frame: object) -> None: ...

    original = signal.signal(signal.SIGTERM, mine)
    original_interrupt = signal.getsignal(signal.SIGINT)  # ignored in the background of a shell
    try:
        hub = SignalHub()
        hub.install()
        hub.install()
        signal.signal(signal.SIGINT, later)
        hub.restore()
        assert signal.getsignal(signal.SIGTERM) is mine
        assert signal.getsignal(signal.SIGINT) is later
    finally:
        signal.signal(signal.SIGTERM, original)
        signal.signal(signal.SIGINT, original_interrupt)


async def test_the_verifier_names_what_is_left_of_each_kind(tmp_path: Path) -> None:
    verifier = Verifier()
    assert await verifier.leaks(grace=5) == ()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="stray")
    thread.start()
    task = asyncio.create_task(asyncio.sleep(600), name="stray")
    # A file object would be found in our frame by way of the test runner, which is a library; from
    # Python 3.12 on the collector looks into frames.
    descriptor = os.open(tmp_path, os.O_RDONLY)
    left = await verifier.leaks(grace=0)
    os.close(descriptor)
    stop.set()
    thread.join()
    task.cancel()
    assert sorted(line.partition(":")[0] for line in left) == ["fds", "tasks", "threads"]
    assert "tasks: task 'stray'" in left


async def test_the_verifier_waits_for_what_is_just_going_away() -> None:
    verifier = Verifier()
    task = asyncio.create_task(asyncio.sleep(0.05))
    assert await verifier.leaks(grace=20) == ()
    assert task.done()


async def test_a_server_that_leaves_something_says_so_and_fails(tmp_path: Path) -> None:
    flags = {"state_dir": str(tmp_path / "state"), "port": "0", "pool_size": "0"}
    log = tmp_path / "log"
    server = WrapperServer(load_settings({**flags, "log_file": str(log)}, {}), demo=True)
    running = asyncio.ensure_future(server.run())
    while not server.port:
        await asyncio.sleep(0.001)
    # A bare number: a file object here would belong to this test, and the engine knows that.
    descriptor = os.open(tmp_path / "forgotten", os.O_WRONLY | os.O_CREAT)
    try:
        server.stop()
        assert await running == EXIT_LEFT
    finally:
        os.close(descriptor)
    assert server.report is not None
    assert [line for line in server.report.left or () if "forgotten" not in line] == []
    assert "forgotten" in log.read_text().splitlines()[-1]
    kept = read_report(tmp_path / "state")
    assert kept is not None
    assert kept.left == server.report.left
    assert kept.clean is False


async def test_a_server_whose_listener_is_lost_stops_and_says_so(tmp_path: Path) -> None:
    flags = {"state_dir": str(tmp_path), "port": "0", "pool_size": "0"}
    server = WrapperServer(load_settings(flags, {}), demo=True)
    running = asyncio.ensure_future(server.run())
    while not server.port or server._http is None or not server._http.started:
        await asyncio.sleep(0.001)
    server._http.should_exit = True
    assert await running == EXIT_FAILED
    assert server.report is not None
    assert server.report.left == ()


async def test_all_steps_share_one_time_and_each_gets_a_chance() -> None:
    ran = []

    async def hang() -> None:
        await asyncio.Event().wait()

    async def work() -> None:
        ran.append("worked")

    hanging = [ShutdownStep(name=f"{n}", action=hang, deadline=60) for n in range(3)]
    last = ShutdownStep(name="last", action=work, deadline=60)
    began = time.monotonic()
    report = await run_steps([*hanging, last], total=0.3)
    assert time.monotonic() - began < 5
    assert [o.result for o in report.outcomes] == ["late", "late", "late", "done"]
    assert ran == ["worked"]


async def test_hurry_cuts_the_running_step_off() -> None:
    hurry = asyncio.Event()

    async def hang() -> None:
        hurry.set()
        await asyncio.Event().wait()

    step = ShutdownStep(name="hangs", action=hang, deadline=600)
    async with asyncio.timeout(20):
        report = await run_steps([step], hurry=hurry)
    assert report.outcomes[0].result == "late"
