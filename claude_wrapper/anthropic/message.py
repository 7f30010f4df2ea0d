"""The answer in Anthropic's words: one message, or the events of a stream. Pure."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from claude_wrapper.model import TextDelta, ToolArgumentsDelta, ToolCallStarted, Usage

if TYPE_CHECKING:
    from claude_wrapper.model import Message, TurnEnd, TurnEvent

__all__ = ["EventWriter", "whole_message"]

STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


class EventWriter:
    """Turns the events of one turn into Anthropic's: each block is opened, filled, and closed."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._index = -1
        self._open = ""

    def first(self, usage: Usage) -> tuple[dict[str, Any], ...]:
        """The events that open the answer."""
        message = _message(self._model, [], usage)
        return {"type": "message_start", "message": message}, {"type": "ping"}

    def events(self, event: TurnEvent) -> list[dict[str, Any]]:
        """The events for one event of the turn."""
        if isinstance(event, TextDelta):
            opening = [] if self._open == "text" else self._start({"type": "text", "text": ""})
            return [*opening, self._delta({"type": "text_delta", "text": event.text})]
        if isinstance(event, ToolCallStarted):
            return self._start(
                {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
            )
        if isinstance(event, ToolArgumentsDelta):
            return [self._delta({"type": "input_json_delta", "partial_json": event.json})]
        return [*self._stop(), _message_delta(event), {"type": "message_stop"}]

    def _start(self, block: dict[str, Any]) -> list[dict[str, Any]]:
        before = self._stop()
        self._index += 1
        self._open = block["type"]
        start = {"type": "content_block_start", "index": self._index, "content_block": block}
        return [*before, start]

    def _delta(self, delta: dict[str, Any]) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _stop(self) -> list[dict[str, Any]]:
        if not self._open:
            return []
        self._open = ""
        return [{"type": "content_block_stop", "index": self._index}]


def whole_message(model: str, answer: Message, end: TurnEnd) -> dict[str, Any]:
    """The whole answer as one object."""
    content: list[dict[str, Any]] = []
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    for call in answer.tool_calls:
        given = _input(call.arguments)
        content.append({"type": "tool_use", "id": call.id, "name": call.name, "input": given})
    return {**_message(model, content, end.usage), **_ending(end)}


def _input(arguments: str) -> dict[str, Any]:
    """Arguments as an object; empty where the token limit cut them off."""
    try:
        given = json.loads(arguments)
    except (ValueError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}


def _message(model: str, content: list[dict[str, Any]], usage: Usage) -> dict[str, Any]:
    return {
        "id": f"msg_{uuid.uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(usage),
    }


def _message_delta(end: TurnEnd) -> dict[str, Any]:
    return {"type": "message_delta", "delta": _ending(end), "usage": _usage(end.usage)}


def _ending(end: TurnEnd) -> dict[str, Any]:
    if end.reason == "stop" and end.stop_sequence:
        return {"stop_reason": "stop_sequence", "stop_sequence": end.stop_sequence}
    return {"stop_reason": STOP_REASONS[end.reason], "stop_sequence": None}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_creation_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens,
    }
