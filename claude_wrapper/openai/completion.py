"""The answer in OpenAI's words: one completion, or the chunks of a stream. Pure."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from claude_wrapper.model import TextDelta, ToolArgumentsDelta, ToolCallStarted, TurnEnd

if TYPE_CHECKING:
    from claude_wrapper.model import Message, TurnEvent, Usage

__all__ = ["ChunkWriter", "completion", "usage_object"]


class ChunkWriter:
    """Turns the events of one turn into chunks with constant id, time and model."""

    def __init__(self, model: str, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }

    def first(self) -> dict[str, Any]:
        """The chunk that opens the answer."""
        return self._chunk({"role": "assistant", "content": ""})

    def chunks(self, event: TurnEvent) -> tuple[dict[str, Any], ...]:
        """The chunks for one event; the last event also carries the usage where asked for."""
        if isinstance(event, TextDelta):
            return (self._chunk({"content": event.text}),)
        if isinstance(event, ToolCallStarted):
            return (self._chunk({"tool_calls": [_started(event)]}),)
        if isinstance(event, ToolArgumentsDelta):
            piece = {"index": event.index, "function": {"arguments": event.json}}
            return (self._chunk({"tool_calls": [piece]}),)
        last = self._chunk({}, event.reason)
        if not self._include_usage:
            return (last,)
        return last, {**self._head, "choices": [], "usage": usage_object(event.usage)}

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        usage = {"usage": None} if self._include_usage else {}
        return {**self._head, "choices": [choice], **usage}


def completion(model: str, answer: Message, end: TurnEnd) -> dict[str, Any]:
    """The whole answer as one object."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in answer.tool_calls
        ]
    else:
        message["content"] = answer.text
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": end.reason}
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [choice],
        "usage": usage_object(end.usage),
    }


def usage_object(usage: Usage) -> dict[str, Any]:
    """Tokens as OpenAI counts them: the prompt includes what was cached."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.prompt_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.thinking_tokens},
    }


def _started(event: ToolCallStarted) -> dict[str, Any]:
    function = {"name": event.name, "arguments": ""}
    return {"index": event.index, "id": event.id, "type": "function", "function": function}
