"""The response object, and the items of its output. Pure."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any

from claude_wrapper.errors import CONTEXT_LENGTH, InvalidRequestError
from claude_wrapper.responses.items import CUSTOM_INPUT

if TYPE_CHECKING:
    from claude_wrapper.errors import WrapperError
    from claude_wrapper.model import Message, ToolCall, TurnEnd
    from claude_wrapper.responses.schema import ResponsesRequest

__all__ = [
    "call_item",
    "custom_input",
    "ended",
    "failed",
    "message_item",
    "new_document",
    "output_items",
]

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def new_document(request: ResponsesRequest) -> dict[str, Any]:
    """The response before anything was answered; it repeats what was asked for.

    Raises:
        InvalidRequestError: That is nested too deeply to be repeated.
    """
    try:
        given = request.model_dump(mode="json", by_alias=True, include=set(ECHOED))
    except ValueError as error:
        raise InvalidRequestError(
            f"the body is nested too deeply ({error}); 200 levels are fine"
        ) from None
    return {
        "id": f"resp_{uuid.uuid4().hex}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "output": [],
        "usage": None,
        **{name: default if given.get(name) is None else given[name] for name, default in
           ECHOED.items()},
    }  # fmt: skip


ECHOED: dict[str, Any] = {
    "model": "",
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "store": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}


def ended(document: dict[str, Any], output: list[dict[str, Any]], end: TurnEnd) -> dict[str, Any]:
    """The response after its turn: completed, or incomplete with the reason."""
    reason = INCOMPLETE.get(end.reason)
    return {
        **document,
        "status": "incomplete" if reason else "completed",
        "incomplete_details": {"reason": reason} if reason else None,
        "output": output,
        "usage": {
            "input_tokens": end.usage.prompt_tokens,
            "input_tokens_details": {
                "cached_tokens": end.usage.cache_read_tokens,
                "cache_write_tokens": end.usage.cache_creation_tokens,
            },
            "output_tokens": end.usage.output_tokens,
            "output_tokens_details": {"reasoning_tokens": end.usage.thinking_tokens},
            "total_tokens": end.usage.prompt_tokens + end.usage.output_tokens,
        },
    }


def failed(
    document: dict[str, Any], output: list[dict[str, Any]], error: WrapperError
) -> dict[str, Any]:
    """The response whose turn failed; what was said until then stays visible."""
    code = "rate_limit_exceeded" if error.http_status == 429 else "server_error"
    if error.code == CONTEXT_LENGTH:
        code = CONTEXT_LENGTH
    told = {"code": code, "message": error.message}
    return {**document, "status": "failed", "error": told, "output": output}


def output_items(answer: Message, custom: frozenset[str], end: TurnEnd) -> list[dict[str, Any]]:
    """The items of an answer that was not streamed."""
    status = "incomplete" if end.reason in INCOMPLETE else "completed"
    text = [message_item(answer.text, status)] if answer.text or not answer.tool_calls else []
    return [*text, *(call_item(call, custom, status) for call in answer.tool_calls)]


def message_item(text: str, status: str, item_id: str = "") -> dict[str, Any]:
    """A message of the model; one that has just begun has no part yet."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "id": item_id or f"msg_{uuid.uuid4().hex}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [] if status == "in_progress" else [part],
    }


def call_item(
    call: ToolCall, custom: frozenset[str], status: str, item_id: str = ""
) -> dict[str, Any]:
    """A call of a function, or of a tool with free text as input."""
    is_custom = call.name in custom
    said = {"input": custom_input(call.arguments)} if is_custom else {"arguments": call.arguments}
    return {
        "id": item_id or f"{'ctc' if is_custom else 'fc'}_{uuid.uuid4().hex}",
        "type": "custom_tool_call" if is_custom else "function_call",
        "status": status,
        "call_id": call.id,
        "name": call.name,
        **said,
    }


def custom_input(arguments: str) -> str:
    """The free text inside the arguments that the model wrote for a custom tool."""
    try:
        return str(json.loads(arguments)[CUSTOM_INPUT])
    except (ValueError, KeyError, TypeError, RecursionError):
        return arguments
