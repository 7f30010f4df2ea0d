"""The OpenAPI document, made from the routes and from the models that check their bodies. Pure."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from claude_wrapper import __version__
from claude_wrapper.anthropic.schema import CountRequest, MessagesRequest
from claude_wrapper.openai.schema import ChatRequest
from claude_wrapper.responses.schema import ResponsesRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.routing import Route

__all__ = ["openapi_document"]

ANTHROPIC_PREFIX = "/v1/messages"
OPEN_PREFIX = "/health"
REF = "#/components/schemas/{model}"
BODIES: dict[str, type[BaseModel]] = {
    "/v1/chat/completions": ChatRequest,
    "/v1/messages": MessagesRequest,
    "/v1/messages/count_tokens": CountRequest,
    "/v1/responses": ResponsesRequest,
}
# They run a turn, so they take a session and may stream.
TURNS = frozenset(
    ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/sessions/{session}/messages"]
)
FAILURES = {
    "400": "The request cannot be honoured; the error names the field.",
    "401": "A key is needed, or the Anthropic API did not accept the server's.",
    "403": "A web page of a foreign origin asked.",
    "404": "The model, session or response does not exist here.",
    "405": "The path does not take this method; Allow says which it takes.",
    "408": "The body did not come within --request-timeout.",
    "409": "The session is in use and may not be waited for, or it was deleted.",
    "413": "The body is too large.",
    "415": "The body is not declared as application/json.",
    "429": "The queue is full, the key has used up its minute, or the Anthropic API limits; "
    "see Retry-After.",
    "502": "The CLI failed.",
    "503": "The server is starting or stopping.",
    "504": "The turn took too long.",
    "529": "The Anthropic API is overloaded; see Retry-After.",
}
SHORT_FAILURES = ("400", "401", "403", "404", "405", "429")
BODY_FAILURES = (*SHORT_FAILURES, "408", "413", "415")
OTHER_CONTENT = {"/docs": "text/html", "/metrics": "text/plain"}


class OpenAIErrorDetail(BaseModel):
    """What went wrong, and which field caused it."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(BaseModel):
    """Every error outside of `/v1/messages`."""

    error: OpenAIErrorDetail


class AnthropicErrorDetail(BaseModel):
    """What went wrong; the details hold an `error_code` where clients act on one."""

    type: str
    message: str
    details: dict[str, str] | None = None


class AnthropicError(BaseModel):
    """Every error under `/v1/messages`."""

    type: Literal["error"]
    error: AnthropicErrorDetail
    request_id: str


def openapi_document(routes: Iterable[Route], *, needs_key: bool) -> dict[str, Any]:
    """The document for these routes.

    Args:
        routes: What the application answers; their docstrings are the summaries.
        needs_key: Whether a key must be shown.
    """
    names, schemas = _schemas()
    paths: dict[str, Any] = {}
    for route in routes:
        path = re.sub(r":\w+}", "}", route.path)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            paths.setdefault(path, {})[method.lower()] = _operation(path, route, names)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "claude-wrapper",
            "version": __version__,
            "description": "OpenAI's and Anthropic's APIs on the Claude CLI.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        "security": [{"bearer": []}, {"apiKey": []}] if needs_key else [],
    }


def _schemas() -> tuple[dict[type[BaseModel], dict[str, Any]], dict[str, Any]]:
    """References by model, and all definitions."""
    models: list[type[BaseModel]] = [*BODIES.values(), OpenAIError, AnthropicError]
    references, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template=REF
    )
    by_model = {model: references[model, "validation"] for model in models}
    return by_model, definitions["$defs"]


def _operation(
    path: str, route: Route, names: dict[type[BaseModel], dict[str, Any]]
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": getattr(route.endpoint, "__name__", path),
        "summary": _summary(route),
        "tags": [path.split("/")[2] if path.startswith("/v1/") else "server"],
        "parameters": _parameters(path),
        "responses": _answers(path, names),
    }
    if path in BODIES:
        content = {"application/json": {"schema": names[BODIES[path]]}}
        operation["requestBody"] = {"required": True, "content": content}
    elif path in TURNS:
        operation["requestBody"] = {"content": {"application/json": {"schema": _SESSION_BODY}}}
    if path.startswith(OPEN_PREFIX):
        operation["security"] = []
    return operation


_SESSION_BODY = {
    "type": "object",
    "description": 'A chat completion request, or just {"content": "…"}.',
    "anyOf": [
        {"required": ["messages"], "properties": {"messages": {"type": "array", "minItems": 1}}},
        {"required": ["content"], "properties": {"content": {"type": ["string", "array"]}}},
    ],
}


def _summary(route: Route) -> str:
    return (inspect.getdoc(route.endpoint) or "").partition("\n")[0]


def _parameters(path: str) -> list[dict[str, Any]]:
    text = {"type": "string"}
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": text}
        for name in re.findall(r"{(\w+)}", path)
    ]
    if path == "/v1/logs":
        lines = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
        parameters.append({"name": "limit", "in": "query", "schema": lines,
                           "description": "How many of the newest lines."})  # fmt: skip
    if path in TURNS:
        busy = {"type": "string", "enum": ["wait", "reject"]}
        parameters += [
            {"name": "x-session-id", "in": "header", "schema": text,
             "description": "The session that this request continues."},
            {"name": "x-session-busy", "in": "header", "schema": busy,
             "description": "Wait for the turn that runs on the session, or get 409."},
            {"name": "x-request-id", "in": "header", "schema": text,
             "description": "Is sent back, and stands in the log."},
        ]  # fmt: skip
    return parameters


def _answers(path: str, names: dict[type[BaseModel], dict[str, Any]]) -> dict[str, Any]:
    kind = OTHER_CONTENT.get(path)
    content: dict[str, Any] = {
        kind or "application/json": {"schema": {"type": "string" if kind else "object"}}
    }
    if path in TURNS:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    answers: dict[str, Any] = {"200": {"description": "The answer.", "content": content}}
    if path.startswith(OPEN_PREFIX):
        return answers
    is_anthropic = path == ANTHROPIC_PREFIX or path.startswith(f"{ANTHROPIC_PREFIX}/")
    error = names[AnthropicError if is_anthropic else OpenAIError]
    statuses = BODY_FAILURES if path in BODIES else SHORT_FAILURES
    for status in FAILURES if path in TURNS else statuses:
        schema = {"application/json": {"schema": error}}
        answers[status] = {"description": FAILURES[status], "content": schema}
    return answers
