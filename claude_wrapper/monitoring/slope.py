"""The slope of noisy measurements, robust against outliers and steps. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Trend", "trend"]

# A single step makes up to half of all pairs rise, a leak makes nearly all of them rise.
CAUTIOUS_SHARE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Slopes in units per second.

    Attributes:
        slope: The median over all pairs of points (Theil-Sen).
        at_least: What seven in ten pairs reach; near zero after a single step.
    """

    slope: float
    at_least: float


def trend(points: Sequence[tuple[float, float]]) -> Trend:
    """The trend of `(seconds, value)` points; zero for fewer than two."""
    slopes = sorted(
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for number, earlier in enumerate(points)
        for later in points[number + 1 :]
        if later[0] > earlier[0]
    )
    if not slopes:
        return Trend(slope=0.0, at_least=0.0)
    middle = len(slopes) // 2
    median = slopes[middle] if len(slopes) % 2 else (slopes[middle - 1] + slopes[middle]) / 2
    return Trend(slope=median, at_least=slopes[int(len(slopes) * CAUTIOUS_SHARE)])
