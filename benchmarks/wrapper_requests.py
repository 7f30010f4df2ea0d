"""What a request costs: its first token, our own share, many at once, and memory."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING, Any

from wrapper_client import Client, await_idle, connected, spread, stored
from wrapper_direct import Direct, spawned_turn
from wrapper_figures import Rows, mib, ms
from wrapper_host import running

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Coroutine


def first_token(_: argparse.Namespace) -> Rows:
    """Warm against a process for each request; our own share of a request."""
    streamed, spawned, own = [], [], []

    async def measure(port: int) -> None:
        """By turns, so that whatever else the machine does slows all of them down alike."""
        direct = Direct()
        direct.turn("[[text:x]]")
        async with connected(port) as client:
            await client.ask("[[text:x]]")
            for number in range(100):
                streamed.append((await client.ask("[[text:x]]", stream=True))[1])
                own.append((await client.ask("[[text:x]]"))[2] - direct.turn("[[text:x]]")[1])
                if number % 5 == 0:
                    spawned.append(spawned_turn("[[text:x]]"))
        direct.close()

    with running(pool_size=1) as server:
        asyncio.run(measure(server.port))
    ratio = statistics.median(spawned) / statistics.median(streamed)
    share = statistics.median(own)
    return [
        ("first token, warm, median", ms(statistics.median(streamed)), "", True),
        ("first token, process per request, median", ms(statistics.median(spawned)), "", True),
        ("warm is faster by", f"{ratio:.1f} x", ">= 10 x", ratio >= 10),
        ("our own share of a request, median", ms(share), "<= 10 ms", share <= 0.010),
    ]


def chunks(_: argparse.Namespace) -> Rows:
    """Our own share of each streamed piece."""
    count = 5000
    text = f"[[chunks:{count}]]"

    async def streamed(port: int) -> float:
        async with connected(port) as client:
            await client.ask("[[text:x]]")
            return min([(await client.ask(text, stream=True))[2] for _ in range(5)])

    with running(pool_size=1) as server:
        ours = asyncio.run(streamed(server.port))
    direct = Direct()
    direct.turn("[[text:x]]")
    theirs = min(direct.turn(text)[1] for _ in range(5))
    direct.close()
    each = (ours - theirs) / count
    return [("our own share of a streamed piece", f"{each * 1e6:.0f} us", "", True)]


def burst(_: argparse.Namespace) -> Rows:
    """Thirty requests at once over a pool of eight."""

    async def thirty(port: int) -> tuple[float, list[int]]:
        async def one() -> int:
            async with connected(port) as client:
                return (await client.ask("[[chunks:20]] [[delay:0.01]]", stream=True))[0]

        began = time.perf_counter()
        statuses = await asyncio.gather(*(one() for _ in range(30)))
        return time.perf_counter() - began, statuses

    with running(pool_size=8, max_concurrency=8) as server:
        asyncio.run(await_idle(server.port, 8))
        seconds, statuses = asyncio.run(thirty(server.port))
    fine = statuses == [200] * 30
    words = f"{seconds:.2f} s, {statuses.count(200)} of 30 answered"
    return [("30 requests of 0.2 s at once, 8 processes", words, "all", fine)]


def memory(_: argparse.Namespace) -> Rows:
    """Resident memory of the server with nothing, with long and with many sessions."""
    kilobyte = "x" * 1000
    history = [{"role": ("user", "assistant")[i % 2], "content": kilobyte} for i in range(18)]
    question = [{"role": "user", "content": "[[text:" + kilobyte + "]]"}]

    def fill(number: int, messages: list[Any]) -> Callable[[Client], Coroutine[Any, Any, Any]]:
        return lambda client: client.ask("", f"s{number}", messages=messages)

    rows: Rows = []
    with running(pool_size=2) as server:
        asyncio.run(await_idle(server.port, 2))
        rows.append(mib("server idle", server.rss()))
        jobs = [fill(n, [*history, *question]) for n in range(1000)]
        asyncio.run(spread(server.port, 8, jobs))
        rows.append(mib(f"{stored(server.port)} sessions of 20 messages of 1 kB", server.rss()))
    with running(pool_size=2) as server:
        asyncio.run(spread(server.port, 8, [fill(n, question) for n in range(10_000)]))
        rows.append(mib(f"{stored(server.port)} sessions of 2 messages of 1 kB", server.rss()))
    return rows
