"""What a session store must do, wherever it keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from claude_wrapper.sessions.record import Session, SessionStats

__all__ = ["SessionStore"]


class SessionStore(Protocol):
    """Keeps sessions within its limits after every call."""

    async def get(self, session_id: str) -> Session | None:
        """The session, unless it is unknown or expired; reading does not renew it."""

    async def put(self, session: Session) -> None:
        """Keep this version, and renew its life; others may have to go for it."""

    async def delete(self, session_id: str) -> bool:
        """Remove a session; False when there was none."""

    async def newest(self, owner: str, limit: int) -> tuple[Session, ...]:
        """The owner's sessions, most recently used first."""

    async def sweep(self, batch: int) -> int:
        """Remove up to `batch` expired sessions; how many were removed."""

    async def stats(self) -> SessionStats:
        """Counts, without reading the sessions."""

    async def check(self) -> None:
        """Whether it works: for the health of the server.

        Raises:
            WrapperError: It cannot be read, or the newest change could not be written.
        """

    async def close(self) -> None:
        """Let go of everything."""
