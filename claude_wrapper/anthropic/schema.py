"""The messages request as Anthropic documents it, checked field by field."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from claude_wrapper.wire.validation import MOST_TOKENS, Lenient, validate

__all__ = [
    "AssistantTurn",
    "CountRequest",
    "ImageBlock",
    "MessagesRequest",
    "SystemTurn",
    "TextBlock",
    "ThinkingBlock",
    "ToolChoice",
    "ToolResultBlock",
    "ToolUseBlock",
    "UserTurn",
    "parse_count_request",
    "parse_messages_request",
]

BASE64 = r"^[A-Za-z0-9+/=\s]+$"


class TextBlock(Lenient):
    """Text."""

    type: Literal["text"]
    text: str


class Base64Source(Lenient):
    """An image inside the request."""

    type: Literal["base64"]
    media_type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"]
    data: str = Field(pattern=BASE64)


class UrlSource(Lenient):
    """An image that the API fetches."""

    type: Literal["url"]
    url: str = Field(pattern=r"^https?://")


class ImageBlock(Lenient):
    """An image."""

    type: Literal["image"]
    source: Annotated[Base64Source | UrlSource, Field(discriminator="type")]


class ToolUseBlock(Lenient):
    """A call that the model made earlier."""

    type: Literal["tool_use"]
    id: str = Field(min_length=1)
    name: str
    input: dict[str, Any]


class ToolResultBlock(Lenient):
    """What came of a call."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: str | list[Annotated[TextBlock | ImageBlock, Field(discriminator="type")]] = ""
    is_error: bool | None = None


class ThinkingBlock(Lenient):
    """What the model thought earlier; it is not shown to it again."""

    type: Literal["thinking", "redacted_thinking"]


UserBlock = Annotated[TextBlock | ImageBlock | ToolResultBlock, Field(discriminator="type")]
AssistantBlock = Annotated[TextBlock | ToolUseBlock | ThinkingBlock, Field(discriminator="type")]


class UserTurn(Lenient):
    """What the user says, and the results of calls."""

    role: Literal["user"]
    content: str | list[UserBlock]


class AssistantTurn(Lenient):
    """What the model said earlier."""

    role: Literal["assistant"]
    content: str | list[AssistantBlock]


class SystemTurn(Lenient):
    """Instructions between the turns; they are added to the system prompt."""

    role: Literal["system"]
    content: str | list[TextBlock]


Turn = Annotated[UserTurn | AssistantTurn | SystemTurn, Field(discriminator="role")]


class Tool(Lenient):
    """A tool of the client; those that run at Anthropic's have another type."""

    type: str | None = None
    name: str = Field(default="", pattern=r"^[a-zA-Z0-9_-]{0,64}$")
    description: str | None = None
    input_schema: dict[str, Any] | None = None


class ToolChoice(Lenient):
    """Whether and which tool must be called."""

    type: Literal["auto", "any", "tool", "none"]
    name: str = ""
    disable_parallel_tool_use: bool = False


class OutputFormat(Lenient):
    """A JSON schema that the answer must follow."""

    type: Literal["json_schema"]
    json_schema: dict[str, Any] = Field(alias="schema")


class OutputConfig(Lenient):
    """How the answer must look."""

    format: OutputFormat | None = None


class CountRequest(Lenient):
    """The body of `POST /v1/messages/count_tokens`."""

    model: str = Field(min_length=1)
    messages: list[Turn] = Field(min_length=1)
    system: str | list[TextBlock] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None


class MessagesRequest(CountRequest):
    """The body of `POST /v1/messages`; unknown fields are kept and named."""

    max_tokens: int = Field(ge=1, le=MOST_TOKENS)
    stream: bool | None = False
    stop_sequences: list[str] | None = None
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    output_config: OutputConfig | None = None
    session_id: str | None = Field(default=None, min_length=1, max_length=200)


EXAMPLE = '{"model": …, "max_tokens": …, "messages": […]}'


def parse_messages_request(document: Any) -> MessagesRequest:
    """Check a body.

    Raises:
        InvalidRequestError: A field is wrong; the message says which.
    """
    return validate(MessagesRequest, document, example=EXAMPLE)


def parse_count_request(document: Any) -> CountRequest:
    """Check a body.

    Raises:
        InvalidRequestError: A field is wrong; the message says which.
    """
    return validate(CountRequest, document, example='{"model": …, "messages": […]}')
