"""How long suspects may have to go: what is valid, wherever it is written."""

from __future__ import annotations

__all__ = ["VALID_GRACE", "is_grace", "read_grace"]

_LONGEST = 3600
VALID_GRACE = f"seconds from 0 to {_LONGEST}"


def is_grace(value: object) -> bool:
    """Return whether a value is a number of seconds that can be waited."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= value <= _LONGEST  # type: ignore[operator]


def read_grace(text: str) -> float:
    """Read a number of seconds.

    Raises:
        ValueError: it is none, or too large; says what is valid.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not is_grace(value):
        raise ValueError(f"{VALID_GRACE}, e.g. 0.5")
    return value
