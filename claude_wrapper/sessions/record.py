"""One stored conversation, and how many bytes it counts for."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace

from claude_wrapper.model import ImagePart, Message, TextPart

__all__ = [
    "SESSION_OVERHEAD",
    "SWEEP_BATCH",
    "Session",
    "SessionLimits",
    "SessionStats",
    "message_bytes",
]

# What a message costs beyond its text: the record, its tuple, and the pointers to it.
MESSAGE_OVERHEAD = 110
CALL_OVERHEAD = 120
PART_OVERHEAD = 50
SESSION_OVERHEAD = 500
# How many sessions are removed at once; more would hold up whoever else wants to run.
SWEEP_BATCH = 100
# Of the bytes of all sessions.
SESSION_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A conversation of one owner.

    Attributes:
        created_at: Unix time, for display.
        last_used_at: Unix time, for display; expiry uses a clock that cannot be set.
        uses: Finished turns; lives and dies with the session.
        size: Estimated bytes in memory.
    """

    id: str
    owner: str
    created_at: float
    last_used_at: float
    model: str = ""
    system: str = ""
    messages: tuple[Message, ...] = ()
    uses: int = 0
    size: int = SESSION_OVERHEAD

    def extended(
        self, messages: tuple[Message, ...], *, model: str, system: str, now: float,
        most: int, most_bytes: float = math.inf,
    ) -> Session:  # fmt: skip
        """The session after a turn.

        Args:
            messages: What was said in it.
            model: Who answered.
            system: Under which instructions.
            now: Unix time.
            most: Messages to keep; beyond them the oldest exchanges go.
            most_bytes: The same for their estimated size; the newest exchange always stays.
        """
        kept = _newest((*self.messages, *messages), most, most_bytes)
        size = SESSION_OVERHEAD + sys.getsizeof(system) + sum(map(message_bytes, kept))
        return replace(
            self, messages=kept, model=model, system=system, last_used_at=now, size=size,
            uses=self.uses + 1,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """Bounds of a store: sessions, bytes, messages per session, seconds after the last use."""

    sessions: int
    size: int
    messages: int
    ttl: float

    @property
    def session_size(self) -> float:
        """Bytes of one session: one client must not push out all others."""
        return self.size * SESSION_SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStats:
    """What a store holds and has done since it was made."""

    active: int
    size: int
    created: int
    expired: int
    evicted: int


def message_bytes(message: Message) -> int:
    """An estimate that needs no serialising: the sizes of the strings, and of their records."""
    parts = sum(map(_part_bytes, message.parts))
    calls = sum(
        CALL_OVERHEAD + sum(map(sys.getsizeof, (call.id, call.name, call.arguments)))
        for call in message.tool_calls
    )
    return MESSAGE_OVERHEAD + parts + calls


def _part_bytes(part: TextPart | ImagePart) -> int:
    # A string takes one, two or four bytes for each of its characters, as the widest one needs.
    if isinstance(part, TextPart):
        return PART_OVERHEAD + sys.getsizeof(part.text)
    return PART_OVERHEAD + sys.getsizeof(part.data) + sys.getsizeof(part.url)


def _newest(messages: tuple[Message, ...], most: int, most_bytes: float) -> tuple[Message, ...]:
    """The newest messages, cut where a user begins, so that no result loses its call."""
    size = float(sum(map(message_bytes, messages)))
    if len(messages) <= most and size <= most_bytes:
        return messages
    newest = messages[-1:]
    for index, message in enumerate(messages):
        if message.role == "user" and len(messages) - index <= most:
            newest = messages[index:]
            if size <= most_bytes:
                break
        size -= message_bytes(message)
    return newest
