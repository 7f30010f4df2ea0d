"""A server and its client in one process: how many objects do requests leave?

Run as ``python steady.py FOLDER``; it prints how many blocks of memory the interpreter holds more,
and after how many requests. In a process of its own, because whoever watches a process for leaks
remembers what it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claude_wrapper.server import WrapperServer
from claude_wrapper.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROUNDS = 5


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


async def measure(folder: Path) -> tuple[int, int]:
    """Blocks, and requests."""
    async with served(folder, worker_max_turns="100000") as client:
        # Until the windows of the measurements are full: a thousand of each name.
        for number in range(10):
            await one_round(client, number)
        gc.collect()
        before, requests = sys.getallocatedblocks(), 0
        for number in range(ROUNDS):
            requests += await one_round(client, 10 + number)
        gc.collect()
        return sys.getallocatedblocks() - before, requests


if __name__ == "__main__":
    print("result", *asyncio.run(measure(Path(sys.argv[1]))))
