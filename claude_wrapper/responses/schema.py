"""The responses request as OpenAI documents it, as far as it can be honoured."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from claude_wrapper.wire.validation import MOST_TOKENS, Lenient, validate

__all__ = [
    "CallItem",
    "CallOutputItem",
    "CustomCallItem",
    "ImagePartIn",
    "InputItem",
    "MessageItem",
    "ReasoningItem",
    "ResponsesRequest",
    "TextPartIn",
    "Tool",
    "parse_responses_request",
]


class TextPartIn(Lenient):
    """Text, of the user or of an earlier answer."""

    type: Literal["input_text", "output_text", "text"]
    text: str


class RefusalPartIn(Lenient):
    """An earlier refusal of the model."""

    type: Literal["refusal"]
    refusal: str


class ImagePartIn(Lenient):
    """An image; files uploaded elsewhere cannot be reached."""

    type: Literal["input_image"]
    image_url: str


PartIn = Annotated[TextPartIn | ImagePartIn | RefusalPartIn, Field(discriminator="type")]


class MessageItem(Lenient):
    """A message; its type may be left out."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[PartIn]


class CallItem(Lenient):
    """A call that the model made earlier."""

    type: Literal["function_call"]
    call_id: str = Field(min_length=1)
    name: str
    arguments: str = "{}"


class CustomCallItem(Lenient):
    """A call of a tool with free text as input."""

    type: Literal["custom_tool_call"]
    call_id: str = Field(min_length=1)
    name: str
    input: str


class CallOutputItem(Lenient):
    """What came of a call."""

    type: Literal["function_call_output", "custom_tool_call_output"]
    call_id: str = Field(min_length=1)
    output: str | list[PartIn]


class ReasoningItem(Lenient):
    """What the model thought earlier; it is not shown to it again."""

    type: Literal["reasoning"]


def _kind(item: Any) -> str:
    if isinstance(item, Lenient):
        return str(getattr(item, "type", ""))
    return str(item.get("type") or "message") if isinstance(item, dict) else ""


InputItem = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[CustomCallItem, Tag("custom_tool_call")]
    | Annotated[CallOutputItem, Tag("function_call_output")]
    | Annotated[CallOutputItem, Tag("custom_tool_call_output")]
    | Annotated[ReasoningItem, Tag("reasoning")],
    Discriminator(
        _kind,
        custom_error_type="item_type",
        custom_error_message="Input should be an object with one of the types message, "
        "function_call, function_call_output, custom_tool_call, custom_tool_call_output, reasoning",
    ),
]


class ToolFormat(Lenient):
    """What the input of a custom tool looks like."""

    type: Literal["text", "grammar"]
    syntax: str = ""
    definition: str = ""


class Tool(Lenient):
    """A function or custom tool of the client; other types would run at OpenAI's."""

    type: str
    name: str = Field(default="", pattern=r"^[a-zA-Z0-9_-]{0,64}$")
    description: str | None = None
    parameters: dict[str, Any] | None = None
    format: ToolFormat | None = None


class NamedTool(Lenient):
    """A tool of the client by its name."""

    type: Literal["function", "custom"]
    name: str


class AllowedTools(Lenient):
    """Some of the tools, for this answer only."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[NamedTool]


class TextFormat(Lenient):
    """Plain text, or JSON in a schema."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")


class TextConfig(Lenient):
    """How the text must look."""

    format: TextFormat | None = None


class ResponsesRequest(Lenient):
    """The body of `POST /v1/responses`; unknown fields are kept and named."""

    model: str = Field(min_length=1)
    # The bound stands outside: one on the text alone would refuse half a surrogate pair.
    input: str | list[InputItem] = Field(min_length=1)
    instructions: str | None = None
    stream: bool | None = False
    store: bool | None = True
    previous_response_id: str | None = None
    include: list[str] | None = None
    max_output_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    tools: list[Tool] | None = None
    tool_choice: (
        Literal["auto", "none", "required"]
        | Annotated[NamedTool | AllowedTools, Field(discriminator="type")]
        | None
    ) = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: dict[str, Any] | None = None
    user: str | None = None
    session_id: str | None = Field(default=None, min_length=1, max_length=200)


def parse_responses_request(document: Any) -> ResponsesRequest:
    """Check a body.

    Raises:
        InvalidRequestError: A field is wrong; `param` says which.
    """
    return validate(ResponsesRequest, document, example='{"model": …, "input": …}')
