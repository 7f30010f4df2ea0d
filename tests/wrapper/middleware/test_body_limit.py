"""Bodies are bounded one by one and together, and what they took is given back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from claude_wrapper.errors import OverloadedError, TooLargeError
from claude_wrapper.lifecycle.waits import Waits
from claude_wrapper.middleware.body_limit import BodyLimitMiddleware

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio

SCOPE = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}


class Stage:
    """An application that reads its body and then waits to be let go."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.middleware = BodyLimitMiddleware(
            self._app, limit=10, total=20, patience=5.0, waits=Waits()
        )

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        await self.gate.wait()
        await PlainTextResponse("done")(scope, receive, send)

    async def post(self, *pieces: bytes) -> None:
        left = list(pieces)

        async def receive() -> Message:
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        async def send(_message: Message) -> None:
            pass

        await self.middleware(dict(SCOPE), receive, send)


async def test_one_body_is_bounded_however_it_comes() -> None:
    stage = Stage()
    with pytest.raises(TooLargeError):
        await stage.post(b"x" * 6, b"x" * 5)


async def test_all_bodies_together_are_bounded_as_long_as_they_are_answered() -> None:
    stage = Stage()
    running: list[asyncio.Task[Any]] = [
        asyncio.ensure_future(stage.post(b"x" * 5, b"x" * 4)) for _ in range(2)
    ]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError) as caught:
        await stage.post(b"xxx")
    assert (caught.value.code, caught.value.retry_after) == ("bodies_too_large", 2)
    stage.gate.set()
    await asyncio.gather(*running)
    for _ in range(30):
        await stage.post(b"x" * 10)


async def test_a_request_that_is_alone_is_never_refused_for_the_others() -> None:
    stage = Stage()
    stage.middleware = BodyLimitMiddleware(
        stage._app, limit=30, total=20, patience=5.0, waits=Waits()
    )
    stage.gate.set()
    await stage.post(b"x" * 30)
