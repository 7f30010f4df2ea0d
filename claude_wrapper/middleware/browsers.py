"""Keeps web pages of other people from driving a server that asks for no key.

A browser sends requests for any page to any address, loopback included. Three things tell them
apart from a program: the `Origin` they come from, the `Host` they believe to talk to (after DNS
rebinding that is the page's own name), and the content type, which a page cannot set to JSON
without asking first (CORS preflight). A server with a key checks none of them: the page would need
to know the key.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from claude_wrapper.errors import ForbiddenError, MediaTypeError, WrapperError
from claude_wrapper.middleware.error_response import error_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["BrowserGuardMiddleware"]

ANY = "*"
METHODS = "GET, POST, DELETE"
# What a page may read of an answer beside its body.
EXPOSED = (
    "x-request-id, request-id, x-session-id, x-claude-wrapper-ignored-params, "
    "x-claude-wrapper-session-stored, retry-after"
)
PREFLIGHT_SECONDS = "600"
DEFAULT_PORTS = {"http": 80, "https": 443}


class BrowserGuardMiddleware:
    """Checks Host, Origin and content type, and answers preflights.

    Args:
        app: What comes after.
        origins: Pages that may call, as `https://host[:port]`; `*` for all.
        has_keys: Whether callers must show a key.
        host: The name or address the server listens on.
    """

    def __init__(
        self, app: ASGIApp, *, origins: tuple[str, ...], has_keys: bool, host: str
    ) -> None:
        self._app = app
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)
        self._has_keys = has_keys
        self._host = host.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        error = self._refusal(scope, headers, origin)
        if self._is_allowed(origin):
            send = _with_cors(send, origin)
        if error is not None:
            await error_response(scope, error)(scope, receive, send)
        elif _is_preflight(scope, headers) and self._is_allowed(origin):
            await _preflight(headers)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers, origin: str) -> WrapperError | None:
        if self._has_keys:
            return None
        host = headers.get("host", "")
        # Browsers always name a host. Health checks over HTTP/1.0 do not.
        if "host" in headers and not self._is_own_name(host):
            return ForbiddenError(
                f"this server has no key and does not answer to the name {host[:200]!r}: "
                "use http://127.0.0.1, or set a key",
                code="forbidden_host",
            )
        if origin and not self._is_allowed(origin) and not _is_same(origin, scope, host):
            return ForbiddenError(
                f"pages of {origin[:200]!r} may not call this server: name the origin in "
                "--cors-origins to allow it",
                code="forbidden_origin",
            )
        kind = headers.get("content-type", "")
        if _has_body(headers) and not _is_json(kind):
            return MediaTypeError(
                f"the content type is {kind[:100]!r}; send the body as "
                "'content-type: application/json'"
            )
        return None

    def _is_allowed(self, origin: str) -> bool:
        if not origin or not self._origins:
            return False
        return ANY in self._origins or origin.lower() in self._origins

    def _is_own_name(self, host: str) -> bool:
        name = _name(host)
        if name in {"localhost", self._host} or name.endswith(".localhost"):
            return True
        try:
            # A page can only be served under an address by whoever has that address.
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False


def _name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_same(origin: str, scope: Scope, host: str) -> bool:
    ours = _place(f"{scope['scheme']}://{host}")
    return ours is not None and ours == _place(origin)


def _place(address: str) -> tuple[str | None, int | None] | None:
    """Host and port; which of http and https a proxy in front speaks makes no other place."""
    try:
        parts = urlsplit(address.lower())
        return parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )


def _is_preflight(scope: Scope, headers: Headers) -> bool:
    return scope["method"] == "OPTIONS" and "access-control-request-method" in headers


def _preflight(headers: Headers) -> Response:
    answer = {"access-control-allow-methods": METHODS, "access-control-max-age": PREFLIGHT_SECONDS}
    wanted = headers.get("access-control-request-headers", "")
    if wanted:
        answer["access-control-allow-headers"] = wanted
    return Response(status_code=204, headers=answer)


def _with_cors(send: Send, origin: str) -> Send:
    async def send_with_cors(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["access-control-allow-origin"] = origin
            headers["access-control-expose-headers"] = EXPOSED
            headers.add_vary_header("origin")
        await send(message)

    return send_with_cors
