"""The way from a translated request to its answer, streamed or whole, in any dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import Response

from claude_wrapper.errors import InvalidRequestError
from claude_wrapper.routes.conversation import CLIENT_CLOSED_REQUEST, Conversation, begin
from claude_wrapper.routes.event_stream import EventStream, StreamDialect
from claude_wrapper.wire.json_answer import JsonAnswer
from claude_wrapper.wire.rules import check_session_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from claude_wrapper.model import ChatTurn
    from claude_wrapper.services import Services

__all__ = ["answer_turn"]

SESSION_HEADER = "x-session-id"
STORED_HEADER = "x-claude-wrapper-session-stored"
MOST_NAMES = 50
LONGEST_NAME = 64


async def answer_turn(
    request: Request,
    chat: ChatTurn,
    *,
    session_id: str,
    streamed: Callable[[Conversation], StreamDialect] | None,
    whole: Callable[[Conversation], dict[str, Any]],
) -> Response:
    """Run a turn and answer with it.

    Args:
        request: The request, its body read.
        chat: What it asks for.
        session_id: The session to continue, where the body names one; else a header may.
        streamed: Makes the writer of a stream; None for an answer in one piece.
        whole: Makes the document of an answer in one piece, once the turn has ended.

    Raises:
        WrapperError: The turn cannot begin, or failed before anything was sent.
    """
    services: Services = request.app.state.services
    if services.settings.strict and chat.ignored:
        raise InvalidRequestError(
            f"{', '.join(_shown(chat.ignored))} cannot be honoured, and this server is strict",
            param=chat.ignored[0],
        )
    session_id = _session_id(request, session_id)
    conversation = await begin(services, request, chat, session_id)
    headers = _headers(request, chat, session_id)
    if streamed is None:
        return await _whole(conversation, whole, headers)
    heartbeat = services.settings.heartbeat_interval
    return EventStream(conversation, streamed(conversation), heartbeat=heartbeat, headers=headers)


async def _whole(
    conversation: Conversation,
    document: Callable[[Conversation], dict[str, Any]],
    headers: dict[str, str],
) -> Response:
    async with conversation:
        while await conversation.next_event() is not None and conversation.end is None:
            pass
        if conversation.end is None:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        if not conversation.is_stored:
            headers[STORED_HEADER] = "false"
        return JsonAnswer(document(conversation), headers=headers)


def _headers(request: Request, chat: ChatTurn, session_id: str) -> dict[str, str]:
    # Anthropic's clients look for the id under this name; x-request-id is set for everything.
    headers = {"request-id": request.state.request_id}
    if chat.ignored:
        headers["x-claude-wrapper-ignored-params"] = ",".join(_shown(chat.ignored))
    if session_id:
        headers[SESSION_HEADER] = session_id
    return headers


def _session_id(request: Request, named: str) -> str:
    """The session of the body, else that of the header, else ""."""
    given = named or request.headers.get(SESSION_HEADER, "")
    if given:
        check_session_id(given, "session_id" if named else SESSION_HEADER)
    return given


def _shown(names: Sequence[str]) -> list[str]:
    """Names that the client chose, made fit for a header: short, few, and plain ASCII."""
    shown = [
        quote(name[:LONGEST_NAME], safe="[]", errors="backslashreplace")
        for name in names[:MOST_NAMES]
    ]
    more = len(names) - len(shown)
    return [*shown, f"+{more}"] if more else shown
