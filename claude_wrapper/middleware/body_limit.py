"""Refuses bodies that are too large, by their declared length and by what really arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from claude_wrapper.errors import TooLargeError
from claude_wrapper.middleware.error_response import error_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["BodyLimitMiddleware"]


class BodyLimitMiddleware:
    """Answers 413 before the endpoint sees a byte too many.

    Args:
        app: What comes after.
        limit: Bytes.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdigit() and int(declared) > self._limit:
            response = error_response(scope, self._error(), headers={"connection": "close"})
            await response(scope, receive, send)
            return
        received = 0

        async def receive_counting() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise self._error()
            return message

        await self._app(scope, receive_counting, send)

    def _error(self) -> TooLargeError:
        return TooLargeError(
            f"the body is larger than {self._limit} bytes; raise --max-request-size to allow it"
        )
