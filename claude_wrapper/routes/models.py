"""`GET /v1/models` and `/v1/models/{id}`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
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
    "claude-haiku-5-5",
    "claude-sonnet-4-5",
    "claude-haiku-4-5",
)


async def list_models(request: Request) -> JSONResponse:
    """All models that are offered, on one page."""
    services: Services = request.app.state.services
    models = [_model(name, services) for name in MODELS]
    pages = {"has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]}
    return JSONResponse({"object": "list", "data": models, **pages})


async def show_model(request: Request) -> JSONResponse:
    """One model; any name that a request could use."""
    name = request.path_params["model"]
    if not name or name.endswith("/"):
        # No model is named so: as for any path, what is meant is that without the slash.
        raise HTTPException(404)
    check_model(name)
    return JSONResponse(_model(name, request.app.state.services))


def _model(name: str, services: Services) -> dict[str, Any]:
    """One model in the words of both dialects, which ask under the same path."""
    # Nobody tells us when a model was released, and both dialects want a time.
    created = int(services.started_at)
    openai = {"object": "model", "created": created, "owned_by": "anthropic"}
    at = datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z")
    anthropic = {"type": "model", "display_name": name, "created_at": at}
    return {"id": name, **openai, **anthropic}
