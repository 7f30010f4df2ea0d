"""Time that only passes when a test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class FakeClock:
    """A monotonic clock and the sleep that goes with it.

    `advance` wakes sleepers in the order of their times and lets the loop turn after each, so that
    what they do is done before time goes on.
    """

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self._numbers = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._numbers), waiting))
        await waiting

    async def advance(self, seconds: float) -> None:
        ends_at = self.now + seconds
        await _let_everybody_run()
        while self._sleepers and self._sleepers[0][0] <= ends_at:
            self.now, _, waiting = heapq.heappop(self._sleepers)
            if not waiting.done():
                waiting.set_result(None)
            await _let_everybody_run()
        self.now = ends_at


async def _let_everybody_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
