"""Alerts reach every channel, and a channel that fails costs nothing but its own alert."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from wrapper.support.clock import FakeClock
from wrapper.support.servers import is_alive

from claude_wrapper.lifecycle import Baseline, ResourceTracker, audit
from claude_wrapper.monitoring import channels
from claude_wrapper.monitoring.alerts import Alert, AlertCenter
from claude_wrapper.monitoring.channels import (
    CallbackChannel,
    FileChannel,
    LogChannel,
    WebhookChannel,
)
from claude_wrapper.monitoring.resolver import resolve
from claude_wrapper.monitoring.webhook import post_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


def alert(name: str = "memory") -> Alert:
    return Alert(name=name, message="too much", value=91, threshold=80, unit="%")


@asynccontextmanager
async def hook(answer: bytes) -> AsyncIterator[tuple[str, list[bytes], asyncio.Event]]:
    """A webhook on loopback that keeps what it got."""
    got: list[bytes] = []
    arrived = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split()[0])
        got.append(head + await reader.readexactly(length))
        arrived.set()
        if answer:
            writer.write(answer)
            await writer.drain()
        else:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/hook?token=t", got, arrived
    finally:
        server.close()
        await server.wait_closed()


async def test_log_callback_and_file_get_every_alert(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Alert] = []

    async def hear(one: Alert) -> None:
        heard.append(one)

    tracker = ResourceTracker()
    file = FileChannel(tmp_path / "alerts", tracker)
    center = AlertCenter([LogChannel(), CallbackChannel(hear), file])
    assert await center.report(alert())
    assert await center.report(alert("cpu"))
    assert [one.name for one in heard] == ["memory", "cpu"]
    assert caplog.text.count("too much") == 2
    lines = [json.loads(line) for line in (tmp_path / "alerts").read_text().splitlines()]
    assert [(line["name"], line["value"]) for line in lines] == [("memory", 91), ("cpu", 91)]
    await center.close()


async def test_a_channel_that_fails_does_not_silence_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Alert] = []
    broken = FileChannel(tmp_path / "no" / "folder", ResourceTracker())
    center = AlertCenter([broken, CallbackChannel(heard.append)])
    await center.report(alert())
    assert len(heard) == 1
    assert "alert memory was lost on channel file" in caplog.text


async def test_cooldown_counts_by_name_and_names_are_bounded() -> None:
    clock = FakeClock()
    heard: list[Alert] = []
    center = AlertCenter([CallbackChannel(heard.append)], clock=clock)
    for number in range(2000):
        await center.report(alert(f"name-{number}"))
    assert len(center.sent) == 501
    assert len(heard) == 501
    assert len(center.recent) == 100
    clock.now += 299
    assert not await center.report(alert("name-0"))
    clock.now += 1
    assert await center.report(alert("name-0"))
    undo = center.add_channel(CallbackChannel(heard.append))
    undo()
    undo()
    clock.now += 300
    await center.report(alert("name-0"))
    assert len(heard) == 503


async def test_the_place_of_a_name_is_free_when_nobody_reports_it_any_more() -> None:
    center = AlertCenter([], clock=FakeClock())
    for number in range(2000):
        assert await center.report(alert(f"rule-{number}"))
        center.forget(f"rule-{number}")
    assert (len(center.sent), center.active) == (0, ())


async def test_the_cause_of_a_name_beyond_the_bound_can_go_too() -> None:
    center = AlertCenter([], clock=FakeClock())
    for number in range(501):
        await center.report(alert(f"name-{number}"))
    assert len(center.active) == 501
    center.resolve("name-500")
    assert len(center.active) == 500


async def test_the_alert_file_does_not_grow_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "FILE_BYTES", 1000)
    channel = FileChannel(tmp_path / "alerts", ResourceTracker())
    for _ in range(50):
        await channel.send(alert())
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"alerts", "alerts.1"}
    assert max(sizes.values()) <= 1000


async def test_a_webhook_gets_the_alert_as_json() -> None:
    tracker = ResourceTracker()
    async with hook(b"HTTP/1.1 204 No Content\r\n\r\n") as (url, got, arrived):
        channel = WebhookChannel(url, tracker)
        await channel.send(alert())
        await arrived.wait()
        await channel.close()
    head, _, body = got[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook?token=t HTTP/1.1\r\n")
    assert json.loads(body)["name"] == "memory"
    assert tracker.count("task") == 0


async def test_a_webhook_that_refuses_or_hangs_is_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracker = ResourceTracker()
    async with hook(b"HTTP/1.1 500 Oops\r\n\r\n") as (url, _got, _arrived):
        with pytest.raises(OSError, match="the webhook answered 500"):
            await post_json(url, {}, tracker)
    async with hook(b"") as (url, _got, arrived):
        with pytest.raises(TimeoutError):
            await post_json(url, {}, tracker, deadline=0.1)
        arrived.clear()
        channel = WebhookChannel(url, tracker)
        for _ in range(40):
            await channel.send(alert())
        assert channel.dropped == 40 - channels.WAITING_ALERTS
        await arrived.wait()
        await channel.close()
    assert tracker.count("task") == 0
    gone = WebhookChannel(url, tracker)
    await gone.send(alert())
    while gone.failed == 0:
        await asyncio.sleep(0.001)
    assert "did not reach the webhook" in caplog.text
    await gone.close()


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (b"220 mail.example ESMTP\r\n\r\n", ValueError, "the answer is not HTTP"),
        (b"HTTP/1.1 204", ValueError, "the answer is not HTTP"),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", OSError, "the webhook answered 302"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\n\r\n", OSError, "answered 404"),
    ],
    ids=["no HTTP", "cut short", "moved", "interim"],
)
async def test_an_answer_that_is_no_success_is_an_error(
    answer: bytes, error: type[Exception], words: str
) -> None:
    async with hook(answer) as (url, _got, _arrived):
        with pytest.raises(error, match=words):
            await post_json(url, {}, ResourceTracker())


async def test_an_interim_answer_is_none() -> None:
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
    async with hook(answer) as (url, _got, _arrived):
        assert await post_json(url, {}, ResourceTracker()) == 200


async def test_user_and_password_of_an_address_are_shown_to_the_webhook() -> None:
    async with hook(b"HTTP/1.1 204 No Content\r\n\r\n") as (url, got, _arrived):
        await post_json(url.replace("//", "//me:p%40ss@"), {}, ResourceTracker())
    assert b"\r\nauthorization: basic bwu6cebzcw==\r\n" in got[0].lower()
    assert b"@" not in got[0]


async def test_a_name_server_that_hangs_leaves_nothing() -> None:
    tracker, known = ResourceTracker(), Baseline.now()
    hang = (sys.executable, "-c", "import time; time.sleep(600)")
    looking = asyncio.ensure_future(resolve("hook.example", 443, tracker, helper=hang))
    while tracker.count("child") == 0:
        await asyncio.sleep(0.001)
    [child] = tracker.list("child")
    # Whoever compares the children with the list does not take it for a stranger.
    assert [one for one in audit(tracker, known).strangers if one.startswith("child")] == []
    looking.cancel()
    await asyncio.wait([looking])
    assert not is_alive(int(child.name.split()[1]))
    assert tracker.list() == ()


async def test_names_and_addresses_are_looked_up() -> None:
    tracker = ResourceTracker()
    assert await resolve("127.0.0.1", 80, tracker) == "127.0.0.1"
    assert await resolve("localhost", 80, tracker) in {"127.0.0.1", "::1"}
    with pytest.raises(OSError, match=r"^x{70}: .*label"):
        await resolve("x" * 70, 80, tracker)
    assert tracker.list() == ()
