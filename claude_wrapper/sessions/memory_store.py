"""Sessions in memory: bounded by count, bytes and time after every call."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claude_wrapper.sessions.record import (
    SWEEP_BATCH,
    Session,
    SessionLimits,
    SessionStats,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MemoryStore"]


@dataclass(frozen=True, slots=True)
class _Held:
    session: Session
    expires_at: float


class MemoryStore:
    """Sessions in the order of their last use.

    All live equally long, so the order of use is also the order of expiry: the first one is at
    once the next to expire and the next to be evicted, and every operation is O(1).

    Args:
        limits: The bounds.
        clock: Monotonic seconds; tests pass their own.
        on_removed: Told of every session that is deleted, expired or evicted.
    """

    def __init__(
        self,
        limits: SessionLimits,
        clock: Callable[[], float] = time.monotonic,
        on_removed: Callable[[Session], None] = lambda _session: None,
    ) -> None:
        self._limits = limits
        self._on_removed = on_removed
        self._clock = clock
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._size = 0
        self._created = self._expired = self._evicted = 0

    async def get(self, session_id: str) -> Session | None:
        """The session, unless it is unknown or expired."""
        held = self._held.get(session_id)
        if held is None:
            return None
        if held.expires_at <= self._clock():
            self._remove(session_id)
            self._expired += 1
            return None
        return held.session

    async def put(self, session: Session) -> None:
        """Keep this version as the most recently used one."""
        if not self._drop(session.id):
            self._created += 1
        self._drop_expired(SWEEP_BATCH)
        if session.size > self._limits.size:
            # It would have to go at once, and all others with it.
            self._evicted += 1
            self._on_removed(session)
            return
        self._held[session.id] = _Held(session, self._clock() + self._limits.ttl)
        self._size += session.size
        while len(self._held) > self._limits.sessions or self._size > self._limits.size:
            self._remove(next(iter(self._held)))
            self._evicted += 1

    async def delete(self, session_id: str) -> bool:
        """Remove a session; False when there was none."""
        return self._remove(session_id)

    async def newest(self, owner: str, limit: int) -> tuple[Session, ...]:
        """The owner's sessions, most recently used first."""
        now = self._clock()
        mine = (
            held.session
            for held in reversed(self._held.values())
            if held.session.owner == owner and held.expires_at > now
        )
        return tuple(session for session, _ in zip(mine, range(limit), strict=False))

    async def sweep(self, batch: int) -> int:
        """Remove up to `batch` expired sessions."""
        return self._drop_expired(batch)

    async def stats(self) -> SessionStats:
        """Counts, without reading the sessions."""
        return SessionStats(
            active=len(self._held), size=self._size, created=self._created,
            expired=self._expired, evicted=self._evicted,
        )  # fmt: skip

    async def check(self) -> None:
        """It always works."""

    async def close(self) -> None:
        """Forget everything."""
        self._held.clear()
        self._size = 0

    def _remove(self, session_id: str) -> bool:
        """Take a session out for good, and tell who holds more of it."""
        held = self._held.get(session_id)
        if held is not None:
            self._drop(session_id)
            self._on_removed(held.session)
        return held is not None

    def _drop(self, session_id: str) -> bool:
        held = self._held.pop(session_id, None)
        if held is None:
            return False
        self._size -= held.session.size
        return True

    def _drop_expired(self, most: int) -> int:
        now, count = self._clock(), 0
        while count < most and self._held:
            first = next(iter(self._held))
            if self._held[first].expires_at > now:
                break
            self._remove(first)
            count += 1
        self._expired += count
        return count
