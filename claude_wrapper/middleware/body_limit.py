"""Refuses bodies that are too large, alone or together, and those that never end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from claude_wrapper.errors import (
    BodyTimeoutError,
    OverloadedError,
    ShuttingDownError,
    TooLargeError,
)
from claude_wrapper.middleware.error_response import error_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from claude_wrapper.lifecycle.waits import Waits

__all__ = ["BodyLimitMiddleware"]

# How long the rest of a refused body is taken and dropped, in seconds, and how long it may pause.
SWALLOW_TIME = 30.0
SWALLOW_PAUSE = 5.0


class BodyLimitMiddleware:
    """Answers 413 before the endpoint sees a byte too many, and 408 when the rest does not come.

    Args:
        app: What comes after.
        limit: Bytes of one body.
        total: Bytes of the bodies of all requests that are being answered. One request alone is
            never refused for it.
        patience: Seconds from the head of a request to the end of its body.
        waits: Ends the waiting when the server stops.
    """

    def __init__(
        self, app: ASGIApp, *, limit: int, total: int, patience: float, waits: Waits
    ) -> None:
        self._app = app
        self._waits = waits
        self._limit = limit
        self._total = total
        self._patience = patience
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > self._limit:
            await self._refuse(scope, receive, send, is_asked_first="expect" in headers)
            return
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            taken += size
            self._held += size
            if taken > self._limit:
                raise self._error()
            if self._held > self._total and self._held > taken:
                raise OverloadedError(
                    f"the bodies of the requests that are being answered are together larger than "
                    f"{self._total} bytes; try again later",
                    code="bodies_too_large",
                    retry_after=2,
                )

        try:
            await self._app(scope, _Counted(receive, take, self._patience, self._waits), send)
        finally:
            self._held -= taken

    async def _refuse(
        self, scope: Scope, receive: Receive, send: Send, *, is_asked_first: bool
    ) -> None:
        """Answer at once, then let the client finish: one cut off in its body may lose the answer."""
        response = error_response(scope, self._error(), headers={"connection": "close"})
        if is_asked_first:
            # It waits for leave to send its body, so there is nothing to finish.
            await response(scope, receive, send)
            return

        async def send_open(message: Message) -> None:
            is_body = message["type"] == "http.response.body"
            await send({**message, "more_body": True} if is_body else message)

        await response(scope, receive, send_open)
        await _swallow(receive, self._waits)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _error(self) -> TooLargeError:
        return TooLargeError(
            f"the body is larger than {self._limit} bytes; raise --max-request-size to allow it"
        )


async def _swallow(receive: Receive, waits: Waits) -> None:
    """Drop what still comes of a body."""
    with suppress(TimeoutError):
        async with waits.until(asyncio.get_running_loop().time() + SWALLOW_TIME):
            while (await asyncio.wait_for(receive(), SWALLOW_PAUSE)).get("more_body", False):
                pass


class _Counted:
    """Receives for one request, while its body is within bounds."""

    def __init__(
        self, receive: Receive, take: Callable[[int], None], patience: float, waits: Waits
    ) -> None:
        self._receive = receive
        self._take = take
        self._patience = patience
        self._waits = waits
        self._ends_at = asyncio.get_running_loop().time() + patience
        self._is_whole = False

    async def __call__(self) -> Message:
        # What comes after the body is the disconnect, which may take as long as it likes.
        message = await (self._receive() if self._is_whole else self._within_time())
        self._is_whole = not message.get("more_body", False)
        self._take(len(message.get("body", b"")))
        return message

    async def _within_time(self) -> Message:
        try:
            async with self._waits.until(self._ends_at):
                return await self._receive()
        except TimeoutError:
            if self._waits.are_over:
                raise ShuttingDownError(
                    "the server is shutting down; try another one", retry_after=5
                ) from None
            raise BodyTimeoutError(
                f"the body had not arrived {self._patience:g} s after the head of the request"
            ) from None
