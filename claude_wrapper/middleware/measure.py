"""Measures every request: count, time, first piece of the answer, and what is in flight."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from claude_wrapper.monitoring.monitoring import Monitoring

__all__ = ["MeasureMiddleware"]

OTHER = "__other__"
UNANSWERED = 499


class MeasureMiddleware:
    """Hands the figures to the monitors.

    A route counts under its template, never under a raw path. The endpoint may put `model` and
    `first_event_at` (a reading of `time.perf_counter`) into the request's state.

    A request has two times: the whole, and the time until its answer began. For an answer of the
    model that is its first piece, streamed or not: how long the rest takes is a matter of what was
    asked for, and says nothing about the server.

    Args:
        app: What comes after.
        monitoring: Where the figures go.
        templates: The path template of each endpoint.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        monitoring: Monitoring,
        templates: Mapping[Callable[..., Any], str],
    ) -> None:
        self._app = app
        self._monitoring = monitoring
        self._templates = dict(templates)

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

        in_flight = self._monitoring.metrics.in_flight
        in_flight.inc()
        try:
            await self._app(scope, receive, send_noting_status)
        finally:
            in_flight.dec()
            self._note(scope, status or UNANSWERED, began)

    def _note(self, scope: Scope, status: int, began: float) -> None:
        seconds = time.perf_counter() - began
        route = self._templates.get(scope.get("endpoint"), OTHER)  # type: ignore[arg-type]
        state = scope.get("state", {})
        metrics = self._monitoring.metrics
        model = metrics.model_label(state.get("model", ""))
        metrics.requests.labels(route, model, str(status)).inc()
        metrics.seconds.labels(route).observe(seconds)
        is_ok = status < 500
        first = state.get("first_event_at")
        response = None if first is None else first - began
        if response is not None:
            metrics.ttft.labels(route).observe(response)
            self._monitoring.performance.record(f"{route} first", response)
        self._monitoring.requests.record(status, seconds, response=response)
        self._monitoring.performance.record(route, seconds, ok=is_ok)
        self._monitoring.production.record_operation(route, seconds, ok=is_ok)
