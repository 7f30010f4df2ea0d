"""From the raw API events of one turn to the events of its answer. No input, no output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from claude_wrapper.claude.tool_names import client_name
from claude_wrapper.errors import CliFailedError
from claude_wrapper.model import (
    FinishReason,
    Message,
    TextDelta,
    TextPart,
    ToolArgumentsDelta,
    ToolCall,
    ToolCallStarted,
    TurnEvent,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.claude.events import ResultEvent

    _Handler = Callable[["AnswerReader", dict[str, Any]], tuple[TurnEvent, ...]]

__all__ = ["STRUCTURED_TOOL", "AnswerReader", "structured_text"]

# The tool by which the CLI makes the model answer in a JSON schema.
STRUCTURED_TOOL = "StructuredOutput"
# Characters and calls of one answer: no model says a tenth of that, and all of it is kept.
MOST_CHARACTERS = 16 * 1024 * 1024
MOST_CALLS = 10_000
# Of an event that nobody understands, in an error.
SHOWN = 200

REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class AnswerReader:
    """Collects one HTTP answer: text, tool calls, usage, and why it ended.

    Args:
        structured: The answer must follow a schema. Text and the forced tool are then held back:
            only the object that the CLI has checked is the answer.
    """

    def __init__(self, *, structured: bool) -> None:
        self._structured = structured
        self._text: list[str] = []
        self._characters = 0
        self._calls: list[_Call] = []
        self._blocks: dict[int, _Call | None] = {}
        self._done_messages = Usage()
        self._current: dict[str, int] = {}
        self.model = ""
        self.reason: FinishReason | None = None
        self.stop_sequence = ""
        self.saw_structured_call = False

    @property
    def has_begun(self) -> bool:
        """Whether anything was said."""
        return bool(self._text or self._calls)

    @property
    def call_ids(self) -> frozenset[str]:
        """The ids of the tool calls so far."""
        return frozenset(call.id for call in self._calls)

    @property
    def usage(self) -> Usage:
        """The tokens of all API requests of this answer."""
        return _add(self._done_messages, _usage(self._current))

    def message(self) -> Message:
        """The answer as a message of the conversation."""
        calls = tuple(
            ToolCall(id=call.id, name=call.name, arguments="".join(call.json) or "{}")
            for call in self._calls
        )
        text = "".join(self._text)
        parts = (TextPart(text=text),) if text else ()
        return Message(role="assistant", parts=parts, tool_calls=calls)

    def say(self, text: str) -> TurnEvent:
        """Add text that did not come as an event.

        Raises:
            CliFailedError: The answer is too long.
        """
        self._grow(text)
        self._text.append(text)
        return TextDelta(text=text)

    def _grow(self, text: str) -> None:
        self._characters += len(text)
        if self._characters > MOST_CHARACTERS or len(self._calls) > MOST_CALLS:
            raise CliFailedError(
                f"the answer has more than {MOST_CHARACTERS:,} characters or {MOST_CALLS:,} tool "
                "calls; it was given up"
            )

    def read(self, event: dict[str, Any]) -> tuple[TurnEvent, ...]:
        """Take one API event and return what the client should see of it.

        Raises:
            CliFailedError: It has not the shape of the API's, or the answer is too long. The CLI passes
                on what it is sent, and behind another base URL that may come from anybody.
        """
        handler = self._HANDLERS.get(str(event.get("type")))
        try:
            return handler(self, event) if handler is not None else ()
        except (AttributeError, TypeError, ValueError) as error:
            shown = json.dumps(event)[:SHOWN]
            raise CliFailedError(f"the API sent an event of an unknown shape: {shown}") from error

    def _message_start(self, event: dict[str, Any]) -> tuple[TurnEvent, ...]:
        message = event.get("message") or {}
        self._done_messages = self.usage
        self._current = {}
        self._count(message.get("usage"))
        self.model = str(message.get("model") or self.model)
        self._blocks = {}
        self.reason = None
        self.saw_structured_call = False
        return ()

    def _block_start(self, event: dict[str, Any]) -> tuple[TurnEvent, ...]:
        block = event.get("content_block") or {}
        if block.get("type") == "text" and block.get("text") and not self._structured:
            return (self.say(str(block["text"])),)
        if block.get("type") != "tool_use":
            return ()
        if self._structured and block.get("name") == STRUCTURED_TOOL:
            self.saw_structured_call = True
            return ()
        name = client_name(str(block.get("name")))
        call = _Call(len(self._calls), str(block.get("id")), name)
        self._calls.append(call)
        self._grow(call.id + call.name)
        self._blocks[int(event.get("index", -1))] = call
        return (ToolCallStarted(index=call.index, id=call.id, name=call.name),)

    def _block_delta(self, event: dict[str, Any]) -> tuple[TurnEvent, ...]:
        delta = event.get("delta") or {}
        if delta.get("type") == "text_delta" and not self._structured:
            return (self.say(str(delta.get("text", ""))),)
        call = self._blocks.get(int(event.get("index", -1)))
        if delta.get("type") == "input_json_delta" and call is not None:
            piece = str(delta.get("partial_json", ""))
            self._grow(piece)
            call.json.append(piece)
            return (ToolArgumentsDelta(index=call.index, json=piece),) if piece else ()
        return ()

    def _message_delta(self, event: dict[str, Any]) -> tuple[TurnEvent, ...]:
        self._count(event.get("usage"))
        delta = event.get("delta") or {}
        stop = delta.get("stop_reason")
        self.stop_sequence = str(delta.get("stop_sequence") or "")
        if stop:
            self.reason = REASONS.get(str(stop), "stop")
        return ()

    def _count(self, usage: dict[str, Any] | None) -> None:
        # message_delta repeats the running totals, so the newest figure of each kind counts.
        for name, value in (usage or {}).items():
            if isinstance(value, int):
                self._current[name] = value
        details = (usage or {}).get("output_tokens_details") or {}
        if "thinking_tokens" in details:
            self._current["thinking_tokens"] = int(details["thinking_tokens"])

    _HANDLERS: ClassVar[dict[str, _Handler]] = {
        "message_start": _message_start,
        "content_block_start": _block_start,
        "content_block_delta": _block_delta,
        "message_delta": _message_delta,
    }


class _Call:
    __slots__ = ("id", "index", "json", "name")

    def __init__(self, index: int, call_id: str, name: str) -> None:
        self.index = index
        self.id = call_id
        self.name = name
        self.json: list[str] = []


def _usage(counts: dict[str, int]) -> Usage:
    return Usage(
        input_tokens=counts.get("input_tokens", 0),
        output_tokens=counts.get("output_tokens", 0),
        cache_read_tokens=counts.get("cache_read_input_tokens", 0),
        cache_creation_tokens=counts.get("cache_creation_input_tokens", 0),
        thinking_tokens=counts.get("thinking_tokens", 0),
    )


def _add(one: Usage, two: Usage) -> Usage:
    return Usage(
        input_tokens=one.input_tokens + two.input_tokens,
        output_tokens=one.output_tokens + two.output_tokens,
        cache_read_tokens=one.cache_read_tokens + two.cache_read_tokens,
        cache_creation_tokens=one.cache_creation_tokens + two.cache_creation_tokens,
        thinking_tokens=one.thinking_tokens + two.thinking_tokens,
    )


def structured_text(result: ResultEvent) -> str:
    """The object that the CLI has checked against the schema, as JSON.

    Raises:
        CliFailedError: There is none.
    """
    if result.structured_output is None:
        raise CliFailedError("the model did not answer in the schema asked for")
    return json.dumps(result.structured_output, ensure_ascii=False)
