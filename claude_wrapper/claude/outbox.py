"""What a turn has said and its consumer has not taken yet: bounded, so that a slow client waits."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

__all__ = ["MOST_WAITING", "Outbox"]

T = TypeVar("T")

# Events; beyond that the process is no longer listened to until the client has caught up.
MOST_WAITING = 256


class Outbox(Generic[T]):
    """A queue whose producer asks for room before it goes on."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._items: deque[T] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def is_full(self) -> bool:
        """Whether the producer should wait."""
        return not self._room.is_set()

    def put(self, item: T) -> None:
        """Add an item; one event of the process may bring a few more than fit."""
        self._items.append(item)
        self._arrived.set()
        if len(self._items) >= self._most:
            self._room.clear()

    async def get(self) -> T:
        """The oldest item."""
        while not self._items:
            self._arrived.clear()
            await self._arrived.wait()
        item = self._items.popleft()
        # With some distance, so that the process is not stopped and started at every event.
        if len(self._items) <= self._most // 2:
            self._room.set()
        return item

    async def wait_for_room(self) -> None:
        """Wait until the consumer has caught up, or nobody reads any more."""
        await self._room.wait()

    def clear(self) -> None:
        """Drop what waits: writing it to a client that has gone only fills the log."""
        self._items.clear()

    def open(self) -> None:
        """Nobody will take anything any more: the producer must not wait."""
        self._most = 1 << 62
        self._room.set()
