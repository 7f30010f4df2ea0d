"""Conversation messages as the CLI's input lines, and the fingerprints that compare them. Pure."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from claude_wrapper.claude.tool_names import cli_name
from claude_wrapper.model import ImagePart, Message, TextPart

__all__ = [
    "assistant_line",
    "fingerprint",
    "has_remote_image",
    "prompt_start",
    "result_content",
    "user_line",
]


# What a tool is said to have said that has said nothing: the API refuses blank texts.
NO_OUTPUT = TextPart(text="(no output)")


def user_line(messages: tuple[Message, ...], uuid: str, *, ask: bool) -> dict[str, Any]:
    """One user turn (user messages, or the tool results before them) as an input line.

    Args:
        messages: What belongs to this turn, in order.
        uuid: Our name for it, by which it can be taken back.
        ask: Whether the model answers now; otherwise it only becomes history.
    """
    content = [block for message in messages for block in _user_blocks(message)]
    line: dict[str, Any] = {
        "type": "user",
        "uuid": uuid,
        "session_id": "default",
        "parent_tool_use_id": None,
        # Delivered as written: no @path is read, no /command is run.
        "client_composed": True,
        "message": {"role": "user", "content": content},
    }
    return line if ask else {**line, "shouldQuery": False}


def assistant_line(message: Message) -> dict[str, Any]:
    """An earlier answer of the model as an input line."""
    content: list[dict[str, Any]] = []
    # Many clients send a blank text beside calls; the API refuses blank texts.
    if message.text.strip() or (message.text and not message.tool_calls):
        content.append({"type": "text", "text": message.text})
    for call in message.tool_calls:
        arguments = _arguments(call.arguments)
        name = cli_name(call.name)
        content.append({"type": "tool_use", "id": call.id, "name": name, "input": arguments})
    return {
        "type": "assistant",
        "session_id": "default",
        "parent_tool_use_id": None,
        "message": {"role": "assistant", "content": content},
    }


def result_content(message: Message) -> list[dict[str, Any]]:
    """The content of a tool message for an MCP tool result."""
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, TextPart)
        else {"type": "image", "data": part.data, "mimeType": part.media_type}
        for part in _told(message)
    ]


def has_remote_image(message: Message) -> bool:
    """Whether the API would have to fetch an image: a tool result of MCP cannot say that."""
    return any(isinstance(part, ImagePart) and part.url for part in message.parts)


def prompt_start(messages: tuple[Message, ...]) -> int:
    """Where the last user turn begins: everything after the newest answer of the model."""
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].role == "assistant":
            return index + 1
    return 0


def fingerprint(message: Message) -> bytes:
    """What makes two messages the same for continuing a conversation.

    Arguments of tool calls are left out, since clients write the same JSON in their own way, and
    the call's id already says which it is.
    """
    calls = [(call.id, call.name) for call in message.tool_calls]
    parts = [
        part.text if isinstance(part, TextPart) else [part.media_type, part.data, part.url]
        for part in message.parts
        if not isinstance(part, TextPart) or part.text
    ]
    if message.role == "assistant":
        parts = [message.text.strip()]
    document = json.dumps([message.role, message.tool_call_id, calls, parts])
    return hashlib.sha256(document.encode()).digest()


def _user_blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        content = [_block(part) for part in _told(message)]
        result = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": content}
        return [{**result, "is_error": True} if message.is_error else result]
    return [_block(part) for part in _told(message)]


def _told(message: Message) -> tuple[TextPart | ImagePart, ...]:
    """Its parts without the blank texts, where anything else is left or it is a tool's."""
    parts = tuple(p for p in message.parts if not isinstance(p, TextPart) or p.text.strip())
    return parts or ((NO_OUTPUT,) if message.role == "tool" else message.parts)


def _block(part: TextPart | ImagePart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if part.url:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    source = {"type": "base64", "media_type": part.media_type, "data": part.data}
    return {"type": "image", "source": source}


def _arguments(text: str) -> dict[str, Any]:
    try:
        arguments = json.loads(text or "{}", parse_constant=_nothing, parse_float=_finite)
    except (ValueError, RecursionError):
        return {}
    return arguments if isinstance(arguments, dict) else {}


def _nothing(_name: str) -> None:
    """What JavaScript makes of NaN, too: Python writes it, and the CLI could not read its line."""


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None
