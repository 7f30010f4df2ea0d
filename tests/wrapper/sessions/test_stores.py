"""Both stores keep the same promises: whatever is done, they answer alike and stay in bounds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from claude_wrapper.errors import SettingsError, WrapperError
from claude_wrapper.lifecycle import ResourceTracker
from claude_wrapper.model import ImagePart, Message, TextPart, ToolCall
from claude_wrapper.sessions import MemoryStore, Session, SessionLimits, SqliteStore, sqlite_store
from claude_wrapper.sessions.codec import decode_session, encode_session
from claude_wrapper.sessions.sqlite_file import SessionFile
from claude_wrapper.sessions.sqlite_store import BATCH, OLDEST

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

LIMITS = SessionLimits(sessions=4, size=12_000, messages=100, ttl=100)

names = st.sampled_from(["a", "b", "c", "d", "e", "f", "\ud800", "名"])
owners = st.sampled_from(["", "one", "two"])


def session(name: str, owner: str = "", length: int = 0) -> Session:
    empty = Session(id=name, owner=owner, created_at=1.5, last_used_at=2.5)
    messages = (Message(role="user", parts=(TextPart(text="x" * length),)),)
    return empty.extended(messages, model="m", system="s", now=3.5, most=100)


class Stores(RuleBasedStateMachine):
    """The memory store and the file, side by side, under the same clock."""

    @initialize()
    def begin(self) -> None:
        self.now = 1000.0
        self.folder = tempfile.TemporaryDirectory()
        self.path = str(Path(self.folder.name) / "sessions.db")
        self.runner = asyncio.Runner()
        self.tracker = ResourceTracker()
        self.gone: tuple[list[str], list[str]] = ([], [])
        self.memory = MemoryStore(LIMITS, self.clock, lambda s: self.gone[0].append(s.id))
        self.file = self.runner.run(self.opened())
        self.since_opened = (0, 0, 0)

    async def opened(self) -> SqliteStore:
        return SqliteStore(
            self.path, LIMITS, self.tracker, self.clock, lambda s: self.gone[1].append(s.id)
        )

    def clock(self) -> float:
        return self.now

    def both(self, ask: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        expected, found = self.runner.run(ask(self.memory)), self.runner.run(ask(self.file))
        assert found == expected
        return found

    @rule(name=names, owner=owners, length=st.integers(0, 13_000))
    def put(self, name: str, owner: str, length: int) -> None:
        one = session(name, owner, length)
        self.both(lambda store: store.put(one))
        assert self.both(lambda store: store.get(name)) in {one, None}

    @rule(name=names)
    def get(self, name: str) -> None:
        self.both(lambda store: store.get(name))

    @rule(name=names)
    def delete(self, name: str) -> None:
        self.both(lambda store: store.delete(name))
        assert self.both(lambda store: store.get(name)) is None

    @rule(owner=owners, limit=st.integers(0, 5))
    def newest(self, owner: str, limit: int) -> None:
        found = self.both(lambda store: store.newest(owner, limit))
        assert len(found) <= limit
        assert all(one.owner == owner for one in found)

    @rule(batch=st.integers(0, 5))
    def sweep(self, batch: int) -> None:
        assert self.both(lambda store: store.sweep(batch)) <= batch

    @rule(seconds=st.integers(1, 60))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def restart(self) -> None:
        """The file is closed and opened again: nothing of what counts may be lost."""
        before = self.runner.run(self.memory.stats())
        self.runner.run(self.file.close())
        self.file = self.runner.run(self.opened())
        self.since_opened = (before.created, before.expired, before.evicted)

    @invariant()
    def bounds_hold(self) -> None:
        if not hasattr(self, "file"):
            return
        memory, file = self.runner.run(self.memory.stats()), self.runner.run(self.file.stats())
        assert memory.active <= LIMITS.sessions
        assert memory.size <= LIMITS.size
        assert (memory.active, memory.size) == (file.active, file.size)
        counted = (memory.created, memory.expired, memory.evicted)
        since = tuple(now - then for now, then in zip(counted, self.since_opened, strict=True))
        assert since == (file.created, file.expired, file.evicted)
        assert self.gone[0] == self.gone[1]

    def teardown(self) -> None:
        if not hasattr(self, "file"):
            return
        self.runner.run(self.file.close())
        assert self.tracker.list() == ()
        self.runner.close()
        self.folder.cleanup()


TestStores = pytest.mark.timeout(120)(Stores.TestCase)
TestStores.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip


def test_a_session_comes_back_from_json_as_it_was() -> None:
    messages = (
        Message(role="user", parts=(TextPart(text="\ud800é"), ImagePart(media_type="a", data="b"))),
        Message(role="assistant", tool_calls=(ToolCall(id="1", name="f", arguments="{}"),)),
        Message(role="tool", tool_call_id="1", parts=(TextPart(text=""),)),
    )
    one = session("x").extended(messages, model="m", system="s", now=1, most=100)
    assert decode_session(encode_session(one)) == one


@pytest.fixture
def tracker() -> ResourceTracker:
    return ResourceTracker()


@pytest.mark.anyio
async def test_the_file_is_private_and_locked(tmp_path: Path, tracker: ResourceTracker) -> None:
    path = tmp_path / "sessions.db"
    path.touch(mode=0o644)
    store = SqliteStore(str(path), LIMITS, tracker)
    await store.put(session("a"))
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    with pytest.raises(SettingsError, match="another server may use it"):
        SqliteStore(str(path), LIMITS, tracker)
    await store.close()
    await store.close()
    assert tracker.list() == ()


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["no/such/folder.db", "not-a-database"])
async def test_a_file_that_cannot_be_used_is_refused(
    tmp_path: Path, tracker: ResourceTracker, name: str
) -> None:
    (tmp_path / "not-a-database").write_text("nothing of the kind " * 100)
    with pytest.raises(SettingsError, match="cannot be used"):
        SqliteStore(str(tmp_path / name), LIMITS, tracker)
    assert tracker.list() == ()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("CREATE TABLE notes (text)", "database of something else"),
        ("CREATE TABLE sessions (token)", "database of something else"),
        ("PRAGMA user_version = 2", "a newer release wrote it"),
        (None, "not an SQLite file"),
    ],
)
async def test_what_is_not_ours_is_left_as_it_was(
    tmp_path: Path, tracker: ResourceTracker, script: str | None, words: str
) -> None:
    """A path is soon mistyped: neither content nor mode of a stranger's file is touched."""
    path = tmp_path / "sessions.db"
    if script is None:
        path.write_text("somebody's notes " * 100)
    else:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript(script)
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(SettingsError, match=words):
        SqliteStore(str(path), LIMITS, tracker)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (before, 0o644)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.anyio
