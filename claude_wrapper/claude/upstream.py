"""What the API refused, told to our client as the API told it. Pure."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from claude_wrapper.errors import CliFailedError, UnauthorizedError, UpstreamError, WrapperError

if TYPE_CHECKING:
    from claude_wrapper.claude.events import ResultEvent

__all__ = ["upstream_error"]

# The CLI does not pass the API's own retry-after on.
RETRY_AFTER = {429: 30.0, 529: 10.0, 503: 10.0}
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
