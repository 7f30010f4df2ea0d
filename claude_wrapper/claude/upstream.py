"""What the API refused, told to our client as the API told it. Pure."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from claude_wrapper.errors import (
    CONTEXT_LENGTH,
    CliFailedError,
    InvalidRequestError,
    UnauthorizedError,
    UpstreamError,
    WrapperError,
)

if TYPE_CHECKING:
    from claude_wrapper.claude.events import ResultEvent

__all__ = ["upstream_error"]

# The CLI does not pass the API's own retry-after on.
RETRY_AFTER = {429: 30.0, 529: 10.0, 503: 10.0}
# The CLI says so of itself, before it asks, and the API in more words. Agents shorten their history
# when they see OpenAI's code for it, and give up on anything else.
TOO_LONG = re.compile(
    r"prompt is too long|exceeds? (?:the )?context (?:limit|window)", re.IGNORECASE
)
# The CLI looks at images before it asks: there is no answer of the API to pass on.
TOO_LARGE = re.compile(r"\bimage\b.*\b(?:exceeds?|too large)\b", re.IGNORECASE)
PREFIX = re.compile(r"^API Error:\s*(?:\d{3}\s*)?")


def upstream_error(result: ResultEvent, resets_at: float | None) -> WrapperError:
    """The error for a turn that ended with `is_error`.

    Args:
        result: The end of the turn.
        resets_at: Unix time at which a limit is lifted, where the CLI has said so.
    """
    text = PREFIX.sub("", result.text).strip() or result.terminal_reason or "no reason given"
    status = result.api_status
    if status is None and "/login" in text:
        return UnauthorizedError(
            f"the Claude CLI is not logged in ({text}); set ANTHROPIC_API_KEY or "
            "CLAUDE_CODE_OAUTH_TOKEN for the server"
        )
    if status in (None, 400, 413) and TOO_LONG.search(text):
        return InvalidRequestError(text, param="messages", code=CONTEXT_LENGTH)
    if status is None and TOO_LARGE.search(text):
        return InvalidRequestError(text, param="messages")
    if status is None:
        return CliFailedError(f"the CLI gave up: {text}")
    return UpstreamError(
        f"the Anthropic API answered {status}: {text}",
        http_status=status if 400 <= status < 600 else 502,
        retry_after=_retry_after(status, resets_at),
    )


def _retry_after(status: int, resets_at: float | None) -> float | None:
    if status == 429 and resets_at is not None and resets_at > time.time():
        return resets_at - time.time()
    return RETRY_AFTER.get(status)
