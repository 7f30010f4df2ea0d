"""`GET /v1/models` and `/v1/models/{id}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from claude_wrapper.wire.rules import check_model

if TYPE_CHECKING:
    from starlette.requests import Request

    from claude_wrapper.services import Services

__all__ = ["MODELS", "list_models", "show_model"]

# What is offered in menus. Newer `claude-…` names work as well: they pass through.
MODELS = (
    "sonnet",
    "opus",
    "haiku",
    "claude-opus-5-5",
    "claude-sonnet-5-5",
    "claude-sonnet-4-5",
    "claude-haiku-4-5",
)


async def list_models(request: Request) -> JSONResponse:
    """All models that are offered."""
    services: Services = request.app.state.services
    models = [_model(name, services) for name in MODELS]
    return JSONResponse({"object": "list", "data": models})


async def show_model(request: Request) -> JSONResponse:
    """One model; any name that a request could use."""
    name = request.path_params["model"]
    check_model(name)
    return JSONResponse(_model(name, request.app.state.services))


def _model(name: str, services: Services) -> dict[str, Any]:
    created = int(services.started_at)
    return {"id": name, "object": "model", "created": created, "owned_by": "anthropic"}
