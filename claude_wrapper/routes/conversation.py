"""What every dialect does around a turn: session, disconnect, commit, and letting go."""

from __future__ import annotations

import asyncio
import codecs
import json
import math
import re
import time
from typing import TYPE_CHECKING, Any, Self

from starlette.requests import ClientDisconnect

from claude_wrapper.claude.messages import fingerprint
from claude_wrapper.errors import (
    ClientLeftError,
    ConflictError,
    InvalidRequestError,
    MediaTypeError,
    RequestTimeoutError,
)
from claude_wrapper.model import Message, TurnEnd, TurnEvent, TurnRequest, Usage
from claude_wrapper.routes.client_watch import ClientWatch
from claude_wrapper.routes.turn_meter import TurnMeter
from claude_wrapper.wire.rules import check_conversation

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from claude_wrapper.claude import Turn
    from claude_wrapper.model import ChatTurn
    from claude_wrapper.services import Services
    from claude_wrapper.sessions.service import SessionTurn

__all__ = ["TOO_DEEP", "Conversation", "begin", "read_json"]

CLIENT_CLOSED_REQUEST = 499
BUSY_HEADER = "x-session-busy"
TOO_DEEP = "the body is nested too deeply; 200 levels are fine"
# What Python reads as a whole number, unless it is told to try harder.
MOST_DIGITS = 4300
DIGITS = re.compile(r"value has ([0-9]+) digits")


class Conversation:
    """One running turn, with the session it belongs to, if any.

    Use as an async context manager: whatever happens, the turn is abandoned and the session freed
    on the way out, without waiting for anything.

    Attributes:
        end: How the turn ended, once it has.
        is_stored: False when the store did not take the session, which goes on from memory.
    """

    def __init__(
        self,
        watch: ClientWatch,
        turn: Turn,
        new: tuple[Message, ...],
        session: SessionTurn | None,
    ) -> None:
        self._watch = watch
        self._turn = turn
        self._new = new
        self._session = session
        self._last: TurnEnd | None = None
        self.end: TurnEnd | None = None
        self.is_stored = True
        self.meter: Callable[[TurnEvent | None], None] = lambda _event: None

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
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.close()

    async def next_event(self) -> TurnEvent | None:
        """The next event; before the last one is given out, the session has been saved.

        Whoever is interrupted, by a heartbeat that is due, may ask again.

        Raises:
            WrapperError: The turn failed; the session is as it was.
        """
        event: TurnEvent | None = self._last
        if event is None:
            event = await self._turn.next_event()
            self.meter(event)
        if isinstance(event, TurnEnd):
            # The turn tells its end once, and a slow disk may take longer than the next heartbeat.
            self._last = event
            await self._commit()
            self.end = event
        return event

    def close(self) -> None:
        """Abandon what still runs and free the session; twice is harmless."""
        self._turn.abandon()
        if self._session is not None:
            self._session.release()
        self._watch.close()

    def abandon(self) -> None:
        """Nobody reads the answer any more; whoever still does gets None."""
        self._turn.abandon()

    async def _commit(self) -> None:
        if self._session is not None:
            request = self._turn.request
            messages = (*self._new, self.answer)
            self.is_stored = await self._session.commit(
                messages, model=request.model, system=request.system
            )


async def begin(
    services: Services, request: Request, chat: ChatTurn, session_id: str
) -> Conversation:
    """Start a turn, on a session where one is named: then it waits for the turns before it.

    Raises:
        WrapperError: The conversation cannot be answered, the session is busy, the queue is full.
    """
    meter = TurnMeter(services, request, chat.model)
    watch = ClientWatch(request, services.tracker)
    try:
        if session_id:
            conversation = await _on_session(services, request, chat, session_id, watch)
        else:
            check_conversation(chat.messages, chat.places)
            ask = _turn_request(chat, chat.messages, chat.system, request.state.owner)
            conversation = Conversation(watch, services.runner.start(ask), chat.messages, None)
    except BaseException:
        watch.close()
        raise
    conversation.meter = meter
    watch.on_leave = conversation.abandon
    if watch.has_left:
        conversation.abandon()
    return conversation


