"""`GET /openapi.json` and `/docs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from claude_wrapper.routes.docs_page import docs_page
from claude_wrapper.routes.openapi import openapi_document

if TYPE_CHECKING:
    from starlette.requests import Request

    from claude_wrapper.services import Services

__all__ = ["show_docs", "show_openapi"]

# The page needs its own style and nothing else; whatever else got into it does nothing.
POLICY = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}


async def show_openapi(request: Request) -> JSONResponse:
    """What the server answers, as an OpenAPI document."""
    return JSONResponse(_document(request))


async def show_docs(request: Request) -> HTMLResponse:
    """What the server answers, as a page."""
    page = docs_page(_document(request), str(request.base_url).rstrip("/"))
    return HTMLResponse(page, headers=POLICY)


def _document(request: Request) -> dict[str, Any]:
    services: Services = request.app.state.services
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    return openapi_document(routes, needs_key=bool(services.settings.api_key))
