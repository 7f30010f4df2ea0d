"""The answer to a request that failed, in the words of the dialect that the path belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_wrapper.anthropic.error_body import anthropic_error_body
from claude_wrapper.openai.error_body import error_body, error_headers
from claude_wrapper.wire.json_answer import JsonAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Scope

    from claude_wrapper.errors import WrapperError

__all__ = ["error_response"]

ANTHROPIC_PATH = "/v1/messages"


def error_response(
    scope: Scope,
    error: WrapperError,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> JsonAnswer:
    """Anthropic's error object under `/v1/messages`, OpenAI's everywhere else.

    Args:
        scope: The connection; its path chooses.
        error: What went wrong.
        status: The HTTP status, where it is not the one of the error.
        headers: More headers for the answer.
    """
    path = scope["path"]
    if path == ANTHROPIC_PATH or path.startswith(f"{ANTHROPIC_PATH}/"):
        request_id = scope.get("state", {}).get("request_id", "")
        body = anthropic_error_body(error, request_id)
        headers = {**(headers or {}), "request-id": request_id}
    else:
        body = error_body(error)
    all_headers = {**error_headers(error), **(headers or {})}
    return JsonAnswer(body, status or error.http_status, all_headers)
