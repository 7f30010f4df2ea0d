"""The chat completion request as OpenAI documents it, checked field by field."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from claude_wrapper.wire.validation import MOST_TOKENS, Lenient, validate

__all__ = [
    "AssistantMessage",
    "ChatRequest",
    "ChatTool",
    "InputMessage",
    "SystemMessage",
    "ToolMessage",
    "UserMessage",
    "parse_request",
]


class ImageUrl(Lenient):
    """Where an image is: a data: URL or an http(s) one."""

    url: str


class TextContent(Lenient):
    """A text part."""

    type: Literal["text"]
    text: str


class ImageContent(Lenient):
    """An image part."""

    type: Literal["image_url"]
    image_url: ImageUrl


Content = Annotated[TextContent | ImageContent, Field(discriminator="type")]


class RefusalContent(Lenient):
    """An earlier refusal of the model, sent back as history."""

    type: Literal["refusal"]
    refusal: str


AssistantContent = Annotated[TextContent | RefusalContent, Field(discriminator="type")]


class SystemMessage(Lenient):
    """Instructions."""

    role: Literal["system", "developer"]
    content: str | list[TextContent]


class UserMessage(Lenient):
    """What the user says."""

    role: Literal["user"]
    content: str | list[Content]


class FunctionCall(Lenient):
    """Name and JSON arguments of a call."""

    name: str
    arguments: str = "{}"


class ChatToolCall(Lenient):
    """A call the model made earlier."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class AssistantMessage(Lenient):
    """What the model said earlier."""

    role: Literal["assistant"]
    content: str | list[AssistantContent] | None = None
    refusal: str | None = None
    tool_calls: list[ChatToolCall] | None = None


class ToolMessage(Lenient):
    """The result of a call."""

    role: Literal["tool"]
    tool_call_id: str
    content: str | list[Content]


InputMessage = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


class FunctionSpec(Lenient):
    """A function of the client."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ChatTool(Lenient):
    """A tool of the client; only functions can be offered."""

    type: Literal["function"]
    function: FunctionSpec


class NamedFunction(Lenient):
    """The function that must be called."""

    name: str


class NamedChoice(Lenient):
    """A tool choice that names a function."""

    type: Literal["function"]
    function: NamedFunction


class SchemaSpec(Lenient):
    """A named JSON schema; OpenAI calls the field `schema`."""

    name: str
    json_schema: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(Lenient):
    """How the answer must look."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaSpec | None = None


class StreamOptions(Lenient):
    """Options of a stream."""

    include_usage: bool = False


class ChatRequest(Lenient):
    """The body of `POST /v1/chat/completions`; unknown fields are kept and named."""

    model: str = Field(min_length=1)
    messages: list[InputMessage] = Field(min_length=1)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop: str | list[str] | None = None
    n: int | None = None
    tools: list[ChatTool] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    session_id: str | None = Field(default=None, min_length=1, max_length=200)


def parse_request(document: Any) -> ChatRequest:
    """Check a body.

    Raises:
        InvalidRequestError: A field is wrong; `param` says which.
    """
    return validate(ChatRequest, document, example='{"model": …, "messages": […]}')
