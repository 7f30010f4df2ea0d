"""Who has each session, and who waits for it: one turn at a time, first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from claude_wrapper.errors import ConflictError, OverloadedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.errors import WrapperError

__all__ = ["SessionLines"]

_Turn = TypeVar("_Turn")


@dataclass(slots=True)
class _Line(Generic[_Turn]):
    turn: _Turn
    waiting: deque[_Place[_Turn]] = field(default_factory=deque)


@dataclass(slots=True)
class _Place(Generic[_Turn]):
    make: Callable[[], _Turn]
    turn: asyncio.Future[_Turn]


class SessionLines(Generic[_Turn]):
    """The lines before all sessions that are in use.

    Args:
        most: How many may wait, over all sessions.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lines: dict[str, _Line[_Turn]] = {}

    def current(self, session_id: str) -> _Turn | None:
        """The turn that has the session."""
        line = self._lines.get(session_id)
        return line.turn if line is not None else None

    @property
    def waiting(self) -> int:
        """How many wait, over all sessions."""
        places = (place for line in self._lines.values() for place in line.waiting)
        return sum(not place.turn.done() for place in places)

    def join(
        self, session_id: str, make: Callable[[], _Turn], *, may_wait: bool
    ) -> asyncio.Future[_Turn]:
        """Ask for the session; the future has the turn, at once or later. Cancel it to leave.

        Args:
            session_id: Which.
            make: Makes the turn when it is time.
            may_wait: Whether another turn may be waited for.

        Raises:
            ConflictError: Another turn has it, and nobody wants to wait.
            OverloadedError: Too many wait already.
        """
        place = _Place(make, asyncio.get_running_loop().create_future())
        line = self._lines.get(session_id)
        if line is None:
            self._lines[session_id] = _Line(make())
            place.turn.set_result(self._lines[session_id].turn)
            return place.turn
        if not may_wait:
            raise ConflictError(
                f"session {session_id!r} is in the middle of a turn; wait, or delete it",
                retry_after=1,
            )
        if self.waiting >= self._most:
            raise OverloadedError(
                f"{self._most} requests wait for their sessions; try again later", retry_after=2
            )
        # Who left would otherwise be kept until the turn is over, however many come and go.
        line.waiting = deque(other for other in line.waiting if not other.turn.done())
        line.waiting.append(place)
        return place.turn

    def leave(self, session_id: str, turn: _Turn) -> None:
        """The turn is over: the next may come. Leaving twice is harmless."""
        line = self._lines.get(session_id)
        if line is None or line.turn is not turn:
            return
        while line.waiting:
            place = line.waiting.popleft()
            if not place.turn.done():
                line.turn = place.make()
                place.turn.set_result(line.turn)
                return
        del self._lines[session_id]

    def send_away(self, session_id: str, error: WrapperError) -> None:
        """Nobody needs to wait any more."""
        line = self._lines.get(session_id)
        while line is not None and line.waiting:
            place = line.waiting.popleft()
            if not place.turn.done():
                place.turn.set_exception(error)
