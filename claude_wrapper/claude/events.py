"""One line of the CLI's output as a typed record. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from claude_wrapper.errors import CliFailedError

__all__ = [
    "Abandoned",
    "ApiEvent",
    "CliEvent",
    "ControlReply",
    "ControlRequest",
    "OtherEvent",
    "ProcessEnded",
    "RateLimitEvent",
    "ResultEvent",
    "TurnBegan",
    "parse_line",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiEvent:
    """A raw streaming event of the Messages API."""

    event: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnBegan:
    """A turn begins, with these tools; None where the CLI does not tell."""

    tools: frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultEvent:
    """The end of a turn. Check `is_error`: the CLI calls failures `success` too."""

    is_error: bool
    text: str
    api_status: int | None
    terminal_reason: str
    structured_output: Any
    user_message_uuids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRequest:
    """The CLI asks us something."""

    request_id: str
    subtype: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlReply:
    """The answer to something we asked; `error` is empty when it succeeded."""

    request_id: str
    body: dict[str, Any]
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitEvent:
    """The account's limits as the API reported them; `resets_at` is a Unix time or None."""

    status: str
    resets_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEvent:
    """A line that carries nothing we act on; it still shows that the CLI lives."""

    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEnded:
    """The output ended, or could not be understood: nothing more will come."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned:
    """Put into a turn's inbox by whoever no longer wants its answer."""


CliEvent = (
    ApiEvent | ResultEvent | ControlRequest | ControlReply | RateLimitEvent | OtherEvent
    | ProcessEnded | Abandoned | TurnBegan
)  # fmt: skip


def parse_line(line: bytes) -> CliEvent:
    """Parse one output line.

    Raises:
        CliFailedError: The line is not a JSON object, so this is not the CLI's protocol.
    """
    try:
        document = json.loads(line)
        kind = document["type"]
        reader = _READERS.get(kind)
        return reader(document) if reader is not None else OtherEvent(kind=str(kind))
    except (ValueError, KeyError, TypeError, RecursionError):
        shown = line[:80].decode(errors="replace")
        raise CliFailedError(
            f"the CLI printed {shown!r}, which is not its stream-json protocol; "
            "check --cli-path with `claude-wrapper doctor`"
        ) from None


def _object(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name) or {}
    if not isinstance(value, dict):
        raise TypeError(name)
    return value


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) else None


def _api_event(document: dict[str, Any]) -> CliEvent:
    return ApiEvent(event=_object(document, "event"))


def _system(document: dict[str, Any]) -> CliEvent:
    subtype, tools = document.get("subtype"), document.get("tools")
    if subtype != "init":
        return OtherEvent(kind=f"system/{subtype}")
    return TurnBegan(tools=frozenset(map(str, tools)) if isinstance(tools, list) else None)


def _result(document: dict[str, Any]) -> CliEvent:
    status = _number(document.get("api_error_status"))
    return ResultEvent(
        is_error=bool(document.get("is_error")),
        text=str(document.get("result") or ""),
        api_status=None if status is None else int(status),
        terminal_reason=str(document.get("terminal_reason") or ""),
        structured_output=document.get("structured_output"),
        user_message_uuids=tuple(document.get("user_message_uuids") or ()),
    )


def _control_request(document: dict[str, Any]) -> CliEvent:
    body = _object(document, "request")
    return ControlRequest(
        request_id=str(document.get("request_id")), subtype=str(body.get("subtype")), body=body
    )


def _control_reply(document: dict[str, Any]) -> CliEvent:
    response = _object(document, "response")
    failed = response.get("subtype") == "error"
    return ControlReply(
        request_id=str(response.get("request_id")),
        body=_object(response, "response"),
        error=str(response.get("error") or "unknown error") if failed else "",
    )


def _rate_limit(document: dict[str, Any]) -> CliEvent:
    info = _object(document, "rate_limit_info")
    return RateLimitEvent(
        status=str(info.get("status") or ""),
        resets_at=_number(info.get("resetsAt") or info.get("resets_at")),
    )


_READERS = {
    "stream_event": _api_event,
    "system": _system,
    "result": _result,
    "control_request": _control_request,
    "control_response": _control_reply,
    "rate_limit_event": _rate_limit,
}
