"""How long things take: rolling windows by name, cleaned regularly."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from claude_wrapper.monitoring.monitor import Monitor
from claude_wrapper.monitoring.windows import RollingWindows, Totals, WindowStats

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.lifecycle import ResourceTracker

__all__ = ["PerformanceMonitor"]

PRUNE_INTERVAL = 60.0


class PerformanceMonitor(Monitor):
    """Measurements of at most 200 names, 1000 each, for an hour; later names share `__other__`.

    Names must come from a small set, such as route templates: never raw paths or ids.
    """

    def __init__(
        self,
        tracker: ResourceTracker,
        clock: Callable[[], float] = time.monotonic,
        name: str = "performance-monitor",
    ) -> None:
        super().__init__(name, tracker, clock)
        self.windows = RollingWindows(clock=clock)
        self._every("prune", PRUNE_INTERVAL, self.prune)

    def record(self, name: str, value: float, *, ok: bool = True) -> None:
        """Add a measurement; seconds by convention."""
        self.windows.record(name, value, ok=ok)

    def stats(self, name: str) -> WindowStats | None:
        """The last hour of a name in figures, or None."""
        return self.windows.stats(name)

    def lifetime(self, name: str) -> Totals:
        """What was counted since the start, whatever the window has dropped."""
        return self.windows.totals(name)

    def report(self) -> dict[str, WindowStats]:
        """All names with measurements in the last hour."""
        found = ((name, self.windows.stats(name)) for name in self.windows.names)
        return {name: stats for name, stats in found if stats is not None}

    async def prune(self) -> None:
        """Drop what is older than an hour."""
        self.windows.prune()

    async def stop(self) -> None:
        """As every monitor; the measurements go, too."""
        await super().stop()
        self.windows.clear()
