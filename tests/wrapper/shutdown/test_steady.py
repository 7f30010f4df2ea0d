"""What a working server holds does not grow: neither with requests nor beyond its sessions."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest
from wrapper.support import steady
from wrapper.support.servers import running_server, scrubbed_environment, wait_until
from wrapper.support.steady import Client, served

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)

MB = 1 << 20
STEADY = steady.__file__
# A leak of one object in every request would be more.
BLOCKS_PER_REQUEST = 0.75


def test_requests_and_sessions_that_come_and_go_leave_no_objects(tmp_path: Path) -> None:
    """Live blocks of the interpreter, which know no noise of the allocator."""
    run = subprocess.run(
        [sys.executable, STEADY, str(tmp_path)], env=scrubbed_environment(), text=True,
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    growth, requests = map(int, run.stdout.splitlines()[-1].split()[1:])
    assert growth / requests < BLOCKS_PER_REQUEST, f"{growth} blocks in {requests} requests"


@pytest.mark.anyio
async def test_a_request_interns_no_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that come and go, such as pathlib makes, wear out the interpreter's largest table."""
    names: list[str] = []
    real = sys.intern

    def noting(name: str) -> str:
        names.append(name)
        return real(name)

    async def ask_everything(client: Client) -> None:
        await client.ask("s")
        await client.ask(stream=True)
        for path in ("/health", "/metrics", "/v1/resources"):
            assert await client.call("GET", path) == 200

    async with served(tmp_path) as client:
        # The first time modules are imported, which do have names.
        await ask_everything(client)
        monkeypatch.setattr(sys, "intern", noting)
        for _ in range(3):
            await ask_everything(client)
        monkeypatch.undo()
    assert names == []


@pytest.mark.anyio
async def test_the_debug_mode_of_the_loop_has_nothing_to_say(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every warning is an error in all tests; this adds what only the debug mode sees."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    # How long a callback takes is the business of the machine.
    loop.slow_callback_duration = 60
    try:
        async with served(tmp_path) as client:
            await client.ask("s")
            await client.ask(stream=True)
    finally:
        loop.set_debug(False)
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_the_memory_of_the_server_stays_within_its_promise(tmp_path: Path) -> None:
    """Three times the budget of the sessions is pushed through."""
    history = [{"role": ("user", "assistant")[n % 2], "content": "x" * 20_000} for n in range(2)]
    body = {"model": "sonnet", "messages": [*history, {"role": "user", "content": "[[text:x]]"}]}
    flags = ("--session-bytes", "8MiB", "--max-concurrency", "1", "--pool-size", "1")
    with (
        running_server(tmp_path, *flags) as server,
        httpx.Client(base_url=server.url, timeout=20) as http,
    ):
        wait_until(lambda: http.get("/health").json()["processes"]["idle"] == 1, what="warm")
        process = psutil.Process(server.pid)
        before = process.memory_info().rss
        for number in range(600):
            headers = {"x-session-id": f"s{number}"}
            assert http.post("/v1/chat/completions", json=body, headers=headers).is_success
        stats = http.get("/v1/sessions/stats").json()
        after = process.memory_info().rss
    assert stats["active"] < 300
    assert after < 100 * MB
    assert after - before < 16 * MB
