"""Every error as Anthropic's error object. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from claude_wrapper.errors import WrapperError

__all__ = ["NO_THREADS", "anthropic_error_body"]

# Anthropic's clients send the whole conversation when they see this code.
NO_THREADS = "thread_unsupported_request"

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def anthropic_error_body(error: WrapperError, request_id: str) -> dict[str, Any]:
    """The body of an error answer, or the data of an error event in a stream."""
    kind = TYPES.get(error.http_status, "api_error")
    details = {"details": {"error_code": NO_THREADS}} if error.code == NO_THREADS else {}
    return {
        "type": "error",
        "error": {"type": kind, "message": error.message, **details},
        "request_id": request_id,
    }
