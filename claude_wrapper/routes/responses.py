"""`/v1/responses`: answer, look, remove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_wrapper.errors import InvalidRequestError, NotFoundError
from claude_wrapper.responses.document import ended, new_document, output_items
from claude_wrapper.responses.items import instructions_of, messages_of
from claude_wrapper.responses.schema import ResponsesRequest, parse_responses_request
from claude_wrapper.responses.stream import ResponseEvents
from claude_wrapper.responses.translate import custom_tools, translate
from claude_wrapper.routes.answer import answer_turn
from claude_wrapper.routes.conversation import Conversation, read_json
from claude_wrapper.sessions import StoredResponse
from claude_wrapper.wire.json_answer import JsonAnswer
from claude_wrapper.wire.sse import HEARTBEAT
from claude_wrapper.wire.sse import event as sse_event

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from claude_wrapper.errors import WrapperError
    from claude_wrapper.model import ChatTurn, TurnEvent, Usage
    from claude_wrapper.services import Services
    from claude_wrapper.sessions import ResponseStore

__all__ = ["create_response", "delete_response", "show_response"]


class _Exchange:
    """One request and its answer, in both forms, and what is kept of them."""

    def __init__(self, body: ResponsesRequest, store: ResponseStore, owner: str) -> None:
        self._body = body
        self._store = store
        self._owner = owner
        self.custom = custom_tools(body)
        self.document = new_document(body)

    def chat(self, session_id: str) -> ChatTurn:
        """What is asked for, after all that it continues."""
        previous = self._body.previous_response_id
        if not previous:
            return translate(self._body)
        if session_id:
            raise InvalidRequestError(
                "previous_response_id and session_id both name a conversation; send one of them",
                param="previous_response_id",
            )
        try:
            return translate(self._body, *self._store.conversation(previous, self._owner))
        except NotFoundError as error:
            error.param = error.param or "previous_response_id"
            raise

    def whole(self, conversation: Conversation) -> dict[str, Any]:
        """The answer in one piece."""
        assert conversation.end is not None
        output = output_items(conversation.answer, self.custom, conversation.end)
        document = ended(self.document, output, conversation.end)
        self.keep(document, conversation)
        return document

    def keep(self, document: dict[str, Any], conversation: Conversation) -> None:
        """Store the answer where that was not forbidden."""
        if self._body.store is False:
            return
        self._store.put(
            StoredResponse(
                id=document["id"],
                owner=self._owner,
                document=document,
                messages=(*messages_of(self._body), conversation.answer),
                system=instructions_of(self._body),
                previous=self._body.previous_response_id or "",
            )
        )


class ResponsesDialect:
    """The events of a response as a stream."""

    def __init__(self, exchange: _Exchange, conversation: Conversation) -> None:
        self._exchange = exchange
        self._conversation = conversation
        self._events = ResponseEvents(exchange.document, exchange.custom)

    def begin(self, _usage: Usage) -> bytes:
        """That the response was created and is in progress."""
        return _encode(self._events.first())

    def event(self, event: TurnEvent) -> bytes:
        """The events of one event; with the last one the response is stored."""
        encoded = _encode(self._events.events(event))
        if self._conversation.end is event:
            self._exchange.keep(self._events.document, self._conversation)
        return encoded

    def heartbeat(self) -> bytes:
        """A comment."""
        return HEARTBEAT

    def finish(self) -> bytes:
        """Nothing: the last event has said how the response ended."""
        return b""

    def error(self, error: WrapperError) -> bytes:
        """That the response failed."""
        return _encode(self._events.error(error))


async def create_response(request: Request) -> Response:
    """Answer with a response, streamed or whole."""
    services: Services = request.app.state.services
    body = parse_responses_request(await read_json(request))
    exchange = _Exchange(body, services.responses, request.state.owner)
    session_id = body.session_id or request.headers.get("x-session-id", "")
    return await answer_turn(
        request,
        exchange.chat(session_id),
        session_id=session_id,
        streamed=(lambda talk: ResponsesDialect(exchange, talk)) if body.stream else None,
        whole=exchange.whole,
    )


async def show_response(request: Request) -> Response:
    """A stored response as it was answered."""
    if request.query_params.get("stream", "false").lower() not in ("false", "0"):
        raise InvalidRequestError("a stored response cannot be streamed again", param="stream")
    services: Services = request.app.state.services
    stored = services.responses.get(request.path_params["response"], request.state.owner)
    return JsonAnswer(stored.document)


async def delete_response(request: Request) -> Response:
    """Remove a stored response; those that continue it stay."""
    services: Services = request.app.state.services
    response_id = request.path_params["response"]
    services.responses.delete(response_id, request.state.owner)
    return JsonAnswer({"id": response_id, "object": "response", "deleted": True})


def _encode(events: list[dict[str, Any]]) -> bytes:
    return b"".join(map(sse_event, events))
