"""Blanks what looks like a secret, and secrets that are known, in text that others will read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["redacted", "secrets_in"]

# The expression costs two milliseconds on a long line; most lines hold none of these.
MARKS = ("sk-", "bearer", "authorization", "x-api-key", "cookie")
SECRETS = re.compile(
    r"(?i)(sk-(?:ant-)?[\w-]{4})[\w-]{8,}"
    r"|(bearer\s+)[^\s'\",}]+"
    r"|((?:authorization|x-api-key|cookie)['\"]?\s*[:=]\s*['\"]?(?:bearer\s+)?)[^\s'\",}]+"
)
# Parts of the names of variables that hold what nobody else is to know.
SECRET_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL")
# Shorter values are words such as "1" and "true", and would be blanked everywhere.
SHORTEST = 8


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with every secret blanked.

    Args:
        text: A line of a log, or what another program has printed.
        secrets: Those that are known.
    """
    for secret in secrets:
        text = text.replace(secret, "[redacted]")
    lowered = text.lower()
    if any(mark in lowered for mark in MARKS):
        text = SECRETS.sub(lambda match: f"{match[1] or match[2] or match[3]}[redacted]", text)
    return text


def secrets_in(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values of variables whose names say that they are secret, the longest first."""
    found = {
        value
        for name, value in environment.items()
        if len(value) >= SHORTEST and any(part in name.upper() for part in SECRET_NAMES)
    }
    return tuple(sorted(found, key=len, reverse=True))
