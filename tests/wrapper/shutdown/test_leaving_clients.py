"""A client that leaves, in every window: its turn stops, its place is free, nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from wrapper.support.servers import RunningServer, running_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One process, so that whoever holds it is seen at once."""
    folder = tmp_path_factory.mktemp("leaving")
    with running_server(folder, "--max-concurrency", "1", "--pool-size", "1") as running:
        yield running


@contextlib.asynccontextmanager
async def raw_request(
    server: RunningServer, text: str, *, stream: bool
) -> AsyncIterator[asyncio.StreamReader]:
    """A request whose connection is cut, without a farewell, at the end of the block."""
    body = {"model": "sonnet", "stream": stream, "messages": [{"role": "user", "content": text}]}
    content = json.dumps(body).encode()
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json"
    writer.write(f"{head}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
    await writer.drain()
    try:
        yield reader
    finally:
        writer.transport.abort()


async def counts(http: httpx.AsyncClient) -> dict[str, int]:
    answer: dict[str, int] = (await http.get("/health")).json()["processes"]
    return answer


async def until(http: httpx.AsyncClient, **wanted: int) -> None:
    """Wait until the pool has these counts."""
    async with asyncio.timeout(20):
        while wanted.items() - (await counts(http)).items():
            await asyncio.sleep(0.01)


async def in_flight(http: httpx.AsyncClient) -> int:
    """Requests that are being answered, the one that asks included."""
    lines = (await http.get("/metrics")).text.splitlines()
    [line] = [line for line in lines if line.startswith("claude_wrapper_in_flight ")]
    return int(float(line.split()[1]))


async def ask(http: httpx.AsyncClient, text: str) -> str:
    body = {"model": "sonnet", "messages": [{"role": "user", "content": text}]}
    reply: Any = (await http.post("/v1/chat/completions", json=body, timeout=20)).json()
    answer: str = reply["choices"][0]["message"]["content"]
    return answer


FREE = {"idle": 1, "busy": 0, "queued": 0, "starting": 0, "ending": 0}


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "whole"])
async def test_before_the_first_token(server: RunningServer, stream: bool) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        pid = await ask(http, "[[pid]]")
        async with raw_request(server, "[[hang]] never", stream=stream):
            await until(http, busy=1)
        await until(http, **FREE)
        assert "never" not in await ask(http, "[[context]]")
        # Interrupted and taken back, not replaced.
        assert await ask(http, "[[pid]]") == pid


async def test_in_mid_stream(server: RunningServer) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        pid = await ask(http, "[[pid]]")
        async with raw_request(server, "[[midhang]] never", stream=True) as reader:
            await reader.readuntil(b'"content":')
        await until(http, **FREE)
        assert "never" not in await ask(http, "[[context]]")
        assert await ask(http, "[[pid]]") == pid


async def test_while_the_client_does_not_read(server: RunningServer) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        async with raw_request(server, "[[chunks:1000000]]", stream=True) as reader:
            await reader.readuntil(b'"content":')
            await until(http, busy=1)
        await until(http, **FREE)


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "whole"])
async def test_in_the_queue(server: RunningServer, stream: bool) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        async with raw_request(server, "[[hang]]", stream=True):
            await until(http, busy=1)
            async with raw_request(server, "[[text:never]]", stream=stream):
                await until(http, queued=1)
            await until(http, queued=0, busy=1)
        await until(http, **FREE)


async def test_nothing_is_left_of_any_of_them(server: RunningServer) -> None:
    """All windows at once, again and again, and in the end one process and no more."""
    async with httpx.AsyncClient(base_url=server.url) as http:
        for _ in range(5):
            async with contextlib.AsyncExitStack() as stack:
                for text in ("[[hang]]", "[[midhang]]", "[[chunks:100000]]", "[[text:x]]"):
                    for stream in (True, False):
                        await stack.enter_async_context(raw_request(server, text, stream=stream))
                await until(http, busy=1)
        await until(http, **FREE)
        assert len(server.children()) == 1
        # Nor is any of the requests: each held its task, its turn and its conversation.
        async with asyncio.timeout(20):
            while await in_flight(http) > 1:
                await asyncio.sleep(0.01)
