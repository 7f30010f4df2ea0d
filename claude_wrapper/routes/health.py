"""`GET /health`, `/health/live` and `/health/ready`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from claude_wrapper.monitoring.system import overall

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
    """How the parts are, asked now; details only for who shows a key."""
    services: Services = request.app.state.services
    components = await services.monitoring.system.check()
    status = overall(components)
    if not request.state.is_authenticated:
        return JSONResponse({"status": status})
    checks = {
        name: {"ok": part.status == "healthy", "status": part.status, **part.facts}
        for name, part in components.items()
    }
    return JSONResponse({"status": status, **_details(services), "checks": checks})


def _details(services: Services) -> dict[str, Any]:
    return {
        "uptime_seconds": round(services.uptime, 1),
        "cli": {"version": services.cli_version, "origin": services.binary.origin},
        "processes": services.pool.counts(),
        "requests": asdict(services.monitoring.requests.figures()),
        "previous_run": {
            "clean": services.previous_run.clean,
            "reaped": len(services.previous_run.reaped),
        },
    }
