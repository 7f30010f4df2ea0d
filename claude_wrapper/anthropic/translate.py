"""From a messages request to a turn: what is carried, refused, or ignored. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from claude_wrapper.anthropic.error_body import NO_THREADS
from claude_wrapper.anthropic.schema import (
    AssistantTurn,
    ImageBlock,
    SystemTurn,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserTurn,
)
from claude_wrapper.errors import InvalidRequestError
from claude_wrapper.model import (
    ChatTurn,
    ImagePart,
    Message,
    Part,
    TextPart,
    ToolCall,
    ToolSpec,
)
from claude_wrapper.wire.images import check_image
from claude_wrapper.wire.rules import check_model, may_answer_in_text, not_honoured
from claude_wrapper.wire.schemas import answer_schema, check_tool_names, tool_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from claude_wrapper.anthropic.schema import CountRequest, MessagesRequest, ToolChoice

__all__ = ["messages_of", "refuse_threads", "system_of", "tools_of", "translate"]

# Books, billing and caching: nothing in the answer depends on them.
HARMLESS = frozenset(["metadata", "cache_control", "service_tier", "betas"])
# The answer would not be what was asked for.
REFUSED = {
    "mcp_servers": "no server of others is asked",
    "container": "no code runs here",
    "prefill": "an answer cannot be prefilled",
}


def translate(request: MessagesRequest) -> ChatTurn:
    """Translate a request.

    Raises:
        InvalidRequestError: Something asked for cannot be honoured; the message says what.
        NotFoundError: The model's name is none of Claude's.
    """
    check_model(request.model)
    refuse_threads(request)
    _refuse_what_changes_the_answer(request)
    body, schema = _body(request), _schema(request)
    placed = tuple(_placed(request))
    return ChatTurn(
        model=request.model,
        system=system_of(request),
        messages=tuple(message for _, message in placed),
        tools=tools_of(request),
        max_tokens=request.max_tokens,
        body=body,
        json_schema=schema if may_answer_in_text(body) else None,
        ignored=_ignored(request),
        places=tuple(place for place, _ in placed),
    )


def refuse_threads(request: CountRequest) -> None:
    """Refuse a request that leaves the history to the server, or means to from its next turn on.

    Raises:
        InvalidRequestError: With the code by which Anthropic's clients then send the history.
    """
    if (request.model_extra or {}).get("thread") is not None:
        raise InvalidRequestError(
            "thread: conversations are not held under the ids of messages here; send the whole "
            "history, or name a session_id",
            param="thread",
            code=NO_THREADS,
        )


def system_of(request: CountRequest) -> str:
    """The system prompt, with the instructions that stand between the turns."""
    inner = [turn.content for turn in request.messages if isinstance(turn, SystemTurn)]
    return "\n\n".join(text for text in map(_plain, (request.system or "", *inner)) if text)


def messages_of(request: CountRequest) -> tuple[Message, ...]:
    """The conversation.

    Raises:
        InvalidRequestError: A turn is empty.
    """
    return tuple(message for _, message in _placed(request))


def _placed(request: CountRequest) -> Iterator[tuple[str, Message]]:
    """Each message, and where it stands."""
    for index, turn in enumerate(request.messages):
        if not isinstance(turn, SystemTurn):
            place = f"messages.{index}"
            yield from ((place, message) for message in _messages(turn, f"{place}.content"))


def tools_of(request: CountRequest) -> tuple[ToolSpec, ...]:
    """The tools of the client.

    Raises:
        InvalidRequestError: One would have to run at Anthropic's, or has no schema.
    """
    if request.tool_choice is not None and request.tool_choice.type == "none":
        return ()
    specs = []
    for index, tool in enumerate(request.tools or ()):
        if tool.type not in (None, "custom"):
            raise InvalidRequestError(
                f"tools.{index}.type is {tool.type!r}; only tools that the client runs can be "
                "offered: leave the type out, or use 'custom'",
                param=f"tools.{index}.type",
            )
        if not tool.name or tool.input_schema is None:
            missing = "input_schema" if tool.name else "name"
            param = f"tools.{index}.{missing}"
            raise InvalidRequestError(f"{param} is missing", param=param)
        specs.append(
            ToolSpec(
                name=tool.name,
                description=tool.description or "",
                parameters=tool_schema(tool.input_schema, f"tools.{index}.input_schema"),
            )
        )
    check_tool_names(specs)
    return tuple(specs)


def _messages(turn: UserTurn | AssistantTurn, path: str) -> Iterator[Message]:
    if not turn.content:
        raise InvalidRequestError(f"{path} is empty; say something, or leave it out", param=path)
    if isinstance(turn, AssistantTurn):
        yield _assistant(turn)
        return
    if isinstance(turn.content, str):
        yield Message(role="user", parts=(TextPart(text=turn.content),))
        return
    parts: list[Part] = []
    for index, block in enumerate(turn.content):
        if isinstance(block, ToolResultBlock):
            if parts:
                raise InvalidRequestError(
                    f"{path}: results must stand before anything else in their turn", param=path
                )
            yield _result(block, f"{path}.{index}.content")
        else:
            parts.append(_part(block, f"{path}.{index}"))
    if parts:
        yield Message(role="user", parts=tuple(parts))


def _assistant(turn: AssistantTurn) -> Message:
    if isinstance(turn.content, str):
        return Message(role="assistant", parts=(TextPart(text=turn.content),))
    text = "".join(block.text for block in turn.content if isinstance(block, TextBlock))
    calls = tuple(
        ToolCall(id=block.id, name=block.name, arguments=json.dumps(block.input))
        for block in turn.content
        if isinstance(block, ToolUseBlock)
    )
    return Message(role="assistant", parts=(TextPart(text=text),) if text else (), tool_calls=calls)


def _result(block: ToolResultBlock, path: str) -> Message:
    content = block.content
    parts = (
        (TextPart(text=content),)
        if isinstance(content, str)
        else tuple(_part(one, f"{path}.{index}") for index, one in enumerate(content))
    )
    return Message(
        role="tool", parts=parts, tool_call_id=block.tool_use_id, is_error=bool(block.is_error)
    )


def _part(block: TextBlock | ImageBlock, path: str) -> Part:
    if isinstance(block, TextBlock):
        return TextPart(text=block.text)
    if block.source.type == "url":
        return ImagePart(url=block.source.url)
    data = "".join(block.source.data.split())
    check_image(data, f"{path}.source.data")
    return ImagePart(media_type=block.source.media_type, data=data)


def _plain(content: str | Sequence[TextBlock]) -> str:
    if isinstance(content, str):
        return content
    return "\n\n".join(block.text for block in content)


def _body(request: MessagesRequest) -> dict[str, Any]:
    fields = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "stop_sequences": request.stop_sequences or None,
        "tool_choice": _tool_choice(request.tool_choice, request),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _tool_choice(choice: ToolChoice | None, request: MessagesRequest) -> dict[str, Any] | None:
    if choice is None or choice.type == "none":
        return None
    names = [tool.name for tool in request.tools or ()]
    serial = {"disable_parallel_tool_use": True} if choice.disable_parallel_tool_use else {}
    if choice.type == "auto":
        return {"type": "auto", **serial} if serial and names else None
    if not names or (choice.type == "tool" and choice.name not in names):
        raise InvalidRequestError(
            f"tool_choice wants {choice.name or 'a tool'!r}; the tools are {', '.join(names)}"
            if names
            else "tool_choice needs tools to choose from",
            param="tool_choice",
        )
    named = {"name": choice.name} if choice.type == "tool" else {}
    return {"type": choice.type, **named, **serial}


def _schema(request: MessagesRequest) -> dict[str, Any] | None:
    wanted = request.output_config
    if wanted is None or wanted.format is None:
        return None
    return answer_schema(wanted.format.json_schema, "output_config.format.schema")


def _refuse_what_changes_the_answer(request: MessagesRequest) -> None:
    for name, reason in REFUSED.items():
        if (request.model_extra or {}).get(name):
            raise InvalidRequestError(f"{name} cannot be honoured: {reason}", param=name)


def _ignored(request: MessagesRequest) -> tuple[str, ...]:
    names = not_honoured(request.model_extra, HARMLESS)
    if request.output_config is not None:
        inner = not_honoured(request.output_config.model_extra, frozenset())
        names += [f"output_config.{name}" for name in inner]
    return tuple(sorted(names))