async def test_what_is_no_file_is_refused(tmp_path: Path, tracker: ResourceTracker) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsError, match="no regular file"):
        SqliteStore(str(tmp_path / "pipe"), LIMITS, tracker)


@pytest.mark.anyio
async def test_a_put_does_not_look_at_all_sessions(
    tmp_path: Path, tracker: ResourceTracker
) -> None:
    """What the query plan says must not depend on how many there are."""
    store = SqliteStore(str(tmp_path / "sessions.db"), LIMITS, tracker)
    plans = await store._thread.call(
        lambda: [
            row[-1]
            for query, values in ((BATCH, (1, 1)), (OLDEST, ()))
            for row in store._connection.execute(f"EXPLAIN QUERY PLAN {query}", values)
        ]
    )
    assert plans == [
        "SEARCH sessions USING INDEX by_end (expires<?)",
        "SCAN sessions USING INDEX by_use",
    ]
    await store.close()


@pytest.mark.anyio
async def test_who_holds_more_of_a_session_is_told_though_its_remover_did_not_wait(
    tmp_path: Path, tracker: ResourceTracker
) -> None:
    """A heartbeat that falls due ends the waiting for a put, which pushes out others all the same."""
    gone: list[str] = []
    store = SqliteStore(
        str(tmp_path / "sessions.db"), LIMITS, tracker, on_removed=lambda one: gone.append(one.id)
    )
    for name in "abcd":
        await store.put(session(name))
    begun = threading.Event()
    blocked = asyncio.ensure_future(store._thread.call(begun.wait))
    put = asyncio.ensure_future(store.put(session("e")))
    await asyncio.sleep(0)
    put.cancel()
    begun.set()
    await asyncio.wait([put, blocked])
    assert put.cancelled()
    assert [one.id for one in await store.newest("", 9)] == ["e", "d", "c", "b"]
    assert gone == ["a"]
    await store.close()


