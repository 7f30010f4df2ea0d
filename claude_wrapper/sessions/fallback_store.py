"""Above a store that can fail: what it did not take is held in memory until it does.

An answer is paid for and finished when its session is to be stored. A full disk is no reason to
withhold it, nor to let the next turn go on from a conversation that misses it.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from claude_wrapper.errors import WrapperError

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.sessions.record import Session, SessionLimits, SessionStats
    from claude_wrapper.sessions.store import SessionStore

__all__ = ["FallbackStore", "NotStoredError"]

logger = logging.getLogger(__name__)


class NotStoredError(WrapperError):
    """The session goes on from memory, and would not survive a restart now."""


class FallbackStore:
    """A store that keeps in memory what the one below refuses, within the same limits.

    Each sweep, and the end, try again to hand it down.

    Args:
        below: The store.
        limits: Sessions, bytes and seconds for what is held here.
        clock: Unix time; tests pass their own.
        on_removed: Told of every session that was held here alone and is deleted.
    """

    def __init__(
        self,
        below: SessionStore,
        limits: SessionLimits,
        clock: Callable[[], float] = time.time,
        on_removed: Callable[[Session], None] = lambda _session: None,
    ) -> None:
        self._below = below
        self._limits = limits
        self._clock = clock
        self._on_removed = on_removed
        self._held: dict[str, Session] = {}

    async def get(self, session_id: str) -> Session | None:
        """The session, from here or from below."""
        held = self._held.get(session_id)
        return held if held is not None else await self._below.get(session_id)

    async def put(self, session: Session) -> None:
        """Store this version, else hold it.

        Raises:
            NotStoredError: It is held in memory only.
        """
        # Otherwise a sweep could hand the older version down after this one.
        self._held.pop(session.id, None)
        try:
            await self._below.put(session)
        except WrapperError as error:
            self._hold(session)
            logger.warning("session %.100r is in memory only: %s", session.id, error.message)
            raise NotStoredError(error.message) from error
        except BaseException:
            self._hold(session)
            raise

    async def delete(self, session_id: str) -> bool:
        """Remove a session; False when there was none."""
        # Out of here first: else a sweep could hand it down after it was removed below.
        held = self._held.pop(session_id, None)
        try:
            was_below = await self._below.delete(session_id)
        except BaseException:
            if held is not None:
                self._held.setdefault(session_id, held)
            raise
        # And once more: it may have been on its way down, and have come back.
        held = self._held.pop(session_id, held)
        if held is not None and not was_below:
            self._on_removed(held)
        return was_below or held is not None

    async def newest(self, owner: str, limit: int) -> tuple[Session, ...]:
        """The owner's sessions, most recently used first."""
        below = await self._below.newest(owner, limit)
        mine = [session for session in self._held.values() if session.owner == owner]
        held = {session.id for session in mine}
        rest = [session for session in below if session.id not in held]
        both = sorted((*mine, *rest), key=lambda session: session.last_used_at, reverse=True)
        return tuple(both[:limit])

    async def sweep(self, batch: int) -> int:
        """Remove up to `batch` expired sessions, and hand down what is held."""
        await self._hand_down()
        return await self._below.sweep(batch)

    async def stats(self) -> SessionStats:
        """The counts of the store below."""
        return await self._below.stats()

    async def check(self) -> None:
        """As the store below.

        Raises:
            WrapperError: It cannot be read, or the newest change could not be written.
        """
        await self._below.check()

    async def close(self) -> None:
        """Try once more to store what is held, and close the store."""
        await self._hand_down()
        if self._held:
            logger.error("%d sessions could not be stored and end here", len(self._held))
        await self._below.close()

    async def _hand_down(self) -> None:
        for session in tuple(self._held.values()):
            if self._held.get(session.id) is not session:
                # Deleted, or stored in a newer version, while another was handed down.
                continue
            if self._clock() - session.last_used_at >= self._limits.ttl:
                self._held.pop(session.id, None)
                continue
            try:
                await self._below.put(session)
            except WrapperError:
                return
            if self._held.get(session.id) is session:
                del self._held[session.id]

    def _hold(self, session: Session) -> None:
        self._held[session.id] = session
        size = sum(one.size for one in self._held.values())
        while len(self._held) > self._limits.sessions or size > self._limits.size:
            oldest = self._held.pop(next(iter(self._held)))
            size -= oldest.size
            logger.error("session %.100r was lost: too many could not be stored", oldest.id)
