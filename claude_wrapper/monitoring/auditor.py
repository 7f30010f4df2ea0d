"""Runs the audit every minute and remembers what it found twice."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from claude_wrapper.lifecycle import AuditReport, Baseline
from claude_wrapper.monitoring.monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.lifecycle import ResourceTracker

__all__ = ["Auditor"]

logger = logging.getLogger(__name__)

INTERVAL = 60.0


class Auditor(Monitor):
    """Looks whether the tracker's list and the world agree.

    What is just being made or taken apart shows up in one audit; only what is there in two of them
    is reported, and logged once.

    Args:
        tracker: Runs the work.
        look: Takes one audit, given what belongs to others.
        clock: Monotonic seconds.
        interval: Seconds between two audits.

    Attributes:
        confirmed: What was found in the last two audits.
    """

    def __init__(
        self,
        tracker: ResourceTracker,
        look: Callable[[Baseline], AuditReport],
        clock: Callable[[], float] = time.monotonic,
        interval: float = INTERVAL,
    ) -> None:
        super().__init__("auditor", tracker, clock)
        self._look = look
        self._known = Baseline()
        self._last = self.confirmed = AuditReport(strangers=(), ghosts=())
        self.runs = 0
        self._every("audit", interval, self.audit)

    def accept(self, known: Baseline) -> None:
        """Take what runs now as somebody else's."""
        self._known = known

    async def audit(self) -> None:
        """Look once."""
        report, before = self._look(self._known), self._last
        confirmed = AuditReport(
            strangers=tuple(name for name in report.strangers if name in before.strangers),
            ghosts=tuple(name for name in report.ghosts if name in before.ghosts),
        )
        new = {*confirmed.strangers, *confirmed.ghosts}
        new -= {*self.confirmed.strangers, *self.confirmed.ghosts}
        if new:
            logger.warning("the audit found what the tracker does not: %s", ", ".join(sorted(new)))
        self._last, self.confirmed = report, confirmed
        self.runs += 1

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "clean": self.confirmed.is_clean,
            "runs": self.runs,
            "strangers": list(self.confirmed.strangers),
            "ghosts": list(self.confirmed.ghosts),
        }
