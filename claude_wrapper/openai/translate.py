"""From a chat completion request to a turn: what is carried, refused, or ignored."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from claude_wrapper.errors import InvalidRequestError
from claude_wrapper.model import ChatTurn, Message, Part, TextPart, ToolCall, ToolSpec
from claude_wrapper.openai.schema import (
    AssistantMessage,
    ChatRequest,
    ImageContent,
    RefusalContent,
    SystemMessage,
    TextContent,
    ToolMessage,
    UserMessage,
)
from claude_wrapper.wire.images import image_part
from claude_wrapper.wire.rules import check_model, may_answer_in_text, not_honoured, sampling
from claude_wrapper.wire.schemas import answer_schema, check_tool_names, tool_schema
from claude_wrapper.wire.validation import inner_extras

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["translate"]

# Labels for the caller's own books: nothing in the answer depends on them.
HARMLESS = frozenset(
    ["user", "metadata", "store", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"]
)
# What clients send back of an answer as it came; nothing in the next one depends on it.
OF_ANSWERS = frozenset(["id", "index", "annotations"])


def translate(request: ChatRequest) -> ChatTurn:
    """Translate a request.

    Raises:
        InvalidRequestError: Something asked for cannot be honoured; `param` says what.
        NotFoundError: The model's name is none of Claude's.
    """
    check_model(request.model)
    _refuse_what_changes_the_answer(request)
    system = [m for m in request.messages if isinstance(m, SystemMessage)]
    body, schema = _body(request), _schema(request)
    return ChatTurn(
        model=request.model,
        system="\n\n".join(_plain(message.content) for message in system),
        messages=_messages(request),
        tools=_tools(request),
        max_tokens=request.max_completion_tokens or request.max_tokens,
        body=body,
        json_schema=schema if may_answer_in_text(body) else None,
        ignored=_ignored(request),
        places=tuple(f"messages.{index}" for index, _ in _spoken(request)),
    )


def _refuse_what_changes_the_answer(request: ChatRequest) -> None:
    extra = request.model_extra or {}
    if request.n not in (None, 1):
        raise InvalidRequestError(
            f"n is {str(request.n)[:20]}; only one answer can be made", param="n"
        )
    for name, instead in (("functions", "tools"), ("function_call", "tool_choice")):
        if extra.get(name):
            raise InvalidRequestError(f"{name} is not supported; use {instead}", param=name)
    for index, message in enumerate(request.messages):
        if (message.model_extra or {}).get("function_call"):
            place = f"messages.{index}.function_call"
            raise InvalidRequestError(f"{place} is not supported; use tool_calls", param=place)
    for name in ("logprobs", "top_logprobs"):
        if extra.get(name):
            raise InvalidRequestError(
                f"{name}: the CLI tells no probabilities; leave it out", param=name
            )
    if extra.get("modalities") not in (None, ["text"]):
        raise InvalidRequestError(
            f"modalities is {extra['modalities']}; only ['text'] can be answered",
            param="modalities",
        )


def _messages(request: ChatRequest) -> tuple[Message, ...]:
    return tuple(_message(message, f"messages.{index}") for index, message in _spoken(request))


def _spoken(request: ChatRequest) -> list[tuple[int, UserMessage | AssistantMessage | ToolMessage]]:
    return [
        (index, one)
        for index, one in enumerate(request.messages)
        if not isinstance(one, SystemMessage)
    ]


def _message(message: UserMessage | AssistantMessage | ToolMessage, path: str) -> Message:
    if isinstance(message, UserMessage):
        if message.content == []:
            raise InvalidRequestError(
                f"{path}.content is empty; say something, or leave the message out",
                param=f"{path}.content",
            )
        return Message(role="user", parts=_parts(message.content, path))
    if isinstance(message, ToolMessage):
        parts = _parts(message.content, path)
        return Message(role="tool", parts=parts, tool_call_id=message.tool_call_id)
    calls = tuple(
        ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
        for call in message.tool_calls or ()
    )
    text = _plain(message.content or "") or message.refusal or ""
    return Message(role="assistant", parts=(TextPart(text=text),) if text else (), tool_calls=calls)


def _parts(content: str | Sequence[TextContent | ImageContent], path: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (TextPart(text=content),)
    return tuple(
        TextPart(text=part.text)
        if isinstance(part, TextContent)
        else image_part(part.image_url.url, f"{path}.content.{index}.image_url")
        for index, part in enumerate(content)
    )


def _plain(content: str | Sequence[TextContent | RefusalContent]) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.text if isinstance(part, TextContent) else part.refusal for part in content)


def _tools(request: ChatRequest) -> tuple[ToolSpec, ...]:
    # The API has a tool_choice "none" too, but without tools nothing can be called at all.
    if request.tool_choice == "none":
        return ()
    tools = tuple(
        ToolSpec(
            name=tool.function.name,
            description=tool.function.description or "",
            parameters=tool_schema(tool.function.parameters, f"tools.{index}.function.parameters"),
        )
        for index, tool in enumerate(request.tools or ())
    )
    check_tool_names(tools)
    return tools


def _body(request: ChatRequest) -> dict[str, Any]:
    body: dict[str, Any] = dict(sampling(request.temperature, request.top_p)[0])
    if request.stop:
        body["stop_sequences"] = [request.stop] if isinstance(request.stop, str) else request.stop
    choice = _tool_choice(request)
    return {**body, "tool_choice": choice} if choice else body


def _tool_choice(request: ChatRequest) -> dict[str, Any] | None:
    choice = request.tool_choice
    if choice in (None, "auto", "none"):
        serial = request.parallel_tool_calls is False and bool(_tools(request))
        return {"type": "auto", "disable_parallel_tool_use": True} if serial else None
    names = [tool.function.name for tool in request.tools or ()]
    if not names:
        raise InvalidRequestError("tool_choice needs tools to choose from", param="tool_choice")
    forced: dict[str, Any] = {"type": "any"}
    if not isinstance(choice, str) and choice is not None:
        if choice.function.name not in names:
            raise InvalidRequestError(
                f"tool_choice names {choice.function.name!r}; the tools are {', '.join(names)}",
                param="tool_choice",
            )
        forced = {"type": "tool", "name": choice.function.name}
    if request.parallel_tool_calls is False:
        forced["disable_parallel_tool_use"] = True
    return forced


def _schema(request: ChatRequest) -> dict[str, Any] | None:
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {"type": "object"}
    if wanted.json_schema is None:
        raise InvalidRequestError(
            "response_format.json_schema is missing", param="response_format.json_schema"
        )
    return answer_schema(wanted.json_schema.json_schema, "response_format.json_schema.schema")


def _ignored(request: ChatRequest) -> tuple[str, ...]:
    names = not_honoured(request.model_extra, HARMLESS)
    names += sampling(request.temperature, request.top_p)[1]
    for field in ("messages", "tools"):
        for path, extra in inner_extras(getattr(request, field), field):
            names += [f"{path}.{name}" for name in not_honoured(extra, OF_ANSWERS)]
    if any(map(_has_lost_arguments, request.messages)):
        names.append("messages.tool_calls.function.arguments")
    return tuple(sorted(set(names)))


def _has_lost_arguments(message: object) -> bool:
    """Whether a call of the history has arguments that are no object, as one cut short has."""
    calls = message.tool_calls if isinstance(message, AssistantMessage) else None
    return any(not _is_object(call.function.arguments) for call in calls or ())


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text or "{}"), dict)
    except (ValueError, RecursionError):
        return False
