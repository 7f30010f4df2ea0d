"""What the command's exit statuses mean."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Exit"]


class Exit(IntEnum):
    """Exit statuses, the same for every command."""

    CLEAN = 0
    LEAKS = 1
    USAGE = 2
    TROUBLE = 3
    INTERRUPTED = 130
