"""Every error as OpenAI's error object. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from claude_wrapper.errors import WrapperError

__all__ = ["error_body", "error_headers"]


def error_body(error: WrapperError) -> dict[str, Any]:
    """The body of an error answer, or the data of an error event in a stream."""
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
        }
    }


def error_headers(error: WrapperError) -> dict[str, str]:
    """`Retry-After` in whole seconds where another try makes sense, `WWW-Authenticate` on 401."""
    headers = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    if error.http_status == 401:
        headers["www-authenticate"] = "Bearer"
    return headers
