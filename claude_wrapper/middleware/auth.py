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

OWNER_DIGITS = 16
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
        # Digests have one length, so that comparing them does not tell that of a key.
        self._keys = tuple(hashlib.sha256(key.encode()).digest() for key in keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        shown = _shown_keys(Headers(scope=scope))
        key = next(filter(self._opens, shown), None)
        state["is_authenticated"] = not self._keys or key is not None
        state["owner"] = hashlib.sha256(key).hexdigest()[:OWNER_DIGITS] if key is not None else ""
        if state["is_authenticated"] or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        error = UnauthorizedError(
            "this server needs a key: send it as 'Authorization: Bearer …' or 'x-api-key: …'"
            if not shown
            else "this key is not known here"
        )
        await error_response(scope, error)(scope, receive, send)

    def _opens(self, key: bytes) -> bool:
        digest = hashlib.sha256(key).digest()
        # All keys are compared, so that the time says nothing about which one was near.
        return sum([hmac.compare_digest(digest, known) for known in self._keys]) > 0


def _shown_keys(headers: Headers) -> list[bytes]:
    """What the headers hold; a gateway adds one of them where the client has set the other."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    bearer = value if scheme.lower() == "bearer" else ""
    given = (bearer.strip(), headers.get("x-api-key", "").strip())
    # Starlette reads the bytes of a header as Latin-1; this gives them back as they were.
    return [key.encode("latin-1") for key in given if key]
