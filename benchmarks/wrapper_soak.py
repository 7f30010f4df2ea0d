"""What grows when the server works for a long time: as fast as it can, and at a steady pace."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from typing import TYPE_CHECKING, Any

from wrapper_client import Client, await_idle, connected, spread
from wrapper_figures import MIB, Rows, slope
from wrapper_host import running

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Coroutine

KILOBYTE = "x" * 1000
# The share of the soak in which everything reaches its size.
WARM_UP = 0.3


def soak(options: argparse.Namespace) -> Rows:
    """Many requests with sessions that come and go: what grows?"""
    total = options.soak_requests
    done = {"requests": 0, "failed": 0}

    async def note(answer: Coroutine[Any, Any, tuple[int, Any, Any]]) -> None:
        done["failed"] += (await answer)[0] != 200
        done["requests"] += 1

    async def life(client: Client, number: int) -> None:
        """Twenty requests: a session that grows, others beside it, and mostly its removal."""
        name = f"s{number}"
        for turn in range(9):
            text = f"[[text:answer {turn}]]"
            await note(client.ask(text, name, stream=turn % 2 == 0))
            await note(client.ask(text, stream=turn % 3 == 0))
        await note(client.ask("[[chunks:20]]", stream=True))
        if number % 5:
            status, _ = await client.call("DELETE", f"/v1/sessions/{name}")
        else:
            # Left behind: it goes when it is the least recently used of too many.
            status, _ = await client.call("GET", f"/v1/sessions/{name}")
        done["failed"] += status != 200
        done["requests"] += 1

    def job(number: int) -> Callable[[Client], Coroutine[Any, Any, Any]]:
        return lambda client: life(client, number)

    with running(
        is_watched=True, pool_size=2, max_concurrency=4, worker_max_turns=2000, max_sessions=50
    ) as server:
        jobs = [job(number) for number in range(total // 20)]
        warm_up = int(len(jobs) * WARM_UP)
        began = time.monotonic()
        asyncio.run(spread(server.port, 4, jobs[:warm_up]))
        before = server.alive()
        asyncio.run(spread(server.port, 4, jobs[warm_up:]))
        seconds = time.monotonic() - began
        asyncio.run(await_idle(server.port, 1))
        after = server.alive()
        time.sleep(2)
        samples = server.samples()
    warm = [sample for sample in samples if sample["seconds"] > seconds * WARM_UP][:-4]
    last, first = samples[-1], warm[0]
    growth = slope([(s["seconds"], s["rss"]) for s in warm]) * 3600 / MIB
    blocks = (after - before) / (20 * len(jobs[warm_up:])) * 1000
    flat = all(last[kind] <= first[kind] + 2 for kind in ("fds", "threads", "tasks"))
    changes = ", ".join(
        f"{kind} {first[kind]:.0f} -> {last[kind]:.0f}" for kind in ("fds", "threads", "tasks")
    )
    count = f"{done['requests']} requests, {done['failed']} failed, {total / seconds:.0f}/s"
    size = f"{first['rss'] / MIB:.1f} -> {last['rss'] / MIB:.1f} MiB, slope {growth:+.1f} MiB/h"
    return [
        ("soak", f"{count}, {seconds:.0f} s", "0 failed", not done["failed"]),
        ("soak: memory of the server", size, "<= 10 MiB/h", growth <= 10),
        ("soak: live blocks per 1000 requests", f"{blocks:+.1f}", "", True),
        ("soak: at the end", changes, "flat", flat),
    ]


def load(options: argparse.Namespace) -> Rows:
    """A thousand sessions of 20 messages, and 20 requests a second beside them."""
    sizes: list[tuple[float, float]] = []
    done = {"requests": 0, "failed": 0}
    history = [{"role": ("user", "assistant")[i % 2], "content": KILOBYTE} for i in range(18)]
    question = [{"role": "user", "content": "[[text:" + KILOBYTE + "]]"}]

    def fill(number: int) -> Callable[[Client], Coroutine[Any, Any, Any]]:
        return lambda client: client.ask("", f"s{number}", messages=[*history, *question])

    async def one(client: Client, number: int) -> None:
        """Every second request continues one of the sessions, or begins one more."""
        name = f"s{number % 1300}" if number % 2 else ""
        answer = await client.ask("", name, messages=question, stream=number % 3 == 0)
        done["requests"] += 1
        done["failed"] += answer[0] != 200

    async def paced(port: int, began: float) -> None:
        numbers = itertools.count()

        async def work(offset: float) -> None:
            async with connected(port) as client:
                for turn in itertools.count():
                    due = began + offset + turn * 4 / options.load_rate
                    if due > began + options.load_seconds:
                        return
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    await one(client, next(numbers))

        async def look() -> None:
            async with connected(port) as client:
                while True:
                    _, stats = await client.call("GET", "/v1/sessions/stats")
                    sizes.append((time.monotonic(), stats["size"]))
                    await asyncio.sleep(2)

        looking = asyncio.create_task(look())
        await asyncio.gather(*(work(n / options.load_rate) for n in range(4)))
        looking.cancel()

    with running(
        is_watched=True, pool_size=2, max_concurrency=4, max_sessions=1000, session_messages=20
    ) as server:
        asyncio.run(spread(server.port, 8, [fill(n) for n in range(1000)]))
        began = time.monotonic()
        # The watcher in the server has a clock of its own.
        offset = began - server.samples()[-1]["seconds"]
        asyncio.run(paced(server.port, began))
        samples = [{**s, "at": s["seconds"] + offset} for s in server.samples()]
    warm = [s for s in samples if s["at"] > began + options.load_seconds * 0.2][:-4]
    held = dict(zip((s["at"] for s in warm), residuals(warm, sizes), strict=True))
    growth = slope([(s["at"], s["rss"]) for s in warm]) * 3600 / MIB
    residual = slope(list(held.items())) * 3600 / MIB
    most = max(s["rss"] for s in samples) / MIB
    kinds = ("fds", "threads", "tasks")
    third = len(warm) // 3
    flat = all(
        statistics.median(s[kind] for s in warm[-third:])
        <= statistics.median(s[kind] for s in warm[:third]) + 1
        for kind in kinds
    )
    changes = ", ".join(
        f"{kind} {statistics.median(s[kind] for s in warm[:third]):.0f} -> "
        f"{statistics.median(s[kind] for s in warm[-third:]):.0f}"
        for kind in kinds
    )
    count = f"{done['requests']} requests, {done['failed']} failed"
    words = f"{count}, {options.load_seconds / 60:.0f} min, {options.load_rate}/s"
    size = (
        f"{warm[0]['rss'] / MIB:.1f} -> {warm[-1]['rss'] / MIB:.1f} MiB, slope {growth:+.1f} MiB/h"
    )
    return [
        ("load: 1000 sessions of 20 messages and", words, "0 failed", not done["failed"]),
        ("load: most memory", f"{most:.1f} MiB", "< 100 MiB", most < 100),
        ("load: memory of the server", size, "<= 10 MiB/h", growth <= 10),
        (
            "load: the same without the sessions",
            f"{residual:+.1f} MiB/h",
            "<= 10 MiB/h",
            residual <= 10,
        ),
        ("load: first and last third, median", changes, "flat", flat),
    ]


def residuals(samples: list[dict[str, float]], sizes: list[tuple[float, float]]) -> list[float]:
    """Resident memory without what the sessions held at that time."""
    found, place = [], 0
    for sample in samples:
        while place + 1 < len(sizes) and sizes[place + 1][0] <= sample["at"]:
            place += 1
        found.append(sample["rss"] - sizes[place][1])
    return found
