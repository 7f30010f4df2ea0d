"""Composition only: routes, middleware, and one handler that renders every error."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Match, Route

from claude_wrapper.errors import InvalidRequestError, NotFoundError, WrapperError
from claude_wrapper.middleware.access_log import AccessLogMiddleware
from claude_wrapper.middleware.auth import AuthMiddleware
from claude_wrapper.middleware.body_limit import BodyLimitMiddleware
from claude_wrapper.middleware.browsers import BrowserGuardMiddleware
from claude_wrapper.middleware.error_response import error_response
from claude_wrapper.middleware.measure import MeasureMiddleware
from claude_wrapper.middleware.rate_limit import RateLimitMiddleware
from claude_wrapper.middleware.request_head import RequestHeadMiddleware
from claude_wrapper.middleware.request_id import RequestIdMiddleware
from claude_wrapper.routes import (
    chat,
    docs,
    health,
    messages,
    metrics,
    models,
    resources,
    responses,
    sessions,
)
from claude_wrapper.routes.conversation import TOO_DEEP

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import Scope

    from claude_wrapper.services import Services

__all__ = ["create_app"]

logger = logging.getLogger(__name__)

LONGEST_PATH = 200


def create_app(services: Services) -> Starlette:
    """The ASGI application over these services; it starts and stops nothing itself."""
    settings, monitoring, routes = services.settings, services.monitoring, _routes()
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(RequestIdMiddleware),
            Middleware(AccessLogMiddleware),
            Middleware(MeasureMiddleware, monitoring=monitoring, templates=_templates(routes)),
            Middleware(RequestHeadMiddleware),
            Middleware(
                BrowserGuardMiddleware,
                origins=settings.cors_origins,
                host=settings.host,
                has_keys=bool(settings.api_key),
            ),
            Middleware(AuthMiddleware, keys=settings.api_key),
            Middleware(
                RateLimitMiddleware,
                per_minute=settings.rate_limit,
                on_refused=monitoring.metrics.rate_limited.inc,
            ),
            Middleware(
                BodyLimitMiddleware,
                limit=settings.max_request_size,
                total=settings.max_request_size * settings.max_concurrency,
                patience=settings.request_timeout,
                waits=services.waits,
            ),
        ],
        exception_handlers={
            WrapperError: _render,
            HTTPException: _render_http,
            RecursionError: _render_nested,
            Exception: _render_mistake,
        },
    )
    app.state.services = services
    # The framework's redirect names the scheme and the host as it sees them: behind a proxy it
    # would send the client, with its key, from https to http.
    app.router.redirect_slashes = False
    return app


def _routes() -> list[Route]:
    return [
        Route("/v1/chat/completions", chat.chat_completions, methods=["POST"]),
        Route("/v1/messages", messages.create_message, methods=["POST"]),
        Route("/v1/messages/count_tokens", messages.count_tokens, methods=["POST"]),
        Route("/v1/responses", responses.create_response, methods=["POST"]),
        Route("/v1/responses/{response}", responses.show_response),
        Route("/v1/responses/{response}", responses.delete_response, methods=["DELETE"]),
        Route("/v1/models", models.list_models),
        Route("/v1/models/{model:path}", models.show_model),
        Route("/v1/sessions", sessions.list_sessions),
        Route("/v1/sessions/stats", sessions.session_stats),
        Route("/v1/sessions/{session}", sessions.show_session),
        Route("/v1/sessions/{session}", sessions.delete_session, methods=["DELETE"]),
        Route("/v1/sessions/{session}/messages", sessions.send_message, methods=["POST"]),
        Route("/docs", docs.show_docs),
        Route("/openapi.json", docs.show_openapi),
        Route("/v1/resources", resources.resources),
        Route("/v1/logs", resources.logs),
        Route("/metrics", metrics.metrics),
        Route("/health", health.health),
        Route("/health/live", health.live),
        Route("/health/ready", health.ready),
    ]


def _templates(routes: list[Route]) -> dict[Callable[..., Any], str]:
    return {route.endpoint: route.path for route in routes}


async def _render(request: Request, error: Exception) -> Response:
    assert isinstance(error, WrapperError)
    return error_response(request.scope, error)


async def _render_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    asked = f"{request.method} {request.scope['path'][:LONGEST_PATH]}"
    known: WrapperError
    if error.status_code == 404 and (without := _without_slash(request)):
        return Response(status_code=307, headers={"location": without})
    if error.status_code == 404:
        is_ours = request.scope["path"].startswith("/v1/")
        where = (
            "this server offers what /docs lists" if is_ours else "the API is under /v1, see /docs"
        )
        known = NotFoundError(f"{asked} does not exist; {where}")
    elif error.status_code == 405:
        allowed = _allowed(request)
        known = InvalidRequestError(f"{asked} does not exist; this path takes {allowed}")
        return error_response(request.scope, known, status=405, headers={"allow": allowed})
    else:
        known = InvalidRequestError(f"{asked}: {error.detail}")
    return error_response(request.scope, known, status=error.status_code, headers=error.headers)


def _without_slash(request: Request) -> str:
    """The path that was probably meant, on whatever host was asked; "" where there is none."""
    path = request.scope["path"].rstrip("/")
    scope = {**request.scope, "path": path}
    if path == request.scope["path"] or not _fitting(request, scope):
        return ""
    query = f"?{request.url.query}" if request.url.query else ""
    return quote(path) + query


def _fitting(request: Request, scope: Scope) -> list[Route]:
    return [
        route
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(scope)[0] != Match.NONE
    ]


def _allowed(request: Request) -> str:
    """All methods of the path; the framework names those of the first route that fits."""
    fitting = _fitting(request, request.scope)
    return ", ".join(sorted({method for route in fitting for method in route.methods or ()}))


async def _render_nested(request: Request, _error: Exception) -> Response:
    # Parsing takes more levels than writing the same again does; between the two it ends here.
    return error_response(request.scope, InvalidRequestError(TOO_DEEP))


async def _render_mistake(request: Request, _error: Exception) -> Response:
    # Starlette logs the traceback itself after this answer, through the server's log.
    mistake = WrapperError(
        f"the server made a mistake; its log says which, at {request.state.request_id}"
    )
    return error_response(request.scope, mistake)
