"""The bounds of the memory store hold after every call, whatever is done in whatever order."""

from __future__ import annotations

import asyncio
import gc
import random
import tracemalloc

import pytest

from claude_wrapper.lifecycle import ResourceTracker
from claude_wrapper.model import Message, TextPart
from claude_wrapper.sessions import MemoryStore, Session, SessionLimits, SessionService

pytestmark = pytest.mark.anyio

LIMITS = SessionLimits(sessions=5, size=20_000, messages=100, ttl=3600)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def session(name: str, text: str = "", owner: str = "") -> Session:
    empty = Session(id=name, owner=owner, created_at=0, last_used_at=0)
    messages = (Message(role="user", parts=(TextPart(text=text),)),)
    return empty.extended(messages, model="m", system="", now=0, most=100)


async def test_a_session_lives_for_its_ttl_after_the_last_use() -> None:
    clock = Clock()
    store = MemoryStore(LIMITS, clock)
    await store.put(session("a"))
    clock.now += 3599
    assert await store.get("a") is not None
    await store.put(session("a"))
    clock.now += 3599
    assert await store.get("a") is not None
    clock.now += 2
    assert await store.get("a") is None
    assert (await store.stats()).size == 0


async def test_the_least_recently_used_goes_first() -> None:
    store = MemoryStore(LIMITS, Clock())
    for name in "abcde":
        await store.put(session(name))
    await store.put(session("a"))
    await store.put(session("f"))
    assert await store.get("b") is None
    assert await store.get("a") is not None


async def test_expired_sessions_go_before_living_ones() -> None:
    clock = Clock()
    store = MemoryStore(LIMITS, clock)
    await store.put(session("old"))
    clock.now += 3601
    for name in "abcde":
        await store.put(session(name))
    stats = await store.stats()
    assert (stats.active, stats.expired, stats.evicted) == (5, 1, 0)


async def test_the_byte_budget_holds_even_for_one_session() -> None:
    """And one that alone is too large does not push out the others."""
    gone: list[str] = []
    store = MemoryStore(LIMITS, Clock(), lambda one: gone.append(one.id))
    await store.put(session("a", "x" * 15_000))
    await store.put(session("b", "x" * 15_000))
    assert (await store.get("a"), (await store.stats()).active) == (None, 1)
    await store.put(session("huge", "x" * 50_000))
    assert (await store.stats()).size <= LIMITS.size
    assert (await store.get("b")) is not None
    assert (await store.get("huge")) is None
    assert gone == ["a", "huge"]


@pytest.mark.parametrize("seed", range(5))
async def test_the_bounds_hold_after_every_call(seed: int) -> None:
    chance, clock = random.Random(seed), Clock()
    store = MemoryStore(LIMITS, clock)
    for _ in range(2000):
        name = str(chance.randrange(12))
        action = chance.choice(["put", "put", "get", "delete", "sweep", "wait"])
        if action == "put":
            await store.put(session(name, "x" * chance.randrange(9000)))
        elif action == "get":
            await store.get(name)
        elif action == "delete":
            await store.delete(name)
        elif action == "sweep":
            await store.sweep(2)
        else:
            clock.now += chance.randrange(2000)
        stats = await store.stats()
        assert stats.active <= LIMITS.sessions
        assert stats.size <= LIMITS.size
        assert stats.size == sum(held.session.size for held in store._held.values())


async def test_ten_thousand_expired_sessions_go_in_small_batches() -> None:
    """In one run of the cleanup, between whose batches the loop turns for others."""
    clock = Clock()
    limits = SessionLimits(sessions=10_000, size=1 << 30, messages=9, ttl=3600)
    batches: list[int] = []

    class Watched(MemoryStore):
        async def sweep(self, batch: int) -> int:
            batches.append(await super().sweep(batch))
            return batches[-1]

    store = Watched(limits, clock)
    for number in range(10_001):
        await store.put(session(str(number)))
    assert (await store.stats()).active == 10_000
    clock.now += 3601
    service = SessionService(store, limits, ResourceTracker())
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    await service.sweep()
    counting.cancel()
    assert batches == [100] * 100 + [0]
    assert turns >= 100
    assert (service.sweeps.runs, service.sweeps.removed) == (1, 10_000)
    assert service.sweeps.last_at is not None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("ascii", "x" * 1000),
        ("wide", "名" * 1000),
        ("widest", "\U0001f600" + "x" * 1000),
        ("short", ""),
    ],
)
async def test_the_estimate_is_near_what_is_really_held(kind: str, text: str) -> None:
    store = MemoryStore(SessionLimits(sessions=999, size=1 << 30, messages=99, ttl=1))
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(300):
        one = Session(id=f"{kind}-{number:020}", owner="", created_at=1.0 + number, last_used_at=0)
        messages = tuple(
            Message(role=role, parts=(TextPart(text=f"{number} {turn}{text}"),))
            for turn in range(5)
            for role in ("user", "assistant")
        )
        await store.put(one.extended(messages, model="m", system="", now=1.5, most=99))
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert (await store.stats()).size == pytest.approx(held, rel=0.3)


def test_a_session_keeps_to_its_share_by_forgetting_its_oldest_exchanges() -> None:
    text = (TextPart(text="x" * 1000),)
    one = Session(id="a", owner="", created_at=0, last_used_at=0)
    pair = (Message(role="user", parts=text), Message(role="assistant", parts=text))
    for _ in range(10):
        one = one.extended(pair, model="m", system="", now=0, most=100, most_bytes=6000)
    assert [message.role for message in one.messages] == ["user", "assistant"] * 2
    huge = Message(role="user", parts=(TextPart(text="x" * 9000),))
    one = one.extended((huge, pair[1]), model="m", system="", now=0, most=100, most_bytes=6000)
    assert one.messages == (huge, pair[1])


def test_a_session_forgets_its_oldest_exchanges_but_never_cuts_one() -> None:
    text = (TextPart(text="x"),)
    one = Session(id="a", owner="", created_at=0, last_used_at=0)
    pair = (Message(role="user", parts=text), Message(role="assistant", parts=text))
    for _ in range(10):
        one = one.extended(pair, model="m", system="", now=0, most=5)
    assert [message.role for message in one.messages] == ["user", "assistant"] * 2
    assert one.uses == 10
