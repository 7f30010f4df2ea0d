"""Stored responses: each continues an earlier one, and all stay within the limits of sessions."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from claude_wrapper.errors import NotFoundError
from claude_wrapper.sessions.record import (
    SESSION_OVERHEAD,
    SWEEP_BATCH,
    SessionStats,
    message_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.lifecycle import ResourceTracker
    from claude_wrapper.model import Message
    from claude_wrapper.sessions.record import SessionLimits

__all__ = ["ResponseStore", "StoredResponse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """One answer, and what the request added to the conversation before it.

    Attributes:
        id: The name by which a later request continues here.
        owner: Who may.
        document: The response object as the client got it.
        messages: The new input and the answer.
        system: Instructions that stood in the input; they stay for what follows.
        previous: The id of the response that this one continues, or "".
    """

    id: str
    owner: str
    document: dict[str, Any]
    messages: tuple[Message, ...]
    system: str = ""
    previous: str = ""


@dataclass(slots=True, eq=False)
class _Link:
    """A response, and the link before it, which lives as long as anything continues from it."""

    response: StoredResponse
    before: _Link | None
    size: int
    expires_at: float
    users: int = field(default=1)


class ResponseStore:
    """Responses in the order of their last use; the messages of a conversation are held once.

    Removing a response does not break those that continue it: its messages are kept, and counted,
    until the last of them has gone.

    Args:
        limits: The bounds: as many responses, bytes and seconds as for sessions.
        clock: Monotonic seconds; tests pass their own.
    """

    def __init__(self, limits: SessionLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._links: OrderedDict[str, _Link] = OrderedDict()
        self._size = 0
        self._created = self._expired = self._evicted = 0

    def start(self, tracker: ResourceTracker, interval: float) -> None:
        """Remove expired responses every `interval` seconds."""
        tracker.every(interval, self._sweep_all, name="response-sweeper")

    def get(self, response_id: str, owner: str) -> StoredResponse:
        """Look at a response; that is no use of it.

        Raises:
            NotFoundError: It is unknown, expired, evicted, or somebody else's.
        """
        return self._link(response_id, owner).response

    def conversation(self, response_id: str, owner: str) -> tuple[tuple[Message, ...], str]:
        """All messages up to and with this response, and the instructions among them.

        Raises:
            NotFoundError: As for `get`.
        """
        link: _Link | None = self._link(response_id, owner)
        assert link is not None
        self._renew(link)
        chain: list[StoredResponse] = []
        while link is not None:
            chain.append(link.response)
            link = link.before
        chain.reverse()
        messages = tuple(message for response in chain for message in response.messages)
        return messages, "\n\n".join(response.system for response in chain if response.system)

    def put(self, response: StoredResponse) -> None:
        """Keep a response; others may have to go for it.

        One whose predecessor went away while it was made cannot be continued, and is not kept.
        """
        before = self._links.get(response.previous)
        if response.previous and before is None:
            return
        if before is not None:
            before.users += 1
        size = _size(response)
        if size > self._limits.size:
            # It would have to go at once, and all others with it.
            self._evicted += 1
            return
        link = _Link(response, before, size, 0.0)
        self._links[response.id] = link
        self._size += link.size
        self._created += 1
        self._renew(link)
        self.sweep(SWEEP_BATCH)
        while len(self._links) > self._limits.sessions or self._size > self._limits.size:
            self._remove(next(iter(self._links)))
            self._evicted += 1

    def delete(self, response_id: str, owner: str) -> None:
        """Remove a response.

        Raises:
            NotFoundError: As for `get`.
        """
        self._link(response_id, owner)
        self._remove(response_id)

    def sweep(self, batch: int) -> int:
        """Remove up to `batch` expired responses; how many were removed."""
        now, count = self._clock(), 0
        while count < batch and self._links:
            first = next(iter(self._links))
            if self._links[first].expires_at > now:
                break
            self._remove(first)
            count += 1
        self._expired += count
        return count

    def stats(self) -> SessionStats:
        """Counts, without reading the responses."""
        return SessionStats(
            active=len(self._links), size=self._size, created=self._created,
            expired=self._expired, evicted=self._evicted,
        )  # fmt: skip

    def close(self) -> None:
        """Forget everything."""
        self._links.clear()
        self._size = 0

    async def _sweep_all(self) -> None:
        while self.sweep(SWEEP_BATCH) == SWEEP_BATCH:
            await asyncio.sleep(0)

    def _link(self, response_id: str, owner: str) -> _Link:
        link = self._links.get(response_id)
        if link is None or link.response.owner != owner or link.expires_at <= self._clock():
            raise NotFoundError(
                f"there is no response {response_id!r}, or it has expired; send the whole "
                "conversation as input instead",
                code="response_not_found",
            )
        return link

    def _renew(self, link: _Link) -> None:
        link.expires_at = self._clock() + self._limits.ttl
        self._links.move_to_end(link.response.id)

    def _remove(self, response_id: str) -> None:
        link: _Link | None = self._links.pop(response_id)
        while link is not None:
            link.users -= 1
            if link.users:
                return
            self._size -= link.size
            link = link.before


def _size(response: StoredResponse) -> int:
    document = len(json.dumps(response.document))
    return SESSION_OVERHEAD + 2 * document + sum(map(message_bytes, response.messages))
