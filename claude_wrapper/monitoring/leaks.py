"""Finds memory that grows and does not come back, and is not fooled by memory that is only kept.

A leak is alerted in two ways: live memory is more than 50 MB above the warm baseline, or live or
resident memory has a slope of more than 10 MB/h. What sessions are expected to hold is left out.
Resident memory alone is no reason: after a burst the allocator keeps what was freed.
"""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from claude_wrapper.monitoring.alerts import Alert
from claude_wrapper.monitoring.memory import MemoryReading, read_memory, trim
from claude_wrapper.monitoring.monitor import Monitor
from claude_wrapper.monitoring.slope import Trend, trend

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.lifecycle import ResourceTracker
    from claude_wrapper.monitoring.alerts import AlertCenter

__all__ = ["LeakLimits", "MemoryLeakDetector"]

MB = 1_000_000
HOUR = 3600.0
ALERT_GROWTH = "memory_growth"
ALERT_SLOPE = "memory_slope"
BASELINE_READINGS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakLimits:
    """When memory counts as leaking.

    Attributes:
        interval: Seconds between two readings.
        warm_up: Seconds before the baseline: imports and caches are no leak.
        growth: Bytes of live memory above the baseline.
        slope: Bytes an hour.
        readings: How many readings make a slope, and at most how many are kept.
        slack: Bytes of freed memory kept by the process that make it worth giving back.
    """

    interval: float = 60.0
    warm_up: float = 300.0
    growth: int = 50 * MB
    slope: float = 10.0 * MB
    readings: tuple[int, int] = (20, 60)
    slack: int = 32 * MB


@dataclass(frozen=True, slots=True)
class _Point:
    at: float
    live: float
    rss: float


class MemoryLeakDetector(Monitor):
    """Reads the memory every minute.

    Events: `leak` with `alert`, for every alert that was sent.

    Args:
        tracker: Runs the work.
        alerts: Where leaks go; their cooldown keeps them rare.
        expected: Bytes that may be held now, such as the sessions' text.
        read: Takes a reading.
        give_back: Returns free memory to the system.
        limits: What is too much.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        tracker: ResourceTracker,
        alerts: AlertCenter,
        *,
        expected: Callable[[], float] = lambda: 0.0,
        read: Callable[[], MemoryReading] = read_memory,
        give_back: Callable[[], bool] = trim,
        limits: LeakLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("memory-leak-detector", tracker, clock)
        self.limits = limits or LeakLimits()
        self._alerts = alerts
        self._expected = expected
        self._read = read
        self._give_back = give_back
        self._points: deque[_Point] = deque(maxlen=self.limits.readings[1])
        self._started_at = 0.0
        self._current: MemoryReading | None = None
        self.baseline: int | None = None
        self.trims = 0
        self._every("check", self.limits.interval, self.check)

    async def start(self) -> None:
        """Begin; the warm-up begins, too."""
        if not self.is_running:
            self.rebaseline()
        await super().start()

    async def stop(self) -> None:
        """As every monitor; the readings go, too."""
        await super().stop()
        self.rebaseline()

    def rebaseline(self) -> None:
        """Forget everything and warm up again: the load is a different one from now on."""
        self._points.clear()
        self.baseline = None
        self._started_at = self._clock()
        self._alerts.resolve(ALERT_GROWTH)
        self._alerts.resolve(ALERT_SLOPE)

    @property
    def growth(self) -> float:
        """Live bytes above the baseline, without what is expected; 0 while warming up."""
        if self.baseline is None or not self._points:
            return 0.0
        return self._points[-1].live - self.baseline

    @property
    def is_leaking(self) -> bool:
        """Whether the last check found a leak."""
        return any(alert.name in {ALERT_GROWTH, ALERT_SLOPE} for alert in self._alerts.active)

    async def check(self) -> None:
        """Take one reading and judge."""
        now = self._clock()
        if now - self._started_at < self.limits.warm_up:
            return
        reading = self._current = await self._settled_reading()
        expected = self._expected()
        self._points.append(_Point(now, reading.live - expected, reading.rss - expected))
        if self.baseline is None and len(self._points) >= BASELINE_READINGS:
            self.baseline = int(statistics.median(point.live for point in self._points))
        await self._judge_growth(reading)
        await self._judge_slope()

    def state(self) -> dict[str, Any]:
        """What is known now, for JSON; sizes in bytes, slopes in bytes an hour."""
        live, resident = self._trends()
        return {
            "baseline": self.baseline,
            "current": asdict(self._current) if self._current is not None else None,
            "growth": round(self.growth),
            "slope_live": round(live.slope * HOUR),
            "slope_rss": round(resident.slope * HOUR),
            "readings": len(self._points),
            "trims": self.trims,
        }

    async def _settled_reading(self) -> MemoryReading:
        reading = self._read()
        if not self._points or reading.rss - self._points[0].rss < self.limits.slack:
            return reading
        # Resident memory has grown: see first how much of that is only kept.
        if await self._tracker.in_thread(self._give_back, name="memory-trim"):
            self.trims += 1
            return self._read()
        return reading

    def _trends(self) -> tuple[Trend, Trend]:
        if len(self._points) < self.limits.readings[0]:
            return trend(()), trend(())
        return (
            trend([(point.at, point.live) for point in self._points]),
            trend([(point.at, point.rss) for point in self._points]),
        )

    async def _judge_growth(self, reading: MemoryReading) -> None:
        if self.growth <= self.limits.growth:
            self._alerts.resolve(ALERT_GROWTH)
            return
        await self._report(
            ALERT_GROWTH,
            f"memory has grown by {self.growth / MB:.0f} MB since the warm-up, more than "
            f"{self.limits.growth / MB:.0f} MB; live {reading.live / MB:.0f} MB, "
            f"resident {reading.rss / MB:.0f} MB",
            self.growth,
            self.limits.growth,
        )

    async def _judge_slope(self) -> None:
        limit = self.limits.slope / HOUR
        named = zip(("live", "resident"), self._trends(), strict=True)
        steep = [(name, found) for name, found in named if min(found.slope, found.at_least) > limit]
        if not steep:
            self._alerts.resolve(ALERT_SLOPE)
            return
        name, found = steep[0]
        minutes = (self._points[-1].at - self._points[0].at) / 60
        await self._report(
            ALERT_SLOPE,
            f"{name} memory grows by {found.slope * HOUR / MB:.0f} MB/h over {minutes:.0f} minutes,"
            f" more than {self.limits.slope / MB:.0f} MB/h; grown by {self.growth / MB:.0f} MB",
            found.slope * HOUR,
            self.limits.slope,
        )

    async def _report(self, name: str, message: str, value: float, threshold: float) -> None:
        alert = Alert(
            name=name, message=message + _largest(), value=value, threshold=threshold,
            unit="bytes" if name == ALERT_GROWTH else "bytes/h", at=time.time(),
        )  # fmt: skip
        if await self._alerts.report(alert):
            await self.events.emit("leak", alert=alert)


def _largest() -> str:
    """The ten largest places, when somebody has started tracemalloc."""
    if not tracemalloc.is_tracing():
        return ""
    top = tracemalloc.take_snapshot().statistics("lineno")[:10]
    return "; largest: " + ", ".join(
        f"{line.traceback[0].filename}:{line.traceback[0].lineno} {line.size / MB:.1f} MB"
        for line in top
    )
