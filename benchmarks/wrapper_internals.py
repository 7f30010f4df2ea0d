"""What the parts cost that run beside every request: stores, samples, windows."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from wrapper_figures import Rows, ms

from claude_wrapper.claude.messages import fingerprint
from claude_wrapper.lifecycle import ResourceTracker
from claude_wrapper.model import Message, TextPart
from claude_wrapper.monitoring.facts import ProcessReader
from claude_wrapper.monitoring.windows import RollingWindows
from claude_wrapper.sessions import (
    MemoryStore,
    Session,
    SessionLimits,
    SessionService,
    SqliteStore,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from claude_wrapper.sessions import SessionStore

LIMITS = SessionLimits(sessions=10_000, size=64 << 20, messages=1000, ttl=3600)


class Clock:
    """Time that passes when told."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def session(number: int) -> Session:
    """A short one."""
    text = (TextPart(text=f"{number} " + "x" * 1000),)
    empty = Session(id=f"sess-{number}", owner="", created_at=0, last_used_at=0)
    return empty.extended((Message(role="user", parts=text),), model="", system="", now=0, most=9)


async def timed(action: Callable[[], Awaitable[object]]) -> float:
    """Seconds."""
    began = time.perf_counter()
    await action()
    return time.perf_counter() - began


async def longest_pause(work: Awaitable[object]) -> float:
    """Seconds that the loop needed for its longest turn while this went on."""
    pauses = []

    async def watch() -> None:
        while True:
            pauses.append(await timed(lambda: asyncio.sleep(0)))

    watching = asyncio.create_task(watch())
    await work
    watching.cancel()
    return max(pauses)


async def store_rows(name: str, store: SessionStore, clock: Clock) -> Rows:
    """Puts at the cap, the statistics, and the cleanup of all."""
    for number in range(10_000):
        await store.put(session(number))
    puts = sorted([await timed(lambda n=n: store.put(session(n))) for n in range(10_000, 11_000)])
    stats = statistics.median([await timed(store.stats) for _ in range(100)])
    clock.now += 3601
    service = SessionService(store, LIMITS, ResourceTracker())
    lag = await longest_pause(service.sweep())
    # A busy machine puts a loop aside for as long whatever it does; only the difference is ours.
    plain = await longest_pause(asyncio.sleep(service.sweeps.last_seconds))
    p99 = puts[990]
    return [
        (f"{name}: put at 10,000 sessions, p99", ms(p99), "< 50 ms", p99 < 0.05),
        (f"{name}: statistics", ms(stats), "< 1 ms", stats < 0.001),
        (f"{name}: cleanup of 10,000, longest pause of the loop", ms(lag), "<= 20 ms", lag <= 0.02),
        (f"{name}: as long without a cleanup, longest pause of the loop", ms(plain), "", True),
    ]


def internals(_: argparse.Namespace) -> Rows:
    """All of them, in this process."""

    async def stores() -> Rows:
        clock, tracker = Clock(), ResourceTracker()
        rows = await store_rows("memory store", MemoryStore(LIMITS, clock), clock)
        with tempfile.TemporaryDirectory() as folder:
            store = SqliteStore(f"{folder}/s.db", LIMITS, tracker, clock)
            rows += await store_rows("SQLite store", store, clock)
            await store.close()
        return rows

    reader = ProcessReader(Path.cwd())
    samples = []
    for _ in range(50):
        began = time.perf_counter()
        reader.read()
        samples.append(time.perf_counter() - began)
    windows, count = RollingWindows(), 200_000
    began = time.perf_counter()
    for number in range(count):
        windows.record(f"name {number % 300}", 1.0)
    record = (time.perf_counter() - began) / count
    began = time.perf_counter()
    fingerprint(Message(role="user", parts=(TextPart(text="x" * 100_000),)))
    key = time.perf_counter() - began
    sample = statistics.median(samples)
    return [
        *asyncio.run(stores()),
        ("one sample of the process, median", ms(sample), "< 5 ms", sample < 0.005),
        ("one measurement in a rolling window", f"{record * 1e6:.1f} us", "< 5 us", record < 5e-6),
        ("fingerprint of a message of 100 kB", ms(key), "", True),
    ]
