"""An estimate of input tokens. The CLI has no way to ask the API for the true count. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import struct
from typing import TYPE_CHECKING

from claude_wrapper.model import ImagePart, TextPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_wrapper.model import Message, ToolSpec

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
# Characters of a request that are read, of each text at least, and in how many slices.
MOST_READ = 500_000
LEAST_READ = 200
MOST_SLICES = 50
WORD = re.compile(r"[A-Za-z]+|[0-9]+|[^\sA-Za-z0-9]")


def estimate_tokens(
    system: str, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()
) -> int:
    """About how many input tokens the API would count; expect 20 % more or less.

    Of more than half a million characters only samples are looked at: the whole of a request may
    be 32 MiB, and nothing else runs meanwhile.
    """
    described = [tool.name + tool.description + json.dumps(tool.parameters) for tool in tools]
    parts = [part for message in messages for part in message.parts]
    calls = [call for message in messages for call in message.tool_calls]
    texts = [
        system,
        *described,
        *(part.text for part in parts if isinstance(part, TextPart)),
        *(text for call in calls for text in (call.name, call.arguments)),
    ]
    rate = min(1.0, MOST_READ / max(1, sum(map(len, texts))))
    count = sum(_text(text, rate) for text in texts)
    count += PER_MESSAGE * (len(messages) + len(calls))
    count += sum(_image(part) for part in parts if isinstance(part, ImagePart))
    return count + (TOOLS_PROMPT + PER_TOOL * len(tools) if tools else 0)


def _text(text: str, rate: float) -> int:
    """The tokens of a text, of which only a share is read, in slices from all over it."""
    read = max(LEAST_READ, int(len(text) * rate))
    if read >= len(text):
        return _words(text)
    slices = min(MOST_SLICES, read // LEAST_READ)
    width, step = read // slices, len(text) // slices
    counted = sum(_words(text[at : at + width]) for at in range(0, slices * step, step))
    return round(counted * len(text) / (slices * width))


def _words(text: str) -> int:
    return sum(math.ceil(len(word) / LETTERS_PER_TOKEN) for word in WORD.findall(text))


def _image(image: ImagePart) -> int:
    if image.media_type != "image/png":
        return MOST_PER_IMAGE
    try:
        width, height = PNG_HEADER.unpack(base64.b64decode(image.data[:32]))
    except (binascii.Error, struct.error):
        return MOST_PER_IMAGE
    return min(MOST_PER_IMAGE, int(width * height / PIXELS_PER_TOKEN) + 1)
