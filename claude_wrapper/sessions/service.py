"""One turn at a time per session, and a conversation that only a finished turn can change."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claude_wrapper.errors import ConflictError, NotFoundError
from claude_wrapper.sessions.fallback_store import NotStoredError
from claude_wrapper.sessions.line import SessionLines
from claude_wrapper.sessions.record import SWEEP_BATCH, Session, SessionLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.lifecycle import ResourceTracker
    from claude_wrapper.model import Message
    from claude_wrapper.sessions.store import SessionStore

__all__ = ["SessionService", "SessionTurn", "SweepStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStats:
    """The periodic removal: runs and removed sessions so far, and when and how long the last was.

    `last_at` is Unix time, or None before the first.
    """

    runs: int = 0
    removed: int = 0
    last_at: float | None = None
    last_seconds: float = 0.0


class SessionTurn:
    """The right to one turn on a session; `release` it in any case.

    Attributes:
        session: As it is stored; before that was looked up an empty one of whoever asked.
        is_open: It was looked up, so its owner is the one who asked.
        is_deleted: It was deleted during the turn, so nothing of that is kept.
        stop: Ends the turn.
    """

    def __init__(self, service: SessionService, session: Session) -> None:
        self._service = service
        self.session = session
        self.is_open = False
        self.stop: Callable[[], None] = lambda: None
        self.is_deleted = False

    async def commit(self, messages: tuple[Message, ...], *, model: str, system: str) -> bool:
        """The turn succeeded: keep what was said, unless the session was deleted meanwhile.

        Returns:
            False when it is kept in memory only, because the store did not take it.
        """
        if self.is_deleted:
            return True
        try:
            await self._service.save(self.session, messages, model=model, system=system)
        except NotStoredError:
            return False
        return True

    def release(self) -> None:
        """The next turn may come."""
        self._service.release(self)


class SessionService:
    """Sessions as the routes use them, above any store.

    Args:
        store: Where they are kept.
        limits: How long a session may get.
        tracker: Runs the periodic removal.
        most_waiting: Requests that may wait for their session, over all sessions.

    Attributes:
        sweeps: What the periodic removal has done.
    """

    def __init__(
        self,
        store: SessionStore,
        limits: SessionLimits,
        tracker: ResourceTracker,
        *,
        most_waiting: int = 64,
    ) -> None:
        self.store = store
        self._limits = limits
        self._tracker = tracker
        self._lines: SessionLines[SessionTurn] = SessionLines(most_waiting)
        self.sweeps = SweepStats()

    def start(self, interval: float) -> None:
        """Remove expired sessions every `interval` seconds."""
        self._tracker.every(interval, self.sweep, name="session-sweeper")

    async def sweep(self) -> None:
        """Remove all expired sessions in small batches, so that requests are not held up."""
        began, removed = time.monotonic(), 0
        while (count := await self.store.sweep(SWEEP_BATCH)) == SWEEP_BATCH:
            removed += count
            await asyncio.sleep(0)
        self.sweeps = SweepStats(
            runs=self.sweeps.runs + 1,
            removed=self.sweeps.removed + removed + count,
            last_at=time.time(),
            last_seconds=time.monotonic() - began,
        )

    @property
    def waiting(self) -> int:
        """Requests that wait for the turns before them."""
        return self._lines.waiting

    def ask(self, session_id: str, owner: str, *, may_wait: bool) -> asyncio.Future[SessionTurn]:
        """Ask for a turn; the future has it when all turns before it are over. Cancel it to leave.

        Args:
            session_id: Which session; it is made when it does not exist.
            owner: Who asks.
            may_wait: Whether to wait for the turn that runs.

        Raises:
            ConflictError: Another turn runs on it, and `may_wait` is False.
            OverloadedError: Too many wait for sessions already.
            NotFoundError: Somebody else is using it.
        """
        current = self._lines.current(session_id)
        if current is not None and current.is_open and current.session.owner != owner:
            raise _unknown(session_id)

        def turn() -> SessionTurn:
            now = time.time()
            return SessionTurn(
                self, Session(id=session_id, owner=owner, created_at=now, last_used_at=now)
            )

        return self._lines.join(session_id, turn, may_wait=may_wait)

    async def open(self, turn: SessionTurn) -> None:
        """Give the turn what is stored, once it has the session.

        Raises:
            NotFoundError: It belongs to somebody else.
        """
        stored = await self.store.get(turn.session.id)
        if stored is not None and stored.owner != turn.session.owner:
            raise _unknown(turn.session.id)
        turn.session = stored or turn.session
        turn.is_open = True

    async def get(self, session_id: str, owner: str) -> Session:
        """Look at a session.

        Raises:
            NotFoundError: It is unknown, expired, or somebody else's.
        """
        session = await self.store.get(session_id)
        if session is None or session.owner != owner:
            raise _unknown(session_id)
        return session

    async def delete(self, session_id: str, owner: str) -> None:
        """Remove a session and stop the turn that runs on it.

        Raises:
            NotFoundError: It is unknown, expired, or somebody else's.
        """
        await self._check_owner(session_id, owner)
        turn = self._lines.current(session_id)
        if turn is not None and turn.session.owner == owner:
            turn.is_deleted = True
            turn.stop()
            gone = f"session {session_id!r} was deleted while this request waited for its turn"
            self._lines.send_away(session_id, ConflictError(gone))
        await self.store.delete(session_id)

    async def _check_owner(self, session_id: str, owner: str) -> None:
        turn = self._lines.current(session_id)
        if turn is None or turn.session.owner != owner:
            await self.get(session_id, owner)
        elif not turn.is_open:
            # Whoever asks has the line; whether the session is theirs is just being looked up.
            stored = await self.store.get(session_id)
            if stored is not None and stored.owner != owner:
                raise _unknown(session_id)

    async def save(
        self, session: Session, messages: tuple[Message, ...], *, model: str, system: str
    ) -> None:
        """Store the session with these messages added."""
        await self.store.put(
            session.extended(
                messages,
                model=model,
                system=system,
                now=time.time(),
                most=self._limits.messages,
                most_bytes=self._limits.session_size,
            )
        )

    def release(self, turn: SessionTurn) -> None:
        """The turn is over, whatever came of it."""
        self._lines.leave(turn.session.id, turn)

    @staticmethod
    def new_id() -> str:
        """An id that cannot be guessed."""
        return f"sess-{uuid.uuid4().hex}"


def _unknown(session_id: str) -> NotFoundError:
    return NotFoundError(
        f"there is no session {session_id!r}, or it has expired", code="session_not_found"
    )
