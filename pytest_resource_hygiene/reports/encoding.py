"""JSON text: with indentation where a person might read it, compact where nobody will."""

from __future__ import annotations

import json

__all__ = ["json_text"]

_READABLE = 1_000


def json_text(value: object, entries: int, *, ensure_ascii: bool = True) -> str:
    """Return JSON with a final line end.

    Indentation takes Python's slow encoder: 20 s and 1.8 GB instead of 3 s for 32,000 results.

    Args:
        value: what to write.
        entries: how many entries it has; few are indented.
        ensure_ascii: escape all that is not ASCII.
    """
    indent = 1 if entries <= _READABLE else None
    return json.dumps(value, indent=indent, ensure_ascii=ensure_ascii) + "\n"
