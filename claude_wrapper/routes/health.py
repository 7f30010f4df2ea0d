"""`GET /health`, `/health/live` and `/health/ready`."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.requests import Request

    from claude_wrapper.services import Services

__all__ = ["health", "live", "ready"]


async def live(_request: Request) -> JSONResponse:
    """The process answers: nothing else is claimed."""
    return JSONResponse({"status": "alive"})


async def ready(request: Request) -> JSONResponse:
    """200 while turns are taken, 503 while starting and draining."""
    services: Services = request.app.state.services
    status = 200 if services.phase == "ready" else 503
    return JSONResponse({"status": services.phase}, status)


async def health(request: Request) -> JSONResponse:
    """How the parts are; details only for who shows a key."""
    services: Services = request.app.state.services
    checks = await _checks(services)
    is_healthy = all(check["ok"] for check in checks.values())
    status = {"status": "healthy" if is_healthy else "degraded"}
    if not request.state.is_authenticated:
        return JSONResponse(status)
    return JSONResponse({**status, **_details(services), "checks": checks})


async def _checks(services: Services) -> dict[str, dict[str, Any]]:
    stats = await services.sessions.store.stats()
    settings = services.settings
    return {
        "cli": {"ok": not services.pool.last_failure, "failure": services.pool.last_failure},
        "phase": {"ok": services.phase == "ready", "phase": services.phase},
        "sessions": {
            "ok": stats.active <= settings.max_sessions and stats.size <= settings.session_bytes,
            **asdict(stats),
        },
    }


def _details(services: Services) -> dict[str, Any]:
    return {
        "uptime_seconds": round(time.time() - services.started_at, 1),
        "cli": {"version": services.cli_version, "origin": services.binary.origin},
        "processes": services.pool.counts(),
        "previous_run": {
            "clean": services.previous_run.clean,
            "reaped": len(services.previous_run.reaped),
        },
    }