async def _on_session(
    services: Services, request: Request, chat: ChatTurn, session_id: str, watch: ClientWatch
) -> Conversation:
    owner = request.state.owner
    began = time.monotonic()
    session = await _session_turn(services, request, session_id, watch)
    try:
        await services.sessions.open(session)
        stored = session.session
        new = _new_messages(stored.messages, chat.messages)
        messages = (*stored.messages, *new)
        check_conversation(messages, chat.places[len(chat.places) - len(new) :])
        ask = _turn_request(chat, messages, chat.system or stored.system, owner, session_id)
        turn = services.runner.start(ask, waited=time.monotonic() - began)
    except BaseException:
        session.release()
        raise
    session.stop = lambda: turn.abandon(ConflictError("the session was deleted during the turn"))
    return Conversation(watch, turn, new, session)


async def _session_turn(
    services: Services, request: Request, session_id: str, watch: ClientWatch
) -> SessionTurn:
    """Wait in line for the session, as long as the client does and a request may take."""
    limit = services.settings.request_timeout
    place = services.sessions.ask(
        session_id, request.state.owner, may_wait=_may_wait(services, request)
    )
    watch.on_leave = place.cancel
    try:
        return await asyncio.wait_for(place, limit)
    except BaseException as error:
        _give_back(place)
        if isinstance(error, TimeoutError):
            raise RequestTimeoutError(
                f"session {session_id!r} was busy with other turns for {limit:g} s; "
                "ask for one after the other, or raise --request-timeout"
            ) from None
        if isinstance(error, asyncio.CancelledError) and watch.has_left:
            raise ClientLeftError("the client left while it waited for its session") from None
        raise


def _give_back(place: asyncio.Future[SessionTurn]) -> None:
    """Free what came in the very moment in which the waiting was over."""
    if place.done() and not place.cancelled() and place.exception() is None:
        place.result().release()


def _may_wait(services: Services, request: Request) -> bool:
    wanted = request.headers.get(BUSY_HEADER, services.settings.session_busy)
    if wanted not in ("wait", "reject"):
        raise InvalidRequestError(
            f"{BUSY_HEADER} is {wanted!r}; valid are wait and reject", param=BUSY_HEADER
        )
    return wanted == "wait"


async def read_json(request: Request) -> Any:
    """The body as JSON.

    Raises:
        MediaTypeError: It is compressed.
        InvalidRequestError: It is not JSON.
        ClientLeftError: It never came.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() not in {"identity", ""}:
        raise MediaTypeError(
            f"the content encoding is {encoding[:100]!r}; send the body as it is, uncompressed"
        )
    try:
        body = await request.body()
    except ClientDisconnect:
        raise ClientLeftError("the client left before its request was whole") from None
    if not body.strip():
        raise InvalidRequestError("the body is empty; send a JSON object")
    try:
        # Left to itself Python takes UTF-16 and halves of characters, too.
        text = body.removeprefix(codecs.BOM_UTF8).decode()
        # Whole numbers are left to Python: a call for each takes four times as long, and nothing
        # else runs meanwhile.
        return json.loads(text, parse_constant=_refuse_number, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            f"the body is no text in UTF-8, as JSON must be: {error.reason} at {error.start}"
        ) from None
    except ValueError as error:
        raise InvalidRequestError(f"the body is not JSON: {_in_our_words(error)}") from None
    except RecursionError:
        raise InvalidRequestError(TOO_DEEP) from None


def _in_our_words(error: ValueError) -> str:
    """Of numbers that are too long Python says how a programmer could have them read."""
    digits = DIGITS.search(str(error))
    if digits is None:
        return str(error)
    return f"a number has {digits[1]} digits; at most {MOST_DIGITS} can be read"


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse_number(text)


def _refuse_number(text: str) -> float:
    # Python reads and writes them, JSON has no such numbers, and the CLI would choke on one.
    raise ValueError(f"{text} is no number in JSON, or too large for one")


def _new_messages(stored: tuple[Message, ...], given: tuple[Message, ...]) -> tuple[Message, ...]:
    """What the request adds; a client that sends the whole history again means the same."""
    # Clients write the arguments of calls in their own way, which fingerprints do not look at.
    again = [fingerprint(message) for message in given[: len(stored)]]
    if stored and again == [fingerprint(message) for message in stored]:
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
