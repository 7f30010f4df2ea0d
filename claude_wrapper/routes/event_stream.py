"""A turn as a server-sent event stream, in any dialect: real pieces, heartbeats, an honest end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from starlette.responses import Response

from claude_wrapper.errors import WrapperError
from claude_wrapper.wire.sse import NOT_STORED, SSE_HEADERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from claude_wrapper.model import TurnEvent, Usage
    from claude_wrapper.routes.conversation import Conversation

__all__ = ["EventStream", "StreamDialect"]

logger = logging.getLogger(__name__)

MISTAKE = "the server made a mistake; its log says which"


class StreamDialect(Protocol):
    """How one wire format writes a stream."""

    def begin(self, usage: Usage) -> bytes:
        """What opens the answer; `usage` is what the API has counted so far."""

    def event(self, event: TurnEvent) -> bytes:
        """One event of the turn."""

    def heartbeat(self) -> bytes:
        """What shows in a pause that the answer still comes."""

    def finish(self) -> bytes:
        """What ends a stream that succeeded."""

    def error(self, error: WrapperError) -> bytes:
        """What ends a stream that failed."""


class EventStream(Response):
    """Sends the events of a turn as they come.

    The answer starts with the first event, so that an early failure still gets its HTTP status;
    after one heartbeat interval of silence it starts anyway.

    Args:
        conversation: The running turn; it is closed when the answer is over, however it ends.
        dialect: How it is written.
        heartbeat: Seconds of silence after which a comment is sent.
        headers: More headers for the answer.
    """

    def __init__(
        self,
        conversation: Conversation,
        dialect: StreamDialect,
        *,
        heartbeat: float,
        headers: Mapping[str, str],
    ) -> None:
        self._conversation = conversation
        self._dialect = dialect
        self._heartbeat = heartbeat
        self._more_headers = headers
        self._send: Send

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer the request.

        Raises:
            WrapperError: The turn failed before anything was sent.
        """
        self._send = send
        async with self._conversation:
            first = await self._first_event()
            await self._start()
            try:
                await self._pass_on(first)
            except WrapperError as error:
                await self._write(self._dialect.error(error))
            except Exception:
                # It is too late for a status, and without a word it would look like a lost line.
                await self._write(self._dialect.error(WrapperError(MISTAKE)))
                raise
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _first_event(self) -> TurnEvent | None:
        try:
            async with asyncio.timeout(self._heartbeat):
                return await self._conversation.next_event()
        except TimeoutError:
            return None

    async def _start(self) -> None:
        headers = {**SSE_HEADERS, **self._more_headers}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": 200, "headers": raw})
        await self._write(self._dialect.begin(self._conversation.opening_usage))

    async def _pass_on(self, event: TurnEvent | None) -> None:
        if event is not None:
            await self._write_event(event)
        while self._conversation.end is None:
            try:
                async with asyncio.timeout(self._heartbeat):
                    event = await self._conversation.next_event()
            except TimeoutError:
                await self._write(self._dialect.heartbeat())
                continue
            if event is None:
                # Abandoned: the client is gone, and nobody reads an ending.
                return
            await self._write_event(event)
        await self._write(self._dialect.finish())

    async def _write_event(self, event: TurnEvent) -> None:
        if not self._conversation.is_stored:
            # Headers are gone long ago, and an error would spoil an answer that is whole.
            await self._write(NOT_STORED)
        await self._write(self._dialect.event(event))

    async def _write(self, body: bytes) -> None:
        if body:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
