"""A connection on which no request comes does not stay for ever."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.server import ServerState

from claude_wrapper.http_protocol import HttpProtocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def slow_answer(scope: Any, receive: Any, send: Any) -> None:
    """Takes longer than a head may."""
    await asyncio.sleep(0.3)
    await PlainTextResponse("done")(scope, receive, send)


@asynccontextmanager
async def serving(app: Any, **options: Any) -> AsyncIterator[tuple[str, int]]:
    config = uvicorn.Config(app, http=HttpProtocol, ws="none", lifespan="off", log_config=None)
    config.load()
    config.timeout_keep_alive = 0.1  # type: ignore[assignment]
    loop, state = asyncio.get_running_loop(), ServerState()
    server = await loop.create_server(
        lambda: HttpProtocol(config, state, {}, **options), "127.0.0.1", 0
    )
    async with server:
        yield server.sockets[0].getsockname()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with serving(slow_answer) as address:
        reader, writer = await asyncio.open_connection(*address)
        try:
            yield reader, writer
        finally:
            writer.close()
            await writer.wait_closed()


async def test_a_connection_without_a_request_is_closed() -> None:
    async with connected() as (reader, _writer):
        assert await reader.read() == b""


async def test_a_head_that_never_ends_is_answered_408() -> None:
    async with connected() as (reader, writer):
        writer.write(REQUEST[:-2])
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 Request Timeout")
    assert json.loads(body)["error"]["code"] == "request_timeout"


async def test_an_answer_may_take_longer_and_then_the_wait_begins_anew() -> None:
    async with connected() as (reader, writer):
        writer.write(REQUEST)
        assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")
        writer.write(REQUEST[:10])
        assert (await reader.read()).startswith(b"HTTP/1.1 408")


async def test_nonsense_behind_a_request_ends_the_connection_after_its_answer() -> None:
    async with connected() as (reader, writer):
        writer.write(REQUEST + b"\x00\x01\r\n\r\n")
        answer = await reader.read()
    assert b"done" in answer
    assert b"HTTP/1.1 400 Bad Request" in answer


async def test_a_client_that_does_not_read_is_not_written_to_for_ever() -> None:
    piece, sent = b"x" * 1_000_000, asyncio.Event()

    async def large_answer(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(50):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        sent.set()

    async with serving(large_answer, read_patience=0.1) as address:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(address)
            client.sendall(REQUEST)
            await sent.wait()


async def test_what_is_written_to_who_has_just_gone_is_dropped_without_a_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Until the loop turns nobody can know; a fast stream writes hundreds of pieces in that time."""
    client = socket.socket()
    done = asyncio.Event()

    async def fast_stream(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        # A reset at once, as the kernel sends for a process that was killed.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        for _ in range(50):
            await send({"type": "http.response.body", "body": b"piece", "more_body": True})
        done.set()

    async with serving(fast_stream) as address:
        client.connect(address)
        client.sendall(REQUEST)
        await done.wait()
    assert [r.getMessage() for r in caplog.records if r.name == "asyncio"] == []


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400, "Missing mandatory Host"),
        (
            b"GET / HTTP/1.1\r\nhost: x\r\nauthorization : secret\r\n\r\n",
            400,
            "illegal header line",
        ),
        (b"GET / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n", 501, "chunked"),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 70_000, 431, "too long"),
    ],
)
async def test_what_is_wrong_with_a_head_is_said_and_not_repeated(
    sent: bytes, status: int, words: str
) -> None:
    async with serving(slow_answer) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(sent)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    assert int(head.split()[1]) == status
    assert words in json.loads(body)["error"]["message"]
    assert b"secret" not in body


async def test_who_still_sends_what_was_refused_gets_the_answer() -> None:
    """Were the connection closed at once, the kernel would reset it and drop the answer."""
    async with serving(slow_answer) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"no request\r\n\r\n")
        while not await reader.read(1):
            pass
        for _ in range(20):
            writer.write(b"x" * 100_000)
            await writer.drain()
        assert b"invalid_request_error" in await reader.read()
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("offer", ["h2c", "websocket"])
async def test_an_offer_of_another_protocol_is_left_alone_without_a_word(
    offer: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Java's client offers HTTP/2 on every new connection."""
    async with connected() as (reader, writer):
        head = f"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: {offer}\r\n\r\n"
        writer.write(head.encode() * 2)
        answers = await reader.read()
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert caplog.text == ""


async def test_a_line_break_too_many_before_a_request_is_nothing() -> None:
    async with connected() as (reader, writer):
        writer.write(b"\r\n" + REQUEST)
        assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")
        writer.write(b"\r\n")
        await writer.drain()
        writer.write(b"\r\n" + REQUEST)
        assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")
