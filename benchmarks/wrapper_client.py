"""A client that costs little, and what it asks a server about itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

MIB = 1 << 20


class Client:
    """One connection that is kept; knows just enough HTTP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, method: str, path: str, body: object, session: str = "") -> int:
        """Send a request and read the head of its answer; the status."""
        content = json.dumps(body).encode() if body is not None else b""
        more = f"x-session-id: {session}\r\n" if session else ""
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{more}"
            f"content-length: {len(content)}\r\n\r\n"
        )
        self.writer.write(head.encode() + content)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        self.is_chunked = b"transfer-encoding: chunked" in answer
        if not self.is_chunked:
            self.length = int(answer.partition(b"content-length: ")[2].split(b"\r\n")[0])
        return int(answer.split(b" ", 2)[1])

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, piece by piece."""
        if not self.is_chunked:
            yield await self.reader.readexactly(self.length)
            return
        while size := int(await self.reader.readline(), 16):
            yield await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)

    async def ask(self, text: str, session: str = "", **more: Any) -> tuple[int, float, float]:
        """Status, seconds to the first piece of text, seconds to the end."""
        messages = [{"role": "user", "content": text}]
        body = {"model": "sonnet", "messages": messages, **more}
        began, first = time.perf_counter(), 0.0
        status = await self.send("POST", "/v1/chat/completions", body, session)
        async for piece in self.pieces():
            if not first and b'"content":"' in piece.replace(b'"content":""', b""):
                first = time.perf_counter() - began
        return status, first, time.perf_counter() - began

    async def call(self, method: str, path: str) -> tuple[int, Any]:
        """Status and JSON of a request without a body."""
        status = await self.send(method, path, None)
        return status, json.loads(b"".join([piece async for piece in self.pieces()]))


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    """A connection, closed afterwards."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=64 * MIB)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


async def spread(
    port: int, clients: int, jobs: list[Callable[[Client], Coroutine[Any, Any, Any]]]
) -> None:
    """Run the jobs over so many connections."""
    left = iter(jobs)

    async def work() -> None:
        async with connected(port) as client:
            for job in left:
                await job(client)

    await asyncio.gather(*(work() for _ in range(clients)))


async def await_counts(port: int, **wanted: int) -> None:
    """Wait until the pool has at least these counts."""
    async with connected(port) as client:
        while True:
            counts = (await client.call("GET", "/health"))[1]["processes"]
            if all(counts[kind] >= number for kind, number in wanted.items()):
                return
            await asyncio.sleep(0.02)


async def await_idle(port: int, count: int) -> None:
    """Wait until so many processes are warm."""
    await await_counts(port, idle=count)


def stored(port: int) -> int:
    """Sessions that the server keeps."""

    async def ask() -> int:
        async with connected(port) as client:
            return int((await client.call("GET", "/v1/sessions/stats"))[1]["active"])

    return asyncio.run(ask())
