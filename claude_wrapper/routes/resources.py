"""`GET /v1/resources` and `GET /v1/logs`: what the server holds, and what it said last."""

from __future__ import annotations

import re
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from claude_wrapper.errors import InvalidRequestError

if TYPE_CHECKING:
    from starlette.requests import Request

    from claude_wrapper.services import Services

__all__ = ["logs", "resources"]

MOST_LINES = 1000


async def resources(request: Request) -> JSONResponse:
    """Everything held now, kind by kind, and how the last run ended."""
    services: Services = request.app.state.services
    monitoring = services.monitoring
    held = await monitoring.resources.held()
    sessions = await services.sessions.store.stats()
    return JSONResponse({
        "at": round(time.time(), 3),
        "counts": {kind: len(rows) for kind, rows in held.items()},
        "held": held,
        "tracked": _tracked(services),
        "children": [asdict(child) for child in monitoring.process.children()],
        "sessions": asdict(sessions),
        "listeners": list(services.tracker.listeners),
        "memory": monitoring.leaks.state(),
        "audit": monitoring.auditor.to_dict(),
        "alerts": [alert.to_dict() for alert in monitoring.alerts.recent],
        "last_shutdown": asdict(services.last_shutdown) if services.last_shutdown else None,
    })  # fmt: skip


def _tracked(services: Services) -> list[dict[str, Any]]:
    now = time.monotonic()
    return [
        {"kind": item.kind, "name": item.name, "age": round(now - item.since, 3)}
        for item in services.tracker.list()
    ]


async def logs(request: Request) -> JSONResponse:
    """The newest log lines, oldest first.

    Raises:
        InvalidRequestError: `limit` is not a number from 1 to 1000.
    """
    services: Services = request.app.state.services
    raw = request.query_params.get("limit", "100")
    if re.fullmatch(r"[0-9]{1,4}", raw) is None or not 1 <= int(raw) <= MOST_LINES:
        raise InvalidRequestError(
            f"limit is {raw[:20]!r}; valid are whole numbers 1 to {MOST_LINES}", param="limit"
        )
    lines = services.logs.ring.newest(int(raw)) if services.logs else []
    return JSONResponse({"object": "list", "data": lines})
