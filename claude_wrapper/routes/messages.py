"""`POST /v1/messages` and `/v1/messages/count_tokens`: Anthropic's dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from claude_wrapper.anthropic.error_body import anthropic_error_body
from claude_wrapper.anthropic.estimate import estimate_tokens
from claude_wrapper.anthropic.message import EventWriter, whole_message
from claude_wrapper.anthropic.schema import parse_count_request, parse_messages_request
from claude_wrapper.anthropic.translate import (
    messages_of,
    refuse_threads,
    system_of,
    tools_of,
    translate,
)
from claude_wrapper.routes.answer import answer_turn
from claude_wrapper.routes.conversation import Conversation, read_json
from claude_wrapper.wire.rules import check_model
from claude_wrapper.wire.sse import event as sse_event

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from claude_wrapper.errors import WrapperError
    from claude_wrapper.model import TurnEvent, Usage

__all__ = ["count_tokens", "create_message"]

ESTIMATED = "x-claude-wrapper-estimated"


class MessagesDialect:
    """Anthropic's events as a stream."""

    def __init__(self, model: str, request_id: str) -> None:
        self._writer = EventWriter(model)
        self._request_id = request_id

    def begin(self, usage: Usage) -> bytes:
        """The start of the message."""
        return b"".join(map(sse_event, self._writer.first(usage)))

    def event(self, event: TurnEvent) -> bytes:
        """The events of one event."""
        return b"".join(map(sse_event, self._writer.events(event)))

    def heartbeat(self) -> bytes:
        """A ping."""
        return sse_event({"type": "ping"})

    def finish(self) -> bytes:
        """Nothing: `message_stop` has come with the last event."""
        return b""

    def error(self, error: WrapperError) -> bytes:
        """The error event; no `message_stop` that would pretend success."""
        return sse_event(anthropic_error_body(error, self._request_id))


async def create_message(request: Request) -> Response:
    """Answer with a message, streamed or whole."""
    body = parse_messages_request(await read_json(request))

    def whole(conversation: Conversation) -> dict[str, Any]:
        assert conversation.end is not None
        return whole_message(body.model, conversation.answer, conversation.end)

    def streamed(_conversation: Conversation) -> MessagesDialect:
        return MessagesDialect(body.model, request.state.request_id)

    return await answer_turn(
        request,
        translate(body),
        session_id=body.session_id or "",
        streamed=streamed if body.stream else None,
        whole=whole,
    )


async def count_tokens(request: Request) -> Response:
    """About how many tokens a request has; a header says that this is an estimate."""
    body = parse_count_request(await read_json(request))
    check_model(body.model)
    refuse_threads(body)
    count = estimate_tokens(system_of(body), messages_of(body), tools_of(body))
    return JSONResponse({"input_tokens": count}, headers={ESTIMATED: "input_tokens"})