@pytest.mark.anyio
async def test_nothing_is_decoded_in_the_loop(
    tmp_path: Path, tracker: ResourceTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of a thousand long sessions would hold up every stream for a second."""
    threads: set[str] = set()

    def decode(text: str) -> Session:
        threads.add(threading.current_thread().name)
        return decode_session(text)

    monkeypatch.setattr(sqlite_store, "decode_session", decode)
    store = SqliteStore(str(tmp_path / "sessions.db"), LIMITS, tracker)
    await store.put(one := session("a"))
    assert (await store.newest("", 9), await store.get("a")) == ((one,), one)
    await store.close()
    assert threads == {"session-store"}


@pytest.mark.anyio
async def test_a_damaged_file_is_refused_and_a_damaged_row_is_dropped(
    tmp_path: Path, tracker: ResourceTracker
) -> None:
    path = tmp_path / "sessions.db"
    store = SqliteStore(str(path), LIMITS, tracker)
    for name in "ab":
        await store.put(session(name))
    await store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE sessions SET body = '{}' WHERE key = ?", (b"a",))
    store = SqliteStore(str(path), LIMITS, tracker)
    assert [one.id for one in await store.newest("", 9)] == ["b"]
    assert await store.get("a") is None
    assert (await store.stats()).active == 1
    await store.close()
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    with pytest.raises(SettingsError, match="cannot be used"):
        SqliteStore(str(path), LIMITS, tracker)
    assert tracker.list() == ()


@pytest.mark.anyio
async def test_a_store_that_cannot_be_written_says_so_until_it_can(
    tmp_path: Path, tracker: ResourceTracker
) -> None:
    """As on a full disk: what was there stays, and the health names the failure."""
    store = SqliteStore(str(tmp_path / "sessions.db"), LIMITS, tracker)
    await store.put(session("a"))
    await store.check()
    await store._thread.call(lambda: store._connection.execute("PRAGMA query_only = ON"))
    with pytest.raises(WrapperError, match="the session store failed"):
        await store.put(session("b"))
    with pytest.raises(WrapperError, match="readonly"):
        await store.check()
    assert await store.get("a") is not None
    assert (await store.stats()).active == 1
    await store._thread.call(lambda: store._connection.execute("PRAGMA query_only = OFF"))
    await store.put(session("b"))
    await store.check()
    await store.close()


@pytest.mark.anyio
@pytest.mark.parametrize("last_act", ["put", "check", "sweep", "close"])
async def test_a_file_removed_beneath_the_server_is_written_anew(
    tmp_path: Path, tracker: ResourceTracker, last_act: str
) -> None:
    """All of it is still open; without this the next start would begin with nothing."""
    path = tmp_path / "sessions.db"
    store = SqliteStore(str(path), LIMITS, tracker)
    await store.put(session("a"))
    await store.put(session("b"))
    for file in tmp_path.iterdir():
        file.unlink()
    assert await store.get("a") is not None
    acts = {
        "put": lambda: store.put(session("a")), "check": store.check,
        "sweep": lambda: store.sweep(10), "close": store.close,
    }  # fmt: skip
    await acts[last_act]()
    if last_act != "close":
        assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
        await store.put(session("c"))
        await store.close()
    again = SqliteStore(str(path), LIMITS, tracker)
    expected = {"a", "b"} if last_act == "close" else {"a", "b", "c"}
    assert {one.id for one in await again.newest("", 10)} == expected
    await again.close()
    assert tracker.list() == ()


@pytest.mark.anyio
async def test_a_file_put_in_the_place_of_ours_is_not_written(
    tmp_path: Path, tracker: ResourceTracker
) -> None:
    """As one that was restored from a copy beneath a running server: that is said, not guessed."""
    path = tmp_path / "sessions.db"
    store = SqliteStore(str(path), LIMITS, tracker)
    await store.put(session("a"))
    other = tmp_path / "other"
    other.write_bytes(b"somebody's")
    other.replace(path)
    with pytest.raises(WrapperError, match="restart the server to use that one"):
        await store.put(session("b"))
    with pytest.raises(WrapperError, match="another file"):
        await store.check()
    assert await store.get("a") is not None
    await store.close()
    assert path.read_bytes() == b"somebody's"


@pytest.mark.anyio
async def test_a_file_that_cannot_be_written_anew_is_tried_again(
    tmp_path: Path, tracker: ResourceTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "sessions.db"
    store = SqliteStore(str(path), LIMITS, tracker)
    await store.put(session("a"))
    shutil.rmtree(folder)
    with pytest.raises(WrapperError, match="its folder must exist"):
        await store.put(session("b"))
    folder.mkdir()
    with monkeypatch.context() as full:
        full.setattr(SessionFile, "_copy_to", _no_room)
        with pytest.raises(WrapperError, match="disk is full"):
            await store.put(session("b"))
    assert list(folder.glob("*.db")) == []
    await store.put(session("b"))
    await store.check()
    with pytest.raises(SettingsError, match="another server may use it"):
        SqliteStore(str(path), LIMITS, tracker)
    await store.close()
    again = SqliteStore(str(path), LIMITS, tracker)
    assert {one.id for one in await again.newest("", 10)} == {"a", "b"}
    await again.close()


def _no_room(_file: SessionFile, _newer: sqlite3.Connection) -> None:
    raise sqlite3.OperationalError("database or disk is full")


@pytest.mark.anyio
async def test_narrower_bounds_hold_from_the_next_put_on(
    tmp_path: Path, tracker: ResourceTracker
) -> None:
    path = str(tmp_path / "sessions.db")
    wide = SqliteStore(path, LIMITS, tracker)
    for name in "abcd":
        await wide.put(session(name))
    await wide.close()
    narrow = SqliteStore(path, SessionLimits(sessions=2, size=9999, messages=9, ttl=100), tracker)
    await narrow.put(session("e"))
    assert [one.id for one in await narrow.newest("", 9)] == ["e", "d"]
    await narrow.close()


@pytest.mark.anyio
@pytest.mark.parametrize("jump", [86_400.0, -86_400.0])
async def test_setting_the_clock_of_the_machine_neither_ends_nor_prolongs_a_session(
    tmp_path: Path, tracker: ResourceTracker, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """A machine gets its time from the network some time after its start."""
    store = SqliteStore(str(tmp_path / "sessions.db"), LIMITS, tracker)
    await store.put(session("before"))
    wall, steady = time.time, time.monotonic
    monkeypatch.setattr(time, "time", lambda: wall() + jump)
    assert await store.get("before") is not None
    await store.put(session("after"))
    monkeypatch.setattr(time, "monotonic", lambda: steady() + LIMITS.ttl + 1)
    assert await store.get("before") is None
    assert await store.get("after") is None
    monkeypatch.undo()
    await store.close()
