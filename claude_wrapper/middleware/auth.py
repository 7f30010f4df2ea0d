"""Lets in who shows a key, and says for whom the conversation is kept."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from claude_wrapper.errors import UnauthorizedError
from claude_wrapper.middleware.error_response import error_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["AuthMiddleware"]

OPEN_PATHS = frozenset(["/health", "/health/live", "/health/ready"])


class AuthMiddleware:
    """Checks `Authorization: Bearer` or `x-api-key` in constant time.

    The owner put into the request's state is a digest of the key, "" without one: it separates
    the conversations of different keys and can be logged.

    Args:
        app: What comes after.
        keys: The keys that open the door; none turns the check off.
    """

    def __init__(self, app: ASGIApp, keys: tuple[str, ...]) -> None:
        self._app = app
        self._keys = tuple(key.encode() for key in keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        key = _shown_key(Headers(scope=scope))
        state["is_authenticated"] = not self._keys or self._opens(key)
        state["owner"] = _digest(key) if self._keys and state["is_authenticated"] else ""
        if state["is_authenticated"] or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        error = UnauthorizedError(
            "this server needs a key: send it as 'Authorization: Bearer …' or 'x-api-key: …'"
            if not key
            else "this key is not known here"
        )
        await error_response(scope, error)(scope, receive, send)

    def _opens(self, key: bytes) -> bool:
        # All keys are compared, so that the time says nothing about which one was near.
        return sum([hmac.compare_digest(key, known) for known in self._keys]) > 0


def _shown_key(headers: Headers) -> bytes:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip().encode()
    return headers.get("x-api-key", "").strip().encode()


def _digest(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:16]
