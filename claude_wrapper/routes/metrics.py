"""`GET /metrics`: the server's figures for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from claude_wrapper.monitoring.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from starlette.requests import Request

    from claude_wrapper.services import Services

__all__ = ["metrics"]


async def metrics(request: Request) -> Response:
    """The server's figures, in the text format of Prometheus."""
    services: Services = request.app.state.services
    figures = services.monitoring.metrics
    stats = await services.sessions.store.stats()
    figures.set_process(services.monitoring.process.read())
    figures.set_pool(services.pool.counts())
    for name, value in {
        "sessions": stats.active,
        "session_bytes": stats.size,
        "queue_rejections_total": services.pool.rejected_total,
        "cli_started_total": services.table.started_total,
        "cli_killed_total": services.table.killed_total,
        "orphans_reaped_total": len(services.previous_run.reaped),
        "strangers": len(services.monitoring.auditor.confirmed.strangers),
        "log_lines_dropped_total": services.logs.dropped if services.logs else 0,
        "shutdown_seconds": services.last_shutdown.seconds if services.last_shutdown else 0.0,
        "uptime_seconds": services.uptime,
    }.items():
        figures.set(f"claude_wrapper_{name}", value)
    return Response(figures.render(), media_type=CONTENT_TYPE)
