"""Measurements in rolling windows: bounded by number of names, of samples, and by age."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from claude_wrapper.monitoring.samples import SampleRing

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OTHER", "RollingWindows", "Totals", "WindowStats"]

# Where measurements go whose names came after the bound was reached.
OTHER = "__other__"
MAX_NAMES = 200
MAX_SAMPLES = 1000
RETENTION = 3600.0


@dataclass(slots=True)
class Totals:
    """What is counted for ever, apart from the window: measurements, failures, sum of values."""

    count: int = 0
    failed: int = 0
    total: float = 0.0


@dataclass(slots=True)
class _Window:
    samples: SampleRing
    lifetime: Totals = field(default_factory=Totals)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowStats:
    """One window in figures; values are in the unit that was recorded, `success` is a share."""

    count: int
    avg: float
    min: float
    max: float
    p50: float
    p95: float
    p99: float
    success: float


class RollingWindows:
    """Windows by name.

    Args:
        names: Most names kept apart; what comes later is counted under `__other__`.
        samples: Most measurements in one window.
        retention: Seconds after which a measurement no longer counts.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        names: int = MAX_NAMES,
        samples: int = MAX_SAMPLES,
        retention: float = RETENTION,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._names = names
        self._samples = samples
        self._retention = retention
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names with a window, in the order of their first measurement."""
        return tuple(self._windows)

    @property
    def sample_count(self) -> int:
        """All measurements held now."""
        return sum(len(window.samples) for window in self._windows.values())

    def record(self, name: str, value: float, *, ok: bool = True) -> None:
        """Add one measurement."""
        window = self._windows.get(name) or self._open(name)
        window.samples.append(self._clock(), value, ok=ok)
        window.lifetime.count += 1
        window.lifetime.failed += not ok
        window.lifetime.total += value

    def stats(self, name: str, *, within: float | None = None) -> WindowStats | None:
        """The figures of a window, or None when nothing in it counts.

        Args:
            name: Which one.
            within: Only the last so many seconds; the whole retention by default.
        """
        window = self._windows.get(name)
        if window is None:
            return None
        since = self._clock() - (self._retention if within is None else within)
        return _stats(window.samples.newer_than(since))

    def totals(self, name: str) -> Totals:
        """The lifetime counters of a name."""
        window = self._windows.get(name)
        return window.lifetime if window is not None else Totals()

    def prune(self) -> int:
        """Drop what is too old; how many measurements that were."""
        since = self._clock() - self._retention
        return sum(window.samples.drop_until(since) for window in self._windows.values())

    def clear(self) -> None:
        """Forget everything."""
        self._windows.clear()

    def _open(self, name: str) -> _Window:
        # One place is kept for the rest.
        if len(self._windows) >= self._names - 1:
            name = OTHER
        window = self._windows.get(name)
        if window is None:
            window = self._windows[name] = _Window(SampleRing(self._samples))
        return window


def _stats(samples: list[tuple[float, bool]]) -> WindowStats | None:
    """The figures of values and successes."""
    if not samples:
        return None
    values = sorted(value for value, _ in samples)
    return WindowStats(
        count=len(values),
        avg=sum(values) / len(values),
        min=values[0],
        max=values[-1],
        p50=_percentile(values, 0.50),
        p95=_percentile(values, 0.95),
        p99=_percentile(values, 0.99),
        success=sum(ok for _, ok in samples) / len(samples),
    )


def _percentile(values: list[float], share: float) -> float:
    """The nearest rank: always a value that was measured."""
    return values[min(len(values) - 1, int(share * len(values)))]
