"""From a responses request to a turn: what is carried, refused, or ignored. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_wrapper.errors import InvalidRequestError
from claude_wrapper.model import ChatTurn, ToolSpec
from claude_wrapper.responses.items import CUSTOM_INPUT, instructions_of, placed_messages
from claude_wrapper.responses.schema import AllowedTools, NamedTool
from claude_wrapper.wire.rules import check_model, may_answer_in_text, not_honoured, sampling
from claude_wrapper.wire.schemas import answer_schema, check_tool_names, tool_schema

if TYPE_CHECKING:
    from claude_wrapper.model import Message
    from claude_wrapper.responses.schema import ResponsesRequest, Tool

__all__ = ["custom_tools", "translate"]

# Books, caching and what is left out anyway: nothing in the answer depends on them.
HARMLESS = frozenset(
    ["client_metadata", "prompt_cache_key", "prompt_cache_options",
     "prompt_cache_retention", "safety_identifier", "stream_options"]
)  # fmt: skip
# The answer would not be what was asked for.
REFUSED = {
    "background": "answers are not made in the background; stream them instead",
    "conversation": "conversations are continued with previous_response_id or session_id",
    "prompt": "prompts stored elsewhere cannot be reached; send the text as instructions",
    "top_logprobs": "the CLI tells no probabilities",
}
LOGPROBS = "message.output_text.logprobs"
OWN_TYPES = ("function", "custom")


def translate(
    request: ResponsesRequest, earlier: tuple[Message, ...] = (), earlier_system: str = ""
) -> ChatTurn:
    """Translate a request.

    Args:
        request: The body.
        earlier: The conversation that it continues.
        earlier_system: The instructions that stood in there.

    Raises:
        InvalidRequestError: Something asked for cannot be honoured; `param` says what.
        NotFoundError: The model's name is none of Claude's.
    """
    check_model(request.model)
    _refuse_what_changes_the_answer(request)
    system = (request.instructions or "", earlier_system, instructions_of(request))
    body, schema = _body(request), _schema(request)
    placed = placed_messages(request)
    return ChatTurn(
        model=request.model,
        system="\n\n".join(text for text in system if text),
        messages=(*earlier, *(message for _, message in placed)),
        tools=_tools(request),
        max_tokens=request.max_output_tokens,
        body=body,
        json_schema=schema if may_answer_in_text(body) else None,
        ignored=_ignored(request),
        places=tuple(place for place, _ in placed),
    )


def custom_tools(request: ResponsesRequest) -> frozenset[str]:
    """The names of the tools that take free text."""
    return frozenset(tool.name for tool in request.tools or () if tool.type == "custom")


def _tools(request: ResponsesRequest) -> tuple[ToolSpec, ...]:
    choice = request.tool_choice
    if choice == "none":
        return ()
    tools = tuple(
        _tool(tool, f"tools.{index}.parameters")
        for index, tool in enumerate(request.tools or ())
        if tool.type in OWN_TYPES
    )
    check_tool_names(tools)
    if isinstance(choice, AllowedTools):
        allowed = {tool.name for tool in choice.tools}
        tools = tuple(tool for tool in tools if tool.name in allowed)
    return tools


def _tool(tool: Tool, param: str) -> ToolSpec:
    if not tool.name:
        raise InvalidRequestError("a tool has no name", param="tools")
    description = tool.description or ""
    if tool.type == "function":
        schema = tool_schema(tool.parameters, param)
        return ToolSpec(name=tool.name, description=description, parameters=schema)
    if tool.format is not None and tool.format.definition:
        description += (
            f"\n\nThe input follows this {tool.format.syntax} grammar:\n{tool.format.definition}"
        )
    text = {"type": "string", "description": "The whole input, as it is."}
    schema = {"type": "object", "properties": {CUSTOM_INPUT: text}, "required": [CUSTOM_INPUT]}
    return ToolSpec(name=tool.name, description=description.strip(), parameters=schema)


def _body(request: ResponsesRequest) -> dict[str, Any]:
    fields: dict[str, Any] = {
        **sampling(request.temperature, request.top_p)[0],
        "tool_choice": _tool_choice(request),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _tool_choice(request: ResponsesRequest) -> dict[str, Any] | None:
    choice = request.tool_choice
    names = [tool.name for tool in _tools(request)]
    serial = {"disable_parallel_tool_use": True} if request.parallel_tool_calls is False else {}
    if isinstance(choice, NamedTool):
        forced = {"type": "tool", "name": choice.name}
    elif choice == "required" or (isinstance(choice, AllowedTools) and choice.mode == "required"):
        forced = {"type": "any"}
    else:
        return {"type": "auto", **serial} if serial and names else None
    if not names or forced.get("name", names[0]) not in names:
        raise InvalidRequestError(
            f"tool_choice wants {forced.get('name', 'a tool')!r}; the functions and custom tools "
            f"to choose from are {', '.join(names) or 'none'}",
            param="tool_choice",
        )
    return {**forced, **serial}


def _schema(request: ResponsesRequest) -> dict[str, Any] | None:
    wanted = request.text.format if request.text is not None else None
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {"type": "object"}
    if wanted.json_schema is None:
        raise InvalidRequestError("text.format.schema is missing", param="text.format.schema")
    return answer_schema(wanted.json_schema, "text.format.schema")


def _refuse_what_changes_the_answer(request: ResponsesRequest) -> None:
    extra = request.model_extra or {}
    for name, reason in REFUSED.items():
        if extra.get(name):
            raise InvalidRequestError(f"{name}: {reason}", param=name)
    if LOGPROBS in (request.include or ()):
        raise InvalidRequestError(f"include: {REFUSED['top_logprobs']}", param="include")


def _ignored(request: ResponsesRequest) -> tuple[str, ...]:
    names = not_honoured(request.model_extra, HARMLESS)
    # Tools that would run at OpenAI's are not offered: the model then does without them.
    hosted = {tool.type for tool in request.tools or () if tool.type not in OWN_TYPES}
    names += [f"tools.{kind}" for kind in hosted]
    if request.text is not None:
        names += [f"text.{name}" for name in not_honoured(request.text.model_extra, frozenset())]
    names += sampling(request.temperature, request.top_p)[1]
    if request.truncation == "auto":
        names.append("truncation")
    return tuple(sorted(names))
