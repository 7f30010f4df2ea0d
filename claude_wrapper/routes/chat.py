"""`POST /v1/chat/completions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_wrapper.openai.completion import ChunkWriter, completion
from claude_wrapper.openai.error_body import error_body
from claude_wrapper.openai.schema import ChatRequest, parse_request
from claude_wrapper.openai.translate import translate
from claude_wrapper.routes.answer import answer_turn
from claude_wrapper.routes.conversation import Conversation, read_json
from claude_wrapper.wire.sse import DONE, HEARTBEAT, data

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from claude_wrapper.errors import WrapperError
    from claude_wrapper.model import TurnEvent, Usage

__all__ = ["answer_chat", "chat_completions"]


class ChatDialect:
    """OpenAI's chunks as a stream."""

    def __init__(self, writer: ChunkWriter) -> None:
        self._writer = writer

    def begin(self, _usage: Usage) -> bytes:
        """The chunk with the role."""
        return data(self._writer.first())

    def event(self, event: TurnEvent) -> bytes:
        """The chunks of one event."""
        return b"".join(map(data, self._writer.chunks(event)))

    def heartbeat(self) -> bytes:
        """A comment."""
        return HEARTBEAT

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
    body = parse_request(document)

    def whole(conversation: Conversation) -> dict[str, Any]:
        assert conversation.end is not None
        return completion(body.model, conversation.answer, conversation.end)

    return await answer_turn(
        request,
        translate(body),
        session_id=body.session_id or "",
        streamed=(lambda _conversation: _dialect(body)) if body.stream else None,
        whole=whole,
    )


def _dialect(body: ChatRequest) -> ChatDialect:
    include_usage = body.stream_options is not None and body.stream_options.include_usage
    return ChatDialect(ChunkWriter(body.model, include_usage=include_usage))
