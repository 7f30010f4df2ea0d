"""One log line per request: what was asked and how it ended. Never bodies or keys."""

from __future__ import annotations

import json
import logging
import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["AccessLogMiddleware"]

logger = logging.getLogger("claude_wrapper.access")


PLAIN = re.compile(r"[\w./:@{}~%+-]{1,200}", re.ASCII)
LONGEST = 200


class AccessLogMiddleware:
    """Logs when the answer is complete or has failed: `name=value` pairs on one line.

    The same fields are on the record as `access`, for whoever formats logs as JSON. `key` is a
    digest of the key that was shown, never the key.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noting_status)
        finally:
            fields = _fields(scope, status, time.perf_counter() - began)
            line = " ".join(f"{name}={value}" for name, value in fields.items())
            logger.info("%s", line, extra={"access": fields})


def _fields(scope: Scope, status: int, seconds: float) -> dict[str, Any]:
    state = scope.get("state", {})
    client = scope.get("client")
    return {
        "method": scope["method"],
        "path": _quoted(scope["path"]),
        "status": status or "-",
        "ms": round(seconds * 1000, 1),
        "request_id": state.get("request_id", "-"),
        "key": state.get("owner", "") or "-",
        "model": _quoted(state.get("model", "") or "-"),
        "client": client[0] if client else "-",
    }


def _quoted(text: str) -> str:
    """As it is where that is unambiguous; else quoted, so that nobody can forge a line."""
    return text if PLAIN.fullmatch(text) else json.dumps(text[:LONGEST])
