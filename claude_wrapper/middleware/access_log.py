"""One log line per request: what was asked and how it ended. Never bodies or keys."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["AccessLogMiddleware"]

logger = logging.getLogger("claude_wrapper.access")


class AccessLogMiddleware:
    """Logs when the answer is complete or has failed."""

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
            logger.info(
                "%s %s %s %.1fms %s",
                scope["method"], scope["path"], status or "-",
                (time.perf_counter() - began) * 1000, scope.get("state", {}).get("request_id", "-"),
            )  # fmt: skip
