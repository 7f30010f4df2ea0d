"""JSON as bytes, for text that UTF-8 alone cannot hold."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse

__all__ = ["JsonAnswer", "encode_json"]


class JsonAnswer(JSONResponse):
    """An answer in JSON; half a surrogate pair inside a text does not break it."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return encode_json(content)


def encode_json(document: Any) -> bytes:
    """Compact JSON. Text is written as it is, or escaped where UTF-8 has no bytes for it."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        # A character split between two pieces of a stream: escaped, the halves find each other.
        return json.dumps(document, separators=(",", ":")).encode()
