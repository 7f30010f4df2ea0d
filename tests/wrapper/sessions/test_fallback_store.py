"""A store that fails costs nobody an answer: sessions go on from memory until it works again."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from wrapper.support.clock import FakeClock
from wrapper.support.servers import running_server, wait_until

from claude_wrapper.errors import WrapperError
from claude_wrapper.model import Message, TextPart
from claude_wrapper.sessions import FallbackStore, MemoryStore, Session, SessionLimits
from claude_wrapper.sessions.fallback_store import NotStoredError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)

LIMITS = SessionLimits(sessions=3, size=100_000, messages=100, ttl=100)


class Disk(MemoryStore):
    """A store that takes nothing while it is full."""

    is_full = False

    async def put(self, session: Session) -> None:
        if self.is_full:
            raise WrapperError("the session store failed: disk I/O error")
        await super().put(session)


class SlowDisk(Disk):
    """Takes and removes in the order asked for, as the thread of the file does, once let go."""

    def __init__(self) -> None:
        super().__init__(LIMITS)
        self.is_running = asyncio.Event()
        self.is_running.set()
        self.order = asyncio.Lock()

    async def put(self, session: Session) -> None:
        async with self.order:
            await self.is_running.wait()
            await super().put(session)

    async def delete(self, session_id: str) -> bool:
        async with self.order:
            await self.is_running.wait()
            return await super().delete(session_id)


async def holding(disk: SlowDisk, *sessions: Session) -> FallbackStore:
    """A store that holds these, above a disk that has room again and stands still."""
    store = FallbackStore(disk, LIMITS, lambda: 1000.0)
    disk.is_full = True
    for one in sessions:
        with pytest.raises(NotStoredError):
            await store.put(one)
    disk.is_full = False
    disk.is_running.clear()
    return store


def session(name: str, text: str, *, at: float = 1000.0) -> Session:
    empty = Session(id=name, owner="", created_at=at, last_used_at=at)
    message = Message(role="user", parts=(TextPart(text=text),))
    return empty.extended((message,), model="m", system="", now=at, most=100)


@pytest.mark.anyio
async def test_what_the_disk_refuses_is_held_and_stored_later() -> None:
    gone: list[str] = []
    disk, clock = Disk(LIMITS), FakeClock()
    clock.now = 1000.0
    store = FallbackStore(disk, LIMITS, clock, lambda one: gone.append(one.id))
    await store.put(session("a", "old"))
    disk.is_full = True
    newer, new = session("a", "new"), session("b", "new")
    for one in (newer, new):
        with pytest.raises(NotStoredError, match="disk I/O error"):
            await store.put(one)
    assert [await store.get("a"), await store.get("b")] == [newer, new]
    assert set(await store.newest("", 9)) == {newer, new}
    assert await store.sweep(100) == 0
    assert await store.get("a") is newer
    assert await store.delete("b")
    assert gone == ["b"]
    assert await store.get("b") is None
    disk.is_full = False
    await store.sweep(100)
    assert await disk.get("a") == newer
    assert not store._held
    await store.close()


@pytest.mark.anyio
async def test_what_is_held_is_bounded_and_expires(caplog: pytest.LogCaptureFixture) -> None:
    disk, clock = Disk(LIMITS), FakeClock()
    clock.now = 1000.0
    disk.is_full = True
    store = FallbackStore(disk, LIMITS, clock)
    for name in "abcde":
        with pytest.raises(NotStoredError):
            await store.put(session(name, name))
    assert [name for name in "abcde" if await store.get(name)] == ["c", "d", "e"]
    assert caplog.text.count("was lost") == 2
    await store.close()
    assert "3 sessions could not be stored" in caplog.text
    clock.now += 100
    await store.sweep(100)
    assert await store.get("e") is None


@pytest.mark.anyio
async def test_handing_down_overwrites_nothing_that_was_stored_meanwhile() -> None:
    store = await holding(disk := SlowDisk(), session("a", "a"), session("b", "old"))
    sweep = asyncio.ensure_future(store.sweep(100))
    await asyncio.sleep(0)  # it waits for the disk with "a"
    newer = session("b", "new")
    put = asyncio.ensure_future(store.put(newer))
    await asyncio.sleep(0)
    disk.is_running.set()
    await asyncio.gather(sweep, put)
    assert await store.get("b") == newer


@pytest.mark.anyio
async def test_handing_down_brings_back_nothing_that_was_deleted_meanwhile() -> None:
    store = await holding(disk := SlowDisk(), session("a", "a"), session("b", "b"))
    sweep = asyncio.ensure_future(store.sweep(100))
    await asyncio.sleep(0)
    deletions = [asyncio.ensure_future(store.delete(name)) for name in "ba"]
    await asyncio.sleep(0)
    disk.is_running.set()
    await asyncio.gather(sweep, *deletions)
    assert [await store.get(name) for name in "ab"] == [None, None]
    assert all([await one for one in deletions])


@pytest.mark.anyio
async def test_what_could_not_be_stored_while_it_was_deleted_is_gone() -> None:
    store = await holding(disk := SlowDisk())
    disk.is_full = True
    put = asyncio.ensure_future(store.put(session("a", "a")))
    await asyncio.sleep(0)
    deletion = asyncio.ensure_future(store.delete("a"))
    await asyncio.sleep(0)
    disk.is_running.set()
    with pytest.raises(NotStoredError):
        await put
    assert await deletion
    assert await store.get("a") is None


@pytest.mark.anyio
async def test_what_cannot_be_deleted_is_still_held() -> None:
    class Broken(Disk):
        async def delete(self, session_id: str) -> bool:
            raise WrapperError(f"cannot delete {session_id}")

    disk = Broken(LIMITS)
    disk.is_full = True
    store = FallbackStore(disk, LIMITS, lambda: 1000.0)
    with pytest.raises(NotStoredError):
        await store.put(one := session("a", "a"))
    with pytest.raises(WrapperError, match="cannot delete a"):
        await store.delete("a")
    assert await store.get("a") is one


def ask(http: httpx.Client, text: str, **more: Any) -> httpx.Response:
    body = {"model": "sonnet", "messages": [{"role": "user", "content": text}], **more}
    return http.post("/v1/chat/completions", json=body, headers={"x-session-id": "s"})


def full_file(path: Path) -> None:
    """Have every insert fail from the next start on, as a full disk would."""
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON sessions "
            "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    connection.close()


def test_an_answer_is_given_though_its_session_cannot_be_stored(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    flags = ("--session-store", f"sqlite:{path}")
    with running_server(tmp_path, *flags):
        pass
    full_file(path)
    with (
        running_server(tmp_path, *flags) as server,
        httpx.Client(base_url=server.url, timeout=20) as http,
    ):
        whole = ask(http, "[[text:one]]")
        assert whole.status_code == 200
        assert whole.headers["x-claude-wrapper-session-stored"] == "false"
        stream = ask(http, "[[text:two]]", stream=True).text
        assert ": the session could not be stored" in stream
        assert stream.endswith("data: [DONE]\n\n")
        assert '"error"' not in stream
        context = ask(http, "[[context]]").json()["choices"][0]["message"]["content"]
        texts = [message["content"][0]["text"] for message in json.loads(context)["messages"]]
        assert texts == ["[[text:one]]", "one", "[[text:two]]", "two", "[[context]]"]
        wait_until(lambda: http.get("/health").json()["status"] == "unhealthy", what="it shows")
        assert "disk is full" in http.get("/health").text
        assert http.get("/v1/sessions/s").json()["message_count"] == 6
    log = server.log.read_text()
    assert "session 's' is in memory only" in log
    assert "1 sessions could not be stored" in log
    assert "nothing left" in log
