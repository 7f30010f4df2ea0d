"""The bounds of the memory store hold after every call, whatever is done in whatever order."""

from __future__ import annotations

import random

import pytest

from claude_wrapper.model import Message, TextPart
from claude_wrapper.sessions import MemoryStore, Session, SessionLimits

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
    store = MemoryStore(LIMITS, Clock())
    await store.put(session("a", "x" * 15_000))
    await store.put(session("b", "x" * 15_000))
    assert (await store.get("a"), (await store.stats()).active) == (None, 1)
    await store.put(session("huge", "x" * 50_000))
    assert (await store.stats()).size <= LIMITS.size


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


def test_a_session_forgets_its_oldest_exchanges_but_never_cuts_one() -> None:
    text = (TextPart(text="x"),)
    one = Session(id="a", owner="", created_at=0, last_used_at=0)
    pair = (Message(role="user", parts=text), Message(role="assistant", parts=text))
    for _ in range(10):
        one = one.extended(pair, model="m", system="", now=0, most=5)
    assert [message.role for message in one.messages] == ["user", "assistant"] * 2
    assert one.uses == 10
