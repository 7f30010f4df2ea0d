"""Which models and conversations can be answered at all, whatever the dialect. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from claude_wrapper.errors import InvalidRequestError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_wrapper.model import Message

__all__ = [
    "ALIASES",
    "check_conversation",
    "check_model",
    "check_session_id",
    "may_answer_in_text",
    "not_honoured",
    "sampling",
]

ALIASES = ("sonnet", "opus", "haiku", "default", "opusplan", "sonnet[1m]")
# Dots, colons, slashes and brackets: names on Bedrock and Vertex, and of long contexts.
MODEL = re.compile(r"claude-[A-Za-z0-9._:@/\[\]-]{1,200}")
# They stand in headers and in paths, where anything else would become something else.
SESSION_ID = re.compile(r"[!-.0-~]{1,200}")
# The path of the figures over all sessions, and what clients and proxies take for folders.
RESERVED_SESSIONS = frozenset(["stats", ".", ".."])


def check_model(name: str) -> None:
    """Refuse names that are not Claude's; new `claude-…` names pass through.

    Raises:
        NotFoundError: With OpenAI's code `model_not_found`.
    """
    if name not in ALIASES and MODEL.fullmatch(name) is None:
        raise NotFoundError(
            f"the model {name[:100]!r} does not exist here; names begin with 'claude-', or are one "
            f"of {', '.join(ALIASES)}",
            param="model",
            code="model_not_found",
        )


def check_session_id(session_id: str, param: str) -> None:
    """Refuse ids that could not be named in a header or a path later.

    Raises:
        InvalidRequestError: `param` is where the id stood.
    """
    if SESSION_ID.fullmatch(session_id) is None or session_id in RESERVED_SESSIONS:
        raise InvalidRequestError(
            f"{param} is {session_id[:100]!r}; valid are 1 to 200 visible ASCII characters without "
            "'/', and not 'stats', '.' or '..'",
            param=param,
        )


def check_conversation(messages: Sequence[Message], places: Sequence[str]) -> None:
    """Refuse a conversation that cannot be answered.

    Args:
        messages: All of them.
        places: Where the newest of them stand in the request; those before are stored.

    Raises:
        InvalidRequestError: It is empty, ends with the model, or leaves a tool call open.
    """
    if not messages or messages[-1].role == "assistant":
        raise InvalidRequestError(
            "the last message must come from the user or a tool; an answer cannot be prefilled",
            param=_field(places),
        )
    stored = len(messages) - len(places)
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        place = places[index - stored] if index >= stored else "the stored conversation"
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                id_field = "call_id" if place.startswith("input") else "tool_call_id"
                raise InvalidRequestError(
                    f"{place}: no tool call {message.tool_call_id!r} waits for a result",
                    param=f"{place}.{id_field}",
                )
            open_calls.discard(message.tool_call_id)
            continue
        if open_calls:
            raise _open_calls(open_calls, f"before {place}", places)
        open_calls = {call.id for call in message.tool_calls}
    if open_calls:
        raise _open_calls(open_calls, "at the end", places)


def may_answer_in_text(body: dict[str, Any]) -> bool:
    """Whether the model is free to answer without a tool call; a JSON schema is for that answer."""
    choice: dict[str, Any] = body.get("tool_choice") or {}
    return choice.get("type") in (None, "auto")


def sampling(temperature: float | None, top_p: float | None) -> tuple[dict[str, float], list[str]]:
    """The two as the API takes them, and the names of those that are not what was asked for.

    Its temperatures end at 1, and newer models take only one of the two: of OpenAI's clients many
    send both, with 1 for the one that they do not mean.
    """
    given = {"temperature": temperature, "top_p": top_p}
    body = {name: min(1.0, value) for name, value in given.items() if value is not None}
    unmet = ["temperature"] if temperature is not None and temperature > 1 else []
    if len(body) == 2:
        left_out = "temperature" if body["temperature"] == 1 and body["top_p"] != 1 else "top_p"
        if body.pop(left_out) != 1:
            unmet.append(left_out)
    return body, unmet


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


def _open_calls(calls: set[str], where: str, places: Sequence[str]) -> InvalidRequestError:
    names = ", ".join(sorted(calls))
    return InvalidRequestError(
        f"{where} the results of the tool calls {names} are missing", param=_field(places)
    )


def _field(places: Sequence[str]) -> str:
    """The field of the body that holds the conversation."""
    return places[0].partition(".")[0] if places else "messages"
