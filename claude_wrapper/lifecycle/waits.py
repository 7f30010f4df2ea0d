"""Waits for others that are cut short when the server stops."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Waits"]


class Waits:
    """The waits that are running now.

    Attributes:
        are_over: The server stops: no more waiting for anybody.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Timeout] = set()
        self.are_over = False

    @asynccontextmanager
    async def until(self, when: float) -> AsyncIterator[None]:
        """Run a block until `when`, on the loop's clock, or until all waits are ended.

        Raises:
            TimeoutError: It was not done by then.
        """
        now = asyncio.get_running_loop().time()
        async with asyncio.timeout_at(now if self.are_over else when) as timeout:
            self._running.add(timeout)
            try:
                yield
            finally:
                self._running.discard(timeout)

    def end(self) -> None:
        """End all, and those to come at once; twice is harmless."""
        self.are_over = True
        now = asyncio.get_running_loop().time()
        for timeout in self._running:
            timeout.reschedule(now)
