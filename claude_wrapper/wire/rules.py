"""Which models and conversations can be answered at all, whatever the dialect. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_wrapper.errors import InvalidRequestError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_wrapper.model import Message

__all__ = ["ALIASES", "EMPTY_SCHEMA", "check_conversation", "check_model", "not_honoured"]

ALIASES = ("sonnet", "opus", "haiku", "default", "opusplan", "sonnet[1m]")
EMPTY_SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}


def check_model(name: str) -> None:
    """Refuse names that are not Claude's; new `claude-…` names pass through.

    Raises:
        NotFoundError: With OpenAI's code `model_not_found`.
    """
    if not name.startswith("claude-") and name not in ALIASES:
        raise NotFoundError(
            f"the model {name!r} does not exist here; names begin with 'claude-', or are one of "
            f"{', '.join(ALIASES)}",
            param="model",
            code="model_not_found",
        )


def check_conversation(messages: Sequence[Message]) -> None:
    """Refuse a conversation that cannot be answered.

    Raises:
        InvalidRequestError: It is empty, ends with the model, or leaves a tool call open.
    """
    if not messages or messages[-1].role == "assistant":
        raise InvalidRequestError(
            "the last message must come from the user or a tool; an answer cannot be prefilled",
            param="messages",
        )
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                raise InvalidRequestError(
                    f"messages.{index}: no tool call {message.tool_call_id!r} waits for a result",
                    param=f"messages.{index}.tool_call_id",
                )
            open_calls.discard(message.tool_call_id)
            continue
        if open_calls:
            raise _open_calls(open_calls, index)
        open_calls = {call.id for call in message.tool_calls}
    if open_calls:
        raise _open_calls(open_calls, len(messages))


def not_honoured(extra: dict[str, Any] | None, harmless: frozenset[str]) -> list[str]:
    """The fields nobody knows what to do with, those left out that say what is so anyway.

    Args:
        extra: The fields that the schema does not have.
        harmless: Names that nothing in the answer depends on.
    """
    says_nothing: tuple[Any, ...] = (None, False, 0, [], {}, "auto", "default")
    return [
        name
        for name, value in (extra or {}).items()
        if name not in harmless and value not in says_nothing
    ]


def _open_calls(calls: set[str], index: int) -> InvalidRequestError:
    names = ", ".join(sorted(calls))
    return InvalidRequestError(
        f"messages.{index}: the tool calls {names} have no 'tool' message with their result",
        param="messages",
    )
