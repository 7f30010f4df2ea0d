"""Operations and tools of the running server in bounded windows, with alert rules on them."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from claude_wrapper.monitoring.alerts import COOLDOWN, Alert
from claude_wrapper.monitoring.monitor import Monitor
from claude_wrapper.monitoring.windows import RollingWindows, WindowStats

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.lifecycle import ResourceTracker
    from claude_wrapper.monitoring.alerts import AlertCenter

__all__ = ["AlertRule", "ProductionMonitoring", "RuleMetric"]

EVALUATE_INTERVAL = 10.0
PRUNE_INTERVAL = 60.0
MAX_RULES = 200

RuleMetric = Literal["avg", "max", "p95", "p99", "error_rate", "count"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """Alert when `metric` of `operation` over `window` seconds is above `threshold`."""

    metric: RuleMetric
    operation: str
    threshold: float
    window: float
    cooldown: float


class ProductionMonitoring(Monitor):
    """Records what was done and how it went; evaluates its rules every 10 seconds.

    Events: `alert` with `alert`, for every alert that was sent.

    Args:
        tracker: Runs the two periodic tasks.
        alerts: Where broken rules go.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        tracker: ResourceTracker,
        alerts: AlertCenter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("production-monitor", tracker, clock)
        self._alerts = alerts
        self.operations = RollingWindows(clock=clock)
        self.tools = RollingWindows(clock=clock)
        self._numbers = itertools.count(1)
        self._rules: dict[str, AlertRule] = {}
        self._every("evaluate", EVALUATE_INTERVAL, self.evaluate)
        self._every("prune", PRUNE_INTERVAL, self.prune)

    def record_operation(self, operation: str, seconds: float, *, ok: bool = True) -> None:
        """An operation, named from a small set, is over."""
        self.operations.record(operation, seconds, ok=ok)

    def record_tool(self, tool: str, seconds: float = 0.0, *, ok: bool = True) -> None:
        """The model called a client's tool; names beyond the 200th are counted together."""
        self.tools.record(tool, seconds, ok=ok)

    def setup_alert(
        self,
        metric: RuleMetric,
        operation: str,
        threshold: float,
        *,
        window: float = 300.0,
        cooldown: float = COOLDOWN,
    ) -> str:
        """Add a rule; the returned id removes it. Times in seconds.

        Raises:
            ValueError: There are 200 rules already.
        """
        if len(self._rules) >= MAX_RULES:
            raise ValueError(f"there are {MAX_RULES} alert rules already; remove one first")
        rule_id = f"rule-{next(self._numbers)}"
        self._rules[rule_id] = AlertRule(
            metric=metric, operation=operation, threshold=threshold,
            window=window, cooldown=cooldown,
        )  # fmt: skip
        return rule_id

    def remove_alert(self, rule_id: str) -> bool:
        """Remove a rule; False when it is not there."""
        self._alerts.forget(rule_id)
        return self._rules.pop(rule_id, None) is not None

    @property
    def rules(self) -> dict[str, AlertRule]:
        """All rules by id."""
        return dict(self._rules)

    async def evaluate(self) -> None:
        """Look at every rule now."""
        for rule_id, rule in tuple(self._rules.items()):
            stats = self.operations.stats(rule.operation, within=rule.window)
            value = _value(stats, rule.metric) if stats is not None else 0.0
            if stats is None or value <= rule.threshold:
                self._alerts.resolve(rule_id)
                continue
            alert = _alert(rule_id, rule, value)
            if await self._alerts.report(alert, cooldown=rule.cooldown):
                await self.events.emit("alert", alert=alert)

    async def prune(self) -> None:
        """Drop what is too old."""
        self.operations.prune()
        self.tools.prune()

    async def stop(self) -> None:
        """As every monitor; rules and records go, too."""
        await super().stop()
        for rule_id in tuple(self._rules):
            self.remove_alert(rule_id)
        self.operations.clear()
        self.tools.clear()


def _value(stats: WindowStats, metric: RuleMetric) -> float:
    if metric == "error_rate":
        return 1.0 - stats.success
    return float(getattr(stats, metric))


def _alert(rule_id: str, rule: AlertRule, value: float) -> Alert:
    return Alert(
        name=rule_id,
        message=f"{rule.metric} of {rule.operation} is {value:g} over {rule.window:g} s, "
        f"more than {rule.threshold:g}",
        value=value,
        threshold=rule.threshold,
        at=time.time(),
    )
