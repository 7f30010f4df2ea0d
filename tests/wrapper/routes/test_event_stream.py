"""Streams whose end is hard to come by: it cannot be written, or its session is slow to store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, cast

import pytest

from claude_wrapper.model import Message, TextDelta, TurnEnd, TurnRequest, Usage
from claude_wrapper.openai.completion import ChunkWriter
from claude_wrapper.routes.chat import ChatDialect
from claude_wrapper.routes.conversation import Conversation
from claude_wrapper.routes.event_stream import EventStream

if TYPE_CHECKING:
    from claude_wrapper.errors import WrapperError

pytestmark = pytest.mark.anyio


class Talk:
    """Stands for a conversation without end."""

    end = None
    is_stored = True
    opening_usage = Usage()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        pass

    async def next_event(self) -> TextDelta:
        return TextDelta(text="x")


class Broken(ChatDialect):
    """Has no memory left for the next piece."""

    def __init__(self) -> None:
        pass

    def begin(self, _usage: Usage) -> bytes:
        return b"begin"

    def event(self, _event: Any) -> bytes:
        raise MemoryError

    def error(self, error: WrapperError) -> bytes:
        return f"error: {error.message}".encode()


async def test_a_mistake_of_ours_in_mid_stream_is_told_and_not_hidden() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    stream = EventStream(cast("Any", Talk()), Broken(), heartbeat=9, headers={})
    with pytest.raises(MemoryError):
        await stream(cast("Any", {}), cast("Any", None), send)
    assert [message.get("body") for message in sent] == [
        None, b"begin", b"error: the server made a mistake; its log says which",
    ]  # fmt: skip
    assert sent[-1]["more_body"]


class Ended:
    """Stands for a turn that is over: its end is given out once, as by a real one."""

    request = TurnRequest(model="sonnet", messages=())
    answer = Message(role="assistant")
    opening_usage = Usage()

    def __init__(self) -> None:
        self._events: list[Any] = [TurnEnd(reason="stop", usage=Usage(), model="m")]

    async def next_event(self) -> Any:
        return self._events.pop() if self._events else None

    def abandon(self) -> None:
        pass


class SlowSession:
    """Is not stored before a heartbeat has come."""

    def __init__(self) -> None:
        self.may_store = asyncio.Event()
        self.stored: list[Any] = []

    async def commit(self, messages: Any, **_about: str) -> bool:
        await self.may_store.wait()
        self.stored.append(messages)
        return True

    def release(self) -> None:
        pass


class Watch:
    """Nobody leaves."""

    def close(self) -> None:
        pass


async def test_a_heartbeat_while_the_session_is_stored_costs_the_stream_no_end() -> None:
    session, sent = SlowSession(), bytearray()

    async def send(message: Any) -> None:
        sent.extend(message.get("body", b""))
        if message.get("body", b"").startswith(b":"):
            session.may_store.set()

    talk = Conversation(cast("Any", Watch()), cast("Any", Ended()), (), cast("Any", session))
    dialect = ChatDialect(ChunkWriter("sonnet", include_usage=False))
    stream = EventStream(talk, dialect, heartbeat=0.01, headers={})
    async with asyncio.timeout(20):
        await stream(cast("Any", {}), cast("Any", None), send)
    assert b'"finish_reason":"stop"' in sent
    assert sent.endswith(b"data: [DONE]\n\n")
    assert session.stored == [(Ended.answer,)]
