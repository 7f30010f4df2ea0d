"""From the items of an input to messages, and the instructions among them. Pure."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from claude_wrapper.errors import InvalidRequestError
from claude_wrapper.model import Message, Part, TextPart, ToolCall
from claude_wrapper.responses.schema import (
    CallItem,
    CallOutputItem,
    CustomCallItem,
    ImagePartIn,
    InputItem,
    MessageItem,
    TextPartIn,
)
from claude_wrapper.wire.images import image_part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_wrapper.responses.schema import PartIn, ResponsesRequest

__all__ = ["CUSTOM_INPUT", "instructions_of", "messages_of", "placed_messages"]

# A custom tool takes free text; to the model it is a function with this one argument.
CUSTOM_INPUT = "input"


def instructions_of(request: ResponsesRequest) -> str:
    """The instructions that stand in the input; they stay when the conversation goes on."""
    if isinstance(request.input, str):
        return ""
    return "\n\n".join(
        _plain(item.content)
        for item in request.input
        if isinstance(item, MessageItem) and item.role in ("system", "developer")
    )


def messages_of(request: ResponsesRequest) -> tuple[Message, ...]:
    """The messages of the input; text and calls of one answer become one message.

    Raises:
        InvalidRequestError: An image cannot be passed on, or a message of the user is empty.
    """
    return tuple(message for _, message in placed_messages(request))


def placed_messages(request: ResponsesRequest) -> list[tuple[str, Message]]:
    """The same, each with where it stands.

    Raises:
        InvalidRequestError: As above.
    """
    if isinstance(request.input, str):
        return [("input", Message(role="user", parts=(TextPart(text=request.input),)))]
    messages: list[tuple[str, Message]] = []
    for index, item in enumerate(request.input):
        message = _message(item, f"input.{index}")
        if message is None:
            continue
        if message.tool_calls and messages and messages[-1][1].role == "assistant":
            place, answer = messages[-1]
            calls = (*answer.tool_calls, *message.tool_calls)
            messages[-1] = place, replace(answer, tool_calls=calls)
        else:
            messages.append((f"input.{index}", message))
    return messages


def _message(item: InputItem, path: str) -> Message | None:
    if isinstance(item, CallItem):
        return _call(item.call_id, item.name, item.arguments)
    if isinstance(item, CustomCallItem):
        return _call(item.call_id, item.name, json.dumps({CUSTOM_INPUT: item.input}))
    if isinstance(item, CallOutputItem):
        parts = _parts(item.output, f"{path}.output")
        return Message(role="tool", parts=parts, tool_call_id=item.call_id)
    if not isinstance(item, MessageItem) or item.role in ("system", "developer"):
        return None
    if item.role == "assistant":
        text = _plain(item.content)
        return Message(role="assistant", parts=(TextPart(text=text),) if text else ())
    if item.content == []:
        raise InvalidRequestError(
            f"{path}.content is empty; say something, or leave the item out",
            param=f"{path}.content",
        )
    return Message(role="user", parts=_parts(item.content, f"{path}.content"))


def _call(call_id: str, name: str, arguments: str) -> Message:
    return Message(
        role="assistant", tool_calls=(ToolCall(id=call_id, name=name, arguments=arguments),)
    )


def _parts(content: str | Sequence[PartIn], path: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (TextPart(text=content),)
    return tuple(
        image_part(part.image_url, f"{path}.{index}.image_url")
        if isinstance(part, ImagePartIn)
        else TextPart(text=part.text if isinstance(part, TextPartIn) else part.refusal)
        for index, part in enumerate(content)
    )


def _plain(content: str | Sequence[PartIn]) -> str:
    return "".join(part.text for part in _parts(content, "") if isinstance(part, TextPart))
