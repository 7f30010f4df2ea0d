"""Samples the server every 30 seconds: process, children, sessions, requests, and each part."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from claude_wrapper.monitoring.monitor import Monitor
from claude_wrapper.monitoring.thresholds import Thresholds, breaches

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from claude_wrapper.lifecycle import ResourceTracker
    from claude_wrapper.monitoring.alerts import AlertCenter
    from claude_wrapper.monitoring.facts import ProcessFacts
    from claude_wrapper.monitoring.requests import RequestFigures

__all__ = ["ComponentHealth", "Probe", "SystemMonitor", "SystemSample", "overall"]

logger = logging.getLogger(__name__)

INTERVAL = 30.0
KEPT = 120

Status = Literal["healthy", "degraded", "unhealthy"]
ORDER: tuple[Status, ...] = ("healthy", "degraded", "unhealthy")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentHealth:
    """How one part is; `facts` say why, and are JSON-safe."""

    status: Status
    facts: dict[str, Any]


if TYPE_CHECKING:
    Probe = Callable[[], Awaitable[ComponentHealth]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemSample:
    """One look at everything; `at` is Unix time."""

    at: float
    process: ProcessFacts
    requests: RequestFigures
    components: Mapping[str, ComponentHealth]

    @property
    def status(self) -> Status:
        """The worst of the parts."""
        return overall(self.components)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        process = asdict(self.process)
        children = process.pop("children")
        process["children"] = {"count": len(children), "rss": self.process.children_rss}
        return {
            "at": round(self.at, 3),
            "status": self.status,
            "process": process,
            "requests": asdict(self.requests),
            "components": {name: asdict(part) for name, part in self.components.items()},
        }


def overall(components: Mapping[str, ComponentHealth]) -> Status:
    """The worst status of any part; healthy without parts."""
    return max((part.status for part in components.values()), key=ORDER.index, default="healthy")


class SystemMonitor(Monitor):
    """Takes samples and reports what exceeds its threshold.

    Events: `sample` with `sample`; `status` with `before` and `after` when the status changes.

    Args:
        tracker: Runs the work.
        process: Reads the process.
        requests: Reads the request figures.
        probes: One check for each part; one that raises makes its part unhealthy.
        alerts: Where breaches go.
        thresholds: What is too much.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        tracker: ResourceTracker,
        *,
        process: Callable[[], ProcessFacts],
        requests: Callable[[], RequestFigures],
        probes: Mapping[str, Probe],
        alerts: AlertCenter,
        thresholds: Thresholds,
        clock: Callable[[], float] = time.monotonic,
        interval: float = INTERVAL,
    ) -> None:
        super().__init__("system-monitor", tracker, clock)
        self._process = process
        self._requests = requests
        self._probes = dict(probes)
        self._alerts = alerts
        self._thresholds = thresholds
        self.samples: deque[SystemSample] = deque(maxlen=KEPT)
        self._every("sample", interval, self.sample)

    async def look(self) -> SystemSample:
        """A sample that is not kept and tells nobody."""
        return SystemSample(
            at=time.time(),
            process=self._process(),
            requests=self._requests(),
            components=await self.check(),
        )

    async def check(self) -> dict[str, ComponentHealth]:
        """Ask every part how it is, now."""
        return {name: await _ask(name, probe) for name, probe in self._probes.items()}

    async def sample(self) -> None:
        """Take one sample, report breaches, tell the listeners."""
        before = self.samples[-1].status if self.samples else "healthy"
        sample = await self.look()
        self.samples.append(sample)
        await self._report(sample)
        await self.events.emit("sample", sample=sample)
        if sample.status != before:
            logger.log(
                logging.INFO if sample.status == "healthy" else logging.WARNING,
                "the server is %s, it was %s: %s", sample.status, before, _troubled(sample),
            )  # fmt: skip
            await self.events.emit("status", before=before, after=sample.status)

    async def stop(self) -> None:
        """As every monitor; the samples go, too."""
        await super().stop()
        self.samples.clear()

    async def _report(self, sample: SystemSample) -> None:
        found = {alert.name: alert for alert in breaches(sample, self._thresholds)}
        for name in self._thresholds.names:
            if name not in found:
                self._alerts.resolve(name)
        for alert in found.values():
            await self._alerts.report(alert)


async def _ask(name: str, probe: Probe) -> ComponentHealth:
    try:
        return await probe()
    except Exception as error:
        logger.exception("the check of %s failed", name)
        return ComponentHealth(status="unhealthy", facts={"error": type(error).__name__})


def _troubled(sample: SystemSample) -> str:
    parts = (name for name, part in sample.components.items() if part.status != "healthy")
    return ", ".join(parts) or "all parts are well"
