"""Rows of the table that is printed, and the figures in them."""

from __future__ import annotations

import statistics
from itertools import combinations

MIB = 1 << 20
Row = tuple[str, str, str, bool]
Rows = list[Row]


def slope(points: list[tuple[float, float]]) -> float:
    """The median of the slopes between all pairs: single outliers do not move it."""
    thinned = points[:: max(1, len(points) // 200)]
    return statistics.median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(thinned, 2))


def ms(seconds: float) -> str:
    """Seconds in milliseconds."""
    return f"{seconds * 1000:.1f} ms"


def mib(name: str, size: int) -> tuple[str, str, str, bool]:
    """A row of memory."""
    return f"memory: {name}", f"{size / MIB:.1f} MiB", "< 100 MiB", size < 100 * MIB
