"""`/v1/sessions`: list, look, remove, and speak."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from claude_wrapper.routes.chat import answer_chat
from claude_wrapper.routes.conversation import read_json
from claude_wrapper.wire.json_answer import JsonAnswer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from claude_wrapper.model import Message
    from claude_wrapper.services import Services
    from claude_wrapper.sessions import Session

__all__ = ["delete_session", "list_sessions", "send_message", "session_stats", "show_session"]

MOST_LISTED = 1000


async def list_sessions(request: Request) -> JsonAnswer:
    """The caller's sessions, most recently used first, at most 1000."""
    services: Services = request.app.state.services
    sessions = await services.sessions.store.newest(request.state.owner, MOST_LISTED)
    return JsonAnswer({"object": "list", "data": [_summary(session) for session in sessions]})


async def session_stats(request: Request) -> JsonAnswer:
    """Counts over all sessions of the server."""
    services: Services = request.app.state.services
    stats = await services.sessions.store.stats()
    settings = services.settings
    limits = {"max_sessions": settings.max_sessions, "max_bytes": settings.session_bytes}
    return JsonAnswer({**asdict(stats), **limits, "waiting": services.sessions.waiting})


async def show_session(request: Request) -> JsonAnswer:
    """One session with its messages."""
    services: Services = request.app.state.services
    session = await services.sessions.get(request.path_params["session"], request.state.owner)
    messages = [_message(message) for message in session.messages]
    return JsonAnswer({**_summary(session), "system": session.system, "messages": messages})


async def delete_session(request: Request) -> Response:
    """Remove a session; a turn that runs on it is stopped."""
    services: Services = request.app.state.services
    session_id = request.path_params["session"]
    await services.sessions.delete(session_id, request.state.owner)
    return JsonAnswer({"id": session_id, "object": "session.deleted", "deleted": True})


async def send_message(request: Request) -> Response:
    """A chat completion on this session; the body may also be just {"content": "…"}."""
    services: Services = request.app.state.services
    document = await read_json(request)
    if isinstance(document, dict) and "messages" not in document:
        content = document.pop("content", None)
        document["messages"] = [{"role": document.pop("role", "user"), "content": content}]
    if isinstance(document, dict):
        document.setdefault("model", services.settings.default_model)
        document["session_id"] = request.path_params["session"]
    return await answer_chat(request, document)


def _summary(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "object": "session",
        "created_at": int(session.created_at),
        "last_used_at": int(session.last_used_at),
        "model": session.model,
        "message_count": len(session.messages),
        "uses": session.uses,
        "bytes": session.size,
    }


def _message(message: Message) -> dict[str, Any]:
    document: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_call_id:
        document["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        document["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    return document
