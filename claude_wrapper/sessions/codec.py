"""Sessions as JSON text and back, for stores that keep them outside this process."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from claude_wrapper.model import ImagePart, Message, Part, TextPart, ToolCall
from claude_wrapper.sessions.record import Session

__all__ = ["decode_session", "encode_session"]


def encode_session(session: Session) -> str:
    """The whole session as one JSON object; half surrogates survive, being escaped."""
    return json.dumps(asdict(session), separators=(",", ":"))


def decode_session(text: str) -> Session:
    """The session that was encoded.

    Raises:
        ValueError: The text is not JSON.
        KeyError: A field is missing.
    """
    document = json.loads(text)
    messages = tuple(map(_message, document.pop("messages")))
    return Session(**document, messages=messages)


def _message(document: dict[str, Any]) -> Message:
    return Message(**{
        **document,
        "parts": tuple(map(_part, document["parts"])),
        "tool_calls": tuple(ToolCall(**call) for call in document["tool_calls"]),
    })  # fmt: skip


def _part(document: dict[str, Any]) -> Part:
    return TextPart(**document) if "text" in document else ImagePart(**document)
