"""Whether the model may think before it answers. Pure.

The CLI has it think by itself, and the API refuses that beside other sampling than its default and
beside a forced tool call; nor may it be asked to think for more tokens than the answer may have.
See "Extended thinking" in the documentation of the Messages API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claude_wrapper.model import TurnRequest

__all__ = ["must_not_think"]

# Tokens. The CLI lets a model think for as many, or for all but one of those it may answer in: with
# fewer nothing may be left for the answer.
LONGEST_THOUGHT = 32_000


def must_not_think(request: TurnRequest) -> bool:
    """Whether the request could not be answered, or only with a thought."""
    body = request.body
    is_sampled = body.get("temperature", 1) != 1 or body.get("top_p", 1) != 1 or "top_k" in body
    is_forced = (body.get("tool_choice") or {}).get("type") in ("any", "tool")
    is_short = request.max_tokens is not None and request.max_tokens < LONGEST_THOUGHT
    return is_sampled or is_forced or is_short
