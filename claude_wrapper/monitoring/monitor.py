"""What all monitors have in common: periodic work, listeners, and an end that leaves nothing."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from claude_wrapper.lifecycle import Emitter, ResourceTracker

__all__ = ["Monitor"]


class Monitor:
    """Periodic work with events.

    `start` and `stop` are idempotent in both orders, and a stopped monitor can be started again.
    Events of every monitor: `started` and `stopped`, without data.

    Args:
        name: Of the monitor, its emitter, and its tasks.
        tracker: Runs the work and lists the emitter.
        clock: Monotonic seconds.

    Attributes:
        events: Where others listen; `stop` removes them all.
    """

    def __init__(
        self,
        name: str,
        tracker: ResourceTracker,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.events: Emitter = tracker.emitter(name)
        self._tracker = tracker
        self._clock = clock
        self._work: list[tuple[str, float, Callable[[], Awaitable[None]]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._is_running = False

    @property
    def is_running(self) -> bool:
        """Between `start` and `stop`."""
        return self._is_running

    async def start(self) -> None:
        """Begin the periodic work."""
        if self._is_running:
            return
        self._is_running = True
        self._tasks = [
            self._tracker.every(interval, action, name=f"{self.name} {what}")
            for what, interval, action in self._work
        ]
        await self.events.emit("started")

    async def stop(self) -> None:
        """End the work, tell the listeners, and remove them."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._is_running:
            self._is_running = False
            await self.events.emit("stopped")
        self.events.remove_all()

    async def destroy(self) -> None:
        """Stop for good: new listeners are refused."""
        await self.stop()
        self.events.destroy()
        self._work.clear()

    def _every(self, what: str, interval: float, action: Callable[[], Awaitable[None]]) -> None:
        """Declare periodic work, `interval` in seconds."""
        self._work.append((what, interval, action))
