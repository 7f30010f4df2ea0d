"""A stream that cannot be written to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

import pytest

from claude_wrapper.model import TextDelta, Usage
from claude_wrapper.routes.chat import ChatDialect
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
