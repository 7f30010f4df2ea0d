"""A turn as its consumer sees it: events to read, and a way to give it up."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claude_wrapper.claude.events import Abandoned
from claude_wrapper.claude.outbox import Outbox
from claude_wrapper.errors import WrapperError
from claude_wrapper.model import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.claude.ticket import Ticket
    from claude_wrapper.claude.worker import Worker
    from claude_wrapper.model import Message, TurnEvent, TurnRequest

__all__ = ["Deadline", "Turn", "TurnLimits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnLimits:
    """Longest turn and longest silence within it, in seconds."""

    total: float = 600.0
    idle: float = 120.0


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a turn must be over, in monotonic seconds.

    Not a method of the turn, which would tie those who are handed it into a cycle with it.
    """

    at: float

    @property
    def remaining(self) -> float:
        """Seconds until then, never so few that a timer would not start."""
        return max(0.001, self.at - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether it has come."""
        return time.monotonic() >= self.at


def nothing() -> None:
    """Nobody needs to be told."""


class Turn:
    """A running turn as its consumer sees it.

    Read `next_event` until it returns None or raises; call `abandon` whenever the answer is no
    longer wanted, also in a `finally`: it never waits.

    Attributes:
        opening_usage: What the API counted before it began to answer; zeros until then.
        outbox: What was said and not read yet.
        on_abandoned: Told at once when nobody wants the answer any more.
    """

    def __init__(self, request: TurnRequest) -> None:
        self.request = request
        self.answer: Message | None = None
        self.opening_usage = Usage()
        self.finished = asyncio.Event()
        self.is_abandoned = False
        self.outbox: Outbox[TurnEvent | WrapperError | None] = Outbox()
        self.ticket: Ticket | None = None
        self.on_abandoned: Callable[[], None] = nothing
        self._worker: Worker | None = None
        self._abandon_error: WrapperError | None = None
        self._has_ended = False
        self._is_read = False

    async def next_event(self) -> TurnEvent | None:
        """The next piece of the answer, or None after the last, however often that is asked for.

        Raises:
            WrapperError: The turn failed; nothing comes after that.
        """
        if self._is_read:
            return None
        event = await self.outbox.get()
        self._is_read = event is None or isinstance(event, WrapperError)
        if isinstance(event, WrapperError):
            raise event
        return event

    def abandon(self, error: WrapperError | None = None) -> None:
        """Nobody wants the answer: stop the turn and free its process. Returns at once.

        Args:
            error: What a consumer that still reads gets to see.
        """
        if self.is_abandoned or self.finished.is_set():
            return
        self.is_abandoned = True
        self._abandon_error = error
        self.outbox.open()
        if error is None:
            self.outbox.clear()
            if self._has_ended:
                # Whoever still reads must see the end, which has just been dropped, too.
                self.outbox.put(None)
        self.on_abandoned()
        if self.ticket is not None:
            self.ticket.cancel()
        if self._worker is not None:
            self._worker.inbox.put_nowait(Abandoned())

    # What follows is the runner's side.

    def publish(self, *events: TurnEvent) -> None:
        """Hand events to the consumer; what nobody wants any more is dropped."""
        if not self.is_abandoned:
            for event in events:
                self.outbox.put(event)

    def end(self, error: WrapperError | None = None) -> None:
        """No more events come."""
        self._has_ended = True
        self.outbox.put(error or self._abandon_error)

    def waits_in(self, ticket: Ticket) -> None:
        """The turn has a place in the queue."""
        self.ticket = ticket
        if self.is_abandoned:
            ticket.cancel()

    def runs_on(self, worker: Worker) -> None:
        """The turn has a process."""
        self._worker = worker
        if self.is_abandoned:
            worker.inbox.put_nowait(Abandoned())

    def left_worker(self) -> None:
        """The process no longer belongs to this turn."""
        self._worker = None
