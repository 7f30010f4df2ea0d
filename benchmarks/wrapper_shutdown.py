"""How long the end takes, in each state."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import threading
from typing import TYPE_CHECKING

import psutil
from wrapper_client import await_counts, connected
from wrapper_host import running

if TYPE_CHECKING:
    import argparse

    from wrapper_figures import Rows

STATES = {
    "idle": ("", 0),
    "20 open streams": ("[[midhang]]", 20),
    "pending tool calls": ("[[tool:f {}]]", 2),
    "a CLI that hangs": ("[[stuck]]", 2),
    "a CLI that ignores SIGTERM": ("[[stuck]] [[ignore-sigterm]]", 2),
    "a stopped CLI": ("[[midhang]]", 2),
}


def shutdown(options: argparse.Namespace) -> Rows:
    """Seconds from SIGTERM to the exit, in each state."""
    rows: Rows = []
    for name, (text, count) in STATES.items():
        runs = [one_shutdown(name, text, count) for _ in range(options.runs)]
        longest = max(seconds for _, seconds in runs)
        codes = {code for code, _ in runs}
        middle = statistics.median(seconds for _, seconds in runs)
        words = f"median {middle:.2f} s, maximum {longest:.2f} s, exit codes {sorted(codes)}"
        rows.append(
            (f"shutdown x {options.runs}: {name}", words, "< 5 s, 0", longest < 5 and codes == {0})
        )
    return rows


def one_shutdown(name: str, text: str, count: int) -> tuple[int, float]:
    """Bring a server into a state, stop it, and see that its children are gone."""
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]

    async def stay(port: int, stop: asyncio.Event) -> None:
        async def one() -> None:
            more = {"tools": tools} if "tool" in text else {"stream": True}
            async with connected(port) as client:
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                    await client.ask(text, **more)

        tasks = [asyncio.create_task(one()) for _ in range(count)]
        wanted = {"parked": count} if "tool" in text else {"busy": min(count, 4)}
        await await_counts(port, **(wanted if count else {"idle": 2}))
        stop.set()
        await asyncio.gather(*tasks)

    with running(pool_size=2, max_concurrency=4) as server:
        ready = threading.Event()

        async def main() -> None:
            event = asyncio.Event()
            task = asyncio.create_task(stay(server.port, event))
            await event.wait()
            ready.set()
            await task

        thread = threading.Thread(target=lambda: asyncio.run(main()))
        thread.start()
        assert ready.wait(60), name
        children = psutil.Process(server.process.pid).children(recursive=True)
        if name == "a stopped CLI":
            for child in children:
                child.suspend()
        outcome = server.stop()
        thread.join(30)
        assert not [c for c in children if c.is_running() and c.status() != psutil.STATUS_ZOMBIE]
        return outcome
