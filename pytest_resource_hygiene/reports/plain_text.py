"""Text that somebody else chose, made fit to be shown: a thread's name may hold anything."""

from __future__ import annotations

import re

__all__ = ["one_line", "visible"]

# What a terminal or browser would act on rather than show: control characters, lone surrogates of
# undecodable bytes, and the marks that turn the direction of writing.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    """Return text in which characters that act are written as escapes; line ends stay."""
    return _HIDDEN.sub(_escape, text)


def one_line(text: str) -> str:
    r"""Do as `visible`, and write line ends as ``\n``."""
    return visible(text).replace("\n", r"\n")


def _escape(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]
