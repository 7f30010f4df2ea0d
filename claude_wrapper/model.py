"""The plain records that connect the wire dialects, the sessions and the Claude CLI."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "ChatTurn",
    "FinishReason",
    "ImagePart",
    "Message",
    "Part",
    "TextDelta",
    "TextPart",
    "ToolArgumentsDelta",
    "ToolCall",
    "ToolCallStarted",
    "ToolSpec",
    "TurnEnd",
    "TurnEvent",
    "TurnRequest",
    "Usage",
]

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPart:
    """Text inside a message."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePart:
    """An image inside a message: base64 data with its media type, or a URL."""

    media_type: str = ""
    data: str = ""
    url: str = ""


Part = TextPart | ImagePart


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call that the model asked the client to make; arguments are JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a conversation.

    A `tool` message answers `tool_call_id`; `is_error` says that the tool failed.
    """

    role: Literal["user", "assistant", "tool"]
    parts: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    is_error: bool = False

    @property
    def text(self) -> str:
        """All text of the message, images left out."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A function of the client that the model may call."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTurn:
    """A request in plain records, and the parameters that could not be carried.

    `places` says of each message where it stood in the body, for errors; messages before those
    were stored.
    """

    model: str
    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...]
    max_tokens: int | None
    body: dict[str, Any]
    json_schema: dict[str, Any] | None
    ignored: tuple[str, ...]
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRequest:
    """One turn to run, in no dialect.

    `owner` separates clients: a warm conversation is only ever continued for the owner that began
    it. `session` names the session, if any, that the process is kept for. `body` holds fields
    merged into the API request (temperature, stop_sequences, tool_choice).
    """

    model: str
    messages: tuple[Message, ...]
    system: str = ""
    tools: tuple[ToolSpec, ...] = ()
    max_tokens: int | None = None
    body: dict[str, Any] = field(default_factory=dict)
    json_schema: dict[str, Any] | None = None
    owner: str = ""
    session: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one turn as the API counted them."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0
    thinking_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        """All input tokens, cached or not."""
        return self.input_tokens + self.cache_read_tokens + self.cache_creation_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallStarted:
    """The model began to call a tool; `index` counts the calls of this turn from 0."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolArgumentsDelta:
    """A piece of the JSON arguments of call `index`."""

    index: int
    json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnd:
    """The last event of a turn that succeeded; `stop_sequence` is what was met, if one was."""

    reason: FinishReason
    usage: Usage
    model: str = ""
    stop_sequence: str = ""


TurnEvent = TextDelta | ToolCallStarted | ToolArgumentsDelta | TurnEnd
