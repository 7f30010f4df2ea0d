"""An estimate of input tokens. The CLI has no way to ask the API for the true count. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import struct
from typing import TYPE_CHECKING

from claude_wrapper.model import ImagePart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_wrapper.model import Message, Part, ToolSpec

__all__ = ["estimate_tokens"]

# Rough means over English prose, code and JSON; scripts without spaces cost about one a character.
LETTERS_PER_TOKEN = 4.0
PER_MESSAGE = 4
PER_TOOL = 30
TOOLS_PROMPT = 300
PIXELS_PER_TOKEN = 750
# The API scales larger images down, so none costs more; one of unknown size is taken as large.
MOST_PER_IMAGE = 1600
PNG_HEADER = struct.Struct(">16xII")
WORD = re.compile(r"[A-Za-z]+|[0-9]+|[^\sA-Za-z0-9]")


def estimate_tokens(
    system: str, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
) -> int:
    """About how many input tokens the API would count; expect 20 % more or less."""
    count = PER_MESSAGE * len(messages) + _text(system)
    for message in messages:
        count += sum(map(_part, message.parts))
        count += sum(PER_MESSAGE + _text(c.name) + _text(c.arguments) for c in message.tool_calls)
    if tools:
        count += TOOLS_PROMPT + sum(map(_tool, tools))
    return count


def _text(text: str) -> int:
    return sum(math.ceil(len(word) / LETTERS_PER_TOKEN) for word in WORD.findall(text))


def _tool(tool: ToolSpec) -> int:
    return PER_TOOL + _text(tool.name + tool.description + json.dumps(tool.parameters))


def _part(part: Part) -> int:
    return _image(part) if isinstance(part, ImagePart) else _text(part.text)


def _image(image: ImagePart) -> int:
    if image.media_type != "image/png":
        return MOST_PER_IMAGE
    try:
        width, height = PNG_HEADER.unpack(base64.b64decode(image.data[:32]))
    except (binascii.Error, struct.error):
        return MOST_PER_IMAGE
    return min(MOST_PER_IMAGE, int(width * height / PIXELS_PER_TOKEN) + 1)
