"""Server-sent events, as bytes. Pure."""

from __future__ import annotations

from typing import Any

from claude_wrapper.wire.json_answer import encode_json

__all__ = ["DONE", "HEARTBEAT", "NOT_STORED", "SSE_HEADERS", "data", "event"]

DONE = b"data: [DONE]\n\n"
HEARTBEAT = b": heartbeat\n\n"
NOT_STORED = b": the session could not be stored and would not survive a restart\n\n"
SSE_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    # Without it nginx collects the whole answer before it passes anything on.
    "x-accel-buffering": "no",
}


def data(document: dict[str, Any]) -> bytes:
    """One event; JSON never holds a raw line break, so one `data:` line is enough."""
    return b"data: " + encode_json(document) + b"\n\n"


def event(document: dict[str, Any]) -> bytes:
    """One event that also carries its `type` as the event's name."""
    return f"event: {document['type']}\n".encode() + data(document)
