"""The bounds of the pool, and a place in its queue."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claude_wrapper.claude.wanted import Wanted
    from claude_wrapper.claude.worker import Worker

__all__ = ["PoolLimits", "Ticket"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """The bounds of a pool: processes, waiting requests, and when a process is replaced.

    Times in seconds, memory in bytes.
    """

    warm: int = 2
    most: int = 8
    queue: int = 64
    max_turns: int = 200
    max_age: float = 3600.0
    max_rss: int = 600 << 20
    idle_ttl: float = 300.0
    parked_ttl: float = 600.0


class Ticket:
    """A place in the queue. `worker` is the future of the process; `cancel` gives the place up."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.worker: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()

    @property
    def is_waiting(self) -> bool:
        """Whether somebody still waits, and has got nothing yet."""
        return not self.worker.done()

    def cancel(self) -> None:
        """Nobody waits any more."""
        self.worker.cancel()
