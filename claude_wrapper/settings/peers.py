"""Variables of other wrappers that mean the same as a setting of ours, in other words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from claude_wrapper.settings.parse import flag

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["peer_value"]

# Nobody waits less than a second for a model, and hardly anyone longer than a quarter of an hour.
LEAST_MILLISECONDS = 1000


def peer_value(variable: str, environ: Mapping[str, str]) -> str | None:
    """What a peer's variable says in our words; None when it is not set, empty, or says nothing.

    Raises:
        SettingsError: It holds nothing that the peer would understand either.
    """
    raw = environ.get(variable, "").strip()
    if not raw:
        return None
    translate = _WORDS.get(variable)
    return translate(raw) if translate is not None else raw


def _debug(raw: str) -> str | None:
    return "debug" if flag(raw) else None


def _milliseconds(raw: str) -> str:
    """Their code takes milliseconds, their manual says seconds; the size of the number tells."""
    is_large = re.fullmatch(r"[0-9]+", raw) and int(raw[:9]) >= LEAST_MILLISECONDS
    return f"{raw}ms" if is_large else raw


_WORDS: dict[str, Callable[[str], str | None]] = {
    "DEBUG_MODE": _debug,
    "VERBOSE": _debug,
    "MAX_TIMEOUT": _milliseconds,
}
