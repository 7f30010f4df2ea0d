"""What every dialect does around a turn: session, disconnect, commit, and letting go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

from claude_wrapper.errors import ConflictError, InvalidRequestError
from claude_wrapper.model import Message, TurnEnd, TurnEvent, TurnRequest, Usage
from claude_wrapper.wire.rules import check_conversation

if TYPE_CHECKING:
    import asyncio

    from starlette.requests import Request

    from claude_wrapper.claude import Turn
    from claude_wrapper.model import ChatTurn
    from claude_wrapper.services import Services
    from claude_wrapper.sessions.service import SessionTurn

__all__ = ["Conversation", "begin", "read_json"]

CLIENT_CLOSED_REQUEST = 499


class Conversation:
    """One running turn, with the session it belongs to, if any.

    Use as an async context manager: whatever happens, the turn is abandoned and the session freed
    on the way out, without waiting for anything.
    """

    def __init__(
        self,
        services: Services,
        request: Request,
        turn: Turn,
        new: tuple[Message, ...],
        session: SessionTurn | None,
    ) -> None:
        self._services = services
        self._request = request
        self._turn = turn
        self._new = new
        self._session = session
        self._watcher: asyncio.Task[None] | None = None
        self.end: TurnEnd | None = None

    @property
    def session_id(self) -> str:
        """The session's id, or "" without one."""
        return self._session.session.id if self._session is not None else ""

    @property
    def opening_usage(self) -> Usage:
        """What the API counted before it began to answer; zeros until then."""
        return self._turn.opening_usage

    @property
    def answer(self) -> Message:
        """The whole answer, once the turn has ended."""
        assert self._turn.answer is not None
        return self._turn.answer

    async def __aenter__(self) -> Self:
        tracker = self._services.tracker
        self._watcher = tracker.spawn(self._watch_client(), name="disconnect-watcher")
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.close()

    async def next_event(self) -> TurnEvent | None:
        """The next event; before the last one is given out, the session has been saved.

        Raises:
            WrapperError: The turn failed; the session is as it was.
        """
        event = await self._turn.next_event()
        if isinstance(event, TurnEnd):
            self.end = event
            await self._commit()
        return event

    def close(self) -> None:
        """Abandon what still runs and free the session; twice is harmless."""
        self._turn.abandon()
        if self._session is not None:
            self._session.release()
        if self._watcher is not None:
            self._watcher.cancel()

    async def _commit(self) -> None:
        if self._session is not None:
            request = self._turn.request
            messages = (*self._new, self.answer)
            await self._session.commit(messages, model=request.model, system=request.system)

    async def _watch_client(self) -> None:
        # The body has been read, so the only thing that can still arrive is the disconnect.
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._turn.abandon()


async def begin(
    services: Services, request: Request, chat: ChatTurn, session_id: str
) -> Conversation:
    """Start a turn, on a session where one is named.

    Raises:
        WrapperError: The conversation cannot be answered, the session is busy, the queue is full.
    """
    owner = request.state.owner
    if not session_id:
        check_conversation(chat.messages)
        turn = services.runner.start(_turn_request(chat, chat.messages, chat.system, owner))
        return Conversation(services, request, turn, chat.messages, None)
    session = await services.sessions.begin(session_id, owner)
    try:
        stored = session.session
        new = _new_messages(stored.messages, chat.messages)
        messages = (*stored.messages, *new)
        check_conversation(messages)
        system = chat.system or stored.system
        turn = services.runner.start(_turn_request(chat, messages, system, owner, session_id))
    except BaseException:
        session.release()
        raise
    session.stop = lambda: turn.abandon(ConflictError("the session was deleted during the turn"))
    return Conversation(services, request, turn, new, session)


async def read_json(request: Request) -> Any:
    """The body as JSON.

    Raises:
        InvalidRequestError: It is not JSON.
    """
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"the body is not JSON: {error}") from None


def _new_messages(stored: tuple[Message, ...], given: tuple[Message, ...]) -> tuple[Message, ...]:
    """What the request adds; a client that sends the whole history again means the same."""
    if stored and given[: len(stored)] == stored:
        return given[len(stored) :]
    return given


def _turn_request(
    chat: ChatTurn, messages: tuple[Message, ...], system: str, owner: str, session: str = ""
) -> TurnRequest:
    return TurnRequest(
        model=chat.model,
        messages=messages,
        system=system,
        tools=chat.tools,
        max_tokens=chat.max_tokens,
        body=chat.body,
        json_schema=chat.json_schema,
        owner=owner,
        session=session,
    )
