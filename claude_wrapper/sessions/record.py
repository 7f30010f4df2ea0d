"""One stored conversation, and how many bytes it counts for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from claude_wrapper.model import ImagePart, Message, TextPart

__all__ = ["SESSION_OVERHEAD", "Session", "SessionLimits", "SessionStats", "message_bytes"]

# What a message costs beyond its text: the record, its tuple, and the pointers to it.
MESSAGE_OVERHEAD = 300
SESSION_OVERHEAD = 800


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
        self, messages: tuple[Message, ...], *, model: str, system: str, now: float, most: int
    ) -> Session:
        """The session after a turn, the oldest exchanges dropped beyond `most` messages."""
        kept = _newest((*self.messages, *messages), most)
        size = SESSION_OVERHEAD + 2 * len(system) + sum(map(message_bytes, kept))
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStats:
    """What a store holds and has done since it was made."""

    active: int
    size: int
    created: int
    expired: int
    evicted: int


def message_bytes(message: Message) -> int:
    """An estimate that needs no serialising: lengths, and a fixed cost for each record."""
    parts = sum(_part_bytes(part) for part in message.parts)
    calls = sum(
        MESSAGE_OVERHEAD + len(call.arguments) + len(call.name) for call in message.tool_calls
    )
    return MESSAGE_OVERHEAD + parts + calls


def _part_bytes(part: TextPart | ImagePart) -> int:
    if isinstance(part, TextPart):
        return len(part.text.encode("utf-8", "surrogatepass"))
    return len(part.data) + len(part.url)


def _newest(messages: tuple[Message, ...], most: int) -> tuple[Message, ...]:
    """The newest messages, cut where a user begins, so that no result loses its call."""
    if len(messages) <= most:
        return messages
    for index in range(len(messages) - most, len(messages)):
        if messages[index].role == "user":
            return messages[index:]
    return messages[-1:]
