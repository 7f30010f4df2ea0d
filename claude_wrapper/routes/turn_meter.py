"""Notes what the monitors want to know about a turn while its events pass by."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from claude_wrapper.model import ToolCallStarted

if TYPE_CHECKING:
    from starlette.requests import Request

    from claude_wrapper.model import TurnEvent
    from claude_wrapper.services import Services

__all__ = ["TurnMeter"]


class TurnMeter:
    """Sees every event of one turn; the measuring middleware reads what it leaves in the request.

    Args:
        services: With the monitors.
        request: Gets `model` now, and `first_event_at` with the first event.
        model: The model that was asked for.
    """

    def __init__(self, services: Services, request: Request, model: str) -> None:
        self._production = services.monitoring.production
        self._state = request.state
        self._is_first = True
        self._state.model = model

    def __call__(self, event: TurnEvent | None) -> None:
        """One event; None at the end."""
        if self._is_first:
            self._is_first = False
            self._state.first_event_at = time.perf_counter()
        if isinstance(event, ToolCallStarted):
            self._production.record_tool(event.name)
