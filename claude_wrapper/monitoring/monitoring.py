"""All monitors of one server as one part: built in order, started and stopped together."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from claude_wrapper.monitoring.alerts import AlertCenter
from claude_wrapper.monitoring.auditor import Auditor
from claude_wrapper.monitoring.channels import (
    CallbackChannel,
    FileChannel,
    LogChannel,
    WebhookChannel,
)
from claude_wrapper.monitoring.facts import ProcessReader, memory_limit
from claude_wrapper.monitoring.leaks import ALERT_GROWTH, ALERT_SLOPE, MemoryLeakDetector
from claude_wrapper.monitoring.metrics import ServerMetrics
from claude_wrapper.monitoring.performance import PerformanceMonitor
from claude_wrapper.monitoring.production import ProductionMonitoring
from claude_wrapper.monitoring.requests import RequestStats
from claude_wrapper.monitoring.resources import ResourceView
from claude_wrapper.monitoring.system import SystemMonitor
from claude_wrapper.monitoring.thresholds import Thresholds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from claude_wrapper.lifecycle import AuditReport, Baseline, ResourceTracker
    from claude_wrapper.monitoring.alerts import Alert, AlertChannel
    from claude_wrapper.monitoring.monitor import Monitor
    from claude_wrapper.monitoring.system import Probe

__all__ = ["Monitoring", "MonitoringOptions", "build_monitoring"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringOptions:
    """What the monitors are told.

    Attributes:
        state_folder: On the disk that is watched.
        memory_limit: Bytes; 0 for the control group's or the machine's.
        alert_file: Where alerts are appended, or None.
        alert_webhook: Where alerts are posted, or "".
    """

    state_folder: Path
    memory_limit: int = 0
    alert_file: Path | None = None
    alert_webhook: str = ""


@dataclass(slots=True, kw_only=True)
class Monitoring:
    """The monitors and what they share."""

    metrics: ServerMetrics
    requests: RequestStats
    alerts: AlertCenter
    process: ProcessReader
    performance: PerformanceMonitor
    production: ProductionMonitoring
    system: SystemMonitor
    leaks: MemoryLeakDetector
    auditor: Auditor
    resources: ResourceView

    @property
    def monitors(self) -> tuple[Monitor, ...]:
        """In the order of their start."""
        return (self.performance, self.production, self.system, self.leaks, self.auditor)

    async def start(self) -> None:
        """Begin to look."""
        for monitor in self.monitors:
            await monitor.start()

    async def stop(self) -> None:
        """End everything, in reverse order, whatever fails."""
        outcomes = [
            *await asyncio.gather(
                *(monitor.destroy() for monitor in reversed(self.monitors)), return_exceptions=True
            ),
            *await asyncio.gather(self.alerts.close(), return_exceptions=True),
        ]
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if failed:
            raise failed[0]


def build_monitoring(
    tracker: ResourceTracker,
    options: MonitoringOptions,
    *,
    probes: Mapping[str, Probe],
    session_bytes: Callable[[], float],
    audit: Callable[[Baseline], AuditReport],
    clock: Callable[[], float] = time.monotonic,
) -> Monitoring:
    """Build all monitors; nothing runs before `start`.

    Args:
        tracker: Runs and lists everything.
        options: See `MonitoringOptions`.
        probes: One check for each part of the server.
        session_bytes: What the sessions are expected to hold.
        audit: Takes one audit.
        clock: Monotonic seconds.
    """
    metrics, requests = ServerMetrics(), RequestStats(clock)
    alerts = AlertCenter(_channels(options, tracker, metrics), clock=clock)
    process = ProcessReader(options.state_folder)
    limits = Thresholds(memory_limit=memory_limit(options.memory_limit), cpus=os.cpu_count() or 1)
    return Monitoring(
        metrics=metrics,
        requests=requests,
        alerts=alerts,
        process=process,
        performance=PerformanceMonitor(tracker, clock),
        production=ProductionMonitoring(tracker, alerts, clock),
        system=SystemMonitor(
            tracker,
            process=process.read,
            requests=requests.figures,
            probes=probes,
            alerts=alerts,
            thresholds=limits,
            clock=clock,
        ),
        leaks=MemoryLeakDetector(tracker, alerts, expected=session_bytes, clock=clock),
        auditor=Auditor(tracker, audit, clock),
        resources=ResourceView(tracker, clock),
    )


def _channels(
    options: MonitoringOptions, tracker: ResourceTracker, metrics: ServerMetrics
) -> list[AlertChannel]:
    def count(alert: Alert) -> None:
        metrics.alerts.labels(alert.name.partition("-")[0]).inc()
        if alert.name in {ALERT_GROWTH, ALERT_SLOPE}:
            metrics.leak_alerts.inc()

    channels: list[AlertChannel] = [LogChannel(), CallbackChannel(count)]
    if options.alert_file is not None:
        channels.append(FileChannel(options.alert_file, tracker))
    if options.alert_webhook:
        channels.append(WebhookChannel(options.alert_webhook, tracker))
    return channels
