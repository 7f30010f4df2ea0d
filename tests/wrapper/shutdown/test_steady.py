"""What a working server holds does not grow: neither with requests nor beyond its sessions."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
from wrapper.support.servers import running_server, wait_until

from claude_wrapper.server import WrapperServer
from claude_wrapper.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)

MB = 1 << 20
ROUNDS = 5
# A leak of one object in every request would be more.
BLOCKS_PER_REQUEST = 0.75


class Client:
    """One connection of this process to a server in it; leaves nothing behind but the answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def call(self, method: str, path: str, body: Any = None, session: str = "") -> int:
        content = json.dumps(body).encode() if body is not None else b""
        more = f"x-session-id: {session}\r\n" if session else ""
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{more}"
        head += f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        self._writer.write(head.encode() + content)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if b"transfer-encoding: chunked" in answer:
            while size := int(await self._reader.readline(), 16):
                await self._reader.readexactly(size + 2)
            await self._reader.readexactly(2)
        else:
            length = answer.partition(b"content-length: ")[2].split(b"\r\n")[0]
            await self._reader.readexactly(int(length))
        return int(answer.split(b" ", 2)[1])

    async def ask(self, session: str = "", *, stream: bool = False) -> None:
        messages = [{"role": "user", "content": "[[text:answer]]"}]
        body = {"model": "sonnet", "messages": messages, "stream": stream}
        assert await self.call("POST", "/v1/chat/completions", body, session) == 200


@contextlib.asynccontextmanager
async def served(folder: Path, **flags: str) -> AsyncIterator[Client]:
    """A server in this process."""
    given = {"state_dir": str(folder), "port": "0", "pool_size": "1", "max_concurrency": "1"}
    server = WrapperServer(load_settings({**given, "log_level": "error", **flags}, {}), demo=True)
    running = asyncio.ensure_future(server.run())
    while not server.port:
        await asyncio.sleep(0.001)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()
        server.stop()
        assert await running == 0


async def one_round(client: Client, number: int) -> int:
    """Sessions that come, grow and go, and requests without one; how many requests."""
    for life in range(10):
        name = f"s{number}-{life}"
        for turn in range(5):
            await client.ask(name, stream=turn % 2 == 0)
            await client.ask(stream=turn % 2 == 1)
        assert await client.call("DELETE", f"/v1/sessions/{name}") == 200
    return 110


@pytest.mark.anyio
async def test_requests_and_sessions_that_come_and_go_leave_no_objects(tmp_path: Path) -> None:
    """Live blocks of the interpreter, which know no noise of the allocator."""
    # The ring of the log, and the figures of the operations, fill up; a process is not replaced.
    async with served(tmp_path, worker_max_turns="100000") as client:
        # Until the windows of the measurements are full: a thousand of each name.
        for number in range(10):
            await one_round(client, number)
        gc.collect()
        before, requests = sys.getallocatedblocks(), 0
        for number in range(ROUNDS):
            requests += await one_round(client, 10 + number)
        gc.collect()
        growth = sys.getallocatedblocks() - before
    assert growth / requests < BLOCKS_PER_REQUEST, f"{growth} blocks in {requests} requests"


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
