"""`POST /v1/chat/completions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from claude_wrapper.errors import InvalidRequestError
from claude_wrapper.openai.completion import ChunkWriter, completion
from claude_wrapper.openai.error_body import error_body
from claude_wrapper.openai.schema import ChatRequest, parse_request
from claude_wrapper.openai.translate import translate
from claude_wrapper.routes.conversation import (
    CLIENT_CLOSED_REQUEST,
    Conversation,
    begin,
    read_json,
)
from claude_wrapper.routes.event_stream import EventStream
from claude_wrapper.wire.sse import DONE, data

if TYPE_CHECKING:
    from starlette.requests import Request

    from claude_wrapper.errors import WrapperError
    from claude_wrapper.model import ChatTurn, TurnEvent
    from claude_wrapper.services import Services

__all__ = ["answer_chat", "chat_completions"]


class ChatDialect:
    """OpenAI's chunks as a stream."""

    def __init__(self, writer: ChunkWriter) -> None:
        self._writer = writer

    def begin(self) -> bytes:
        """The chunk with the role."""
        return data(self._writer.first())

    def event(self, event: TurnEvent) -> bytes:
        """The chunks of one event."""
        return b"".join(map(data, self._writer.chunks(event)))

    def finish(self) -> bytes:
        """The mark that all came through."""
        return DONE

    def error(self, error: WrapperError) -> bytes:
        """The error object; no [DONE] that would pretend success."""
        return data(error_body(error))


async def chat_completions(request: Request) -> Response:
    """Answer a chat completion, streamed or whole."""
    return await answer_chat(request, await read_json(request))


async def answer_chat(request: Request, document: Any) -> Response:
    """Answer a chat completion that was read, or put together by another route."""
    services: Services = request.app.state.services
    body = parse_request(document)
    chat = translate(body)
    if services.settings.strict and chat.ignored:
        raise InvalidRequestError(
            f"{', '.join(chat.ignored)} cannot be honoured, and this server is strict",
            param=chat.ignored[0],
        )
    session_id = body.session_id or request.headers.get("x-session-id", "")
    conversation = await begin(services, request, chat, session_id)
    headers = _headers(chat, session_id)
    if body.stream:
        return _stream(conversation, body, services, headers)
    return await _whole(conversation, body, headers)


def _stream(
    conversation: Conversation, body: ChatRequest, services: Services, headers: dict[str, str]
) -> Response:
    include_usage = body.stream_options is not None and body.stream_options.include_usage
    dialect = ChatDialect(ChunkWriter(body.model, include_usage=include_usage))
    heartbeat = services.settings.heartbeat_interval
    return EventStream(conversation, dialect, heartbeat=heartbeat, headers=headers)


async def _whole(
    conversation: Conversation, body: ChatRequest, headers: dict[str, str]
) -> Response:
    async with conversation:
        while await conversation.next_event() is not None and conversation.end is None:
            pass
        if conversation.end is None:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        document = completion(body.model, conversation.answer, conversation.end)
        return JSONResponse(document, headers=headers)


def _headers(chat: ChatTurn, session_id: str) -> dict[str, str]:
    headers = {}
    if chat.ignored:
        headers["x-claude-wrapper-ignored-params"] = ",".join(chat.ignored)
    if session_id:
        headers["x-session-id"] = session_id
    return headers
