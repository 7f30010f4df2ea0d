"""What stands in the head of a request and the HTTP parser lets pass, judged before anything else.

The rules are those of RFC 9112: sections 3.2.2 (a target in absolute form), 6.3 (two lengths of one
body) and 2.3 (versions).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers

from claude_wrapper.errors import (
    HeadTooLargeError,
    HttpVersionError,
    InvalidRequestError,
    WrapperError,
)
from claude_wrapper.middleware.error_response import error_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["LARGEST_HEAD", "RequestHeadMiddleware"]

LARGEST_HEAD = 1 << 16
# Colon, space and line break of a header; the rest of the first line.
AROUND_HEADER = 4
AROUND_TARGET = 12
SCHEMES = (b"http://", b"https://")


class RequestHeadMiddleware:
    """Refuses heads that are too large or ambiguous, and understands a target in absolute form.

    `GET http://host/path`, as a client writes it to a proxy, means `GET /path` on that host,
    whatever the `Host` header says.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            _check(scope)
            if _raw_path(scope).lower().startswith(SCHEMES):
                _make_relative(scope)
        except WrapperError as error:
            # What follows on this connection could be anything.
            answer = error_response(scope, error, headers={"connection": "close"})
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _check(scope: Scope) -> None:
    version = scope["http_version"]
    if not version.startswith("1."):
        raise HttpVersionError(f"HTTP/{version} is not spoken here; use HTTP/1.1")
    size = _size(scope)
    if size > LARGEST_HEAD:
        raise HeadTooLargeError(
            f"the head of the request has {size} bytes; at most {LARGEST_HEAD} are taken"
        )
    headers = Headers(scope=scope)
    if "transfer-encoding" in headers and "content-length" in headers:
        raise InvalidRequestError(
            "the head names both content-length and transfer-encoding; where the body ends must "
            "be said once"
        )


def _size(scope: Scope) -> int:
    headers = sum(len(name) + len(value) + AROUND_HEADER for name, value in scope["headers"])
    target = len(_raw_path(scope)) + len(scope["query_string"])
    return headers + target + len(scope["method"]) + AROUND_TARGET


def _raw_path(scope: Scope) -> bytes:
    """The target without its query, as it was sent; servers other than uvicorn may leave it out."""
    told: bytes | None = scope.get("raw_path")
    return told if told is not None else scope["path"].encode()


def _make_relative(scope: Scope) -> None:
    try:
        target = urlsplit(_raw_path(scope))
    except ValueError as error:
        raise InvalidRequestError(f"the target of the request is no address: {error}") from None
    path = target.path or b"/"
    others = [(name, value) for name, value in scope["headers"] if name != b"host"]
    host = target.netloc.rpartition(b"@")[2]
    # In place: the log and the figures tell the path that was meant.
    scope.update(
        path=unquote(path.decode("ascii")), raw_path=path, headers=[(b"host", host), *others]
    )
