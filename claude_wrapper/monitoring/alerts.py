"""Alerts: what they say, where they go, and how often at most."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Alert", "AlertCenter", "AlertChannel"]

logger = logging.getLogger(__name__)

COOLDOWN = 300.0
RECENT = 100
MAX_NAMES = 500
OTHER = "__other__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert.

    Attributes:
        name: What the cooldown counts by, from a small set.
        message: The sentence to read.
        value: What was measured, in `unit`.
        threshold: What it should not exceed, in `unit`.
        at: Unix time.
    """

    name: str
    message: str
    value: float
    threshold: float
    unit: str = ""
    severity: Literal["warning", "critical"] = "warning"
    at: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class AlertChannel(Protocol):
    """A way out for alerts."""

    name: str

    async def send(self, alert: Alert) -> None:
        """Pass it on; what is raised is logged and stops nothing."""

    async def close(self) -> None:
        """Let go of everything."""


class AlertCenter:
    """Passes alerts to every channel, each name once per cooldown.

    Args:
        channels: Where they go.
        cooldown: Seconds of silence after an alert of the same name.
        clock: Monotonic seconds.

    Attributes:
        recent: The last hundred that were sent.
        sent: How many were sent, by name; at most 500 names, the rest as `__other__`.
    """

    def __init__(
        self,
        channels: Sequence[AlertChannel],
        *,
        cooldown: float = COOLDOWN,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channels = list(channels)
        self._cooldown = cooldown
        self._clock = clock
        self._last: dict[str, float] = {}
        self._active: dict[str, Alert] = {}
        self.recent: deque[Alert] = deque(maxlen=RECENT)
        self.sent: Counter[str] = Counter()

    @property
    def active(self) -> tuple[Alert, ...]:
        """Alerts whose cause was there at the last look."""
        return tuple(self._active.values())

    def add_channel(self, channel: AlertChannel) -> Callable[[], None]:
        """Send to this channel, too; the returned function undoes that."""
        self._channels.append(channel)

        def undo() -> None:
            if channel in self._channels:
                self._channels.remove(channel)

        return undo

    async def report(self, alert: Alert, *, cooldown: float | None = None) -> bool:
        """The cause of an alert is there; True when it was sent, False within the cooldown."""
        name = self._kept_as(alert.name)
        self._active[name] = alert
        now = self._clock()
        pause = self._cooldown if cooldown is None else cooldown
        if name in self._last and now - self._last[name] < pause:
            return False
        self._last[name] = now
        self.sent[name] += 1
        self.recent.append(alert)
        await self._send(alert)
        return True

    def resolve(self, name: str) -> None:
        """The cause is gone; the cooldown stays, so that one that flickers does not flood."""
        self._active.pop(self._kept_as(name), None)

    def forget(self, name: str) -> None:
        """Whoever reported under this name is gone: its place is free for another."""
        self.resolve(name)
        self._last.pop(name, None)
        self.sent.pop(name, None)

    def _kept_as(self, name: str) -> str:
        return name if name in self._last or len(self._last) < MAX_NAMES else OTHER

    async def close(self) -> None:
        """Close every channel and forget what is active."""
        for channel in self._channels:
            try:
                await channel.close()
            except Exception:
                logger.exception("alert channel %s did not close", channel.name)
        self._channels.clear()
        self._active.clear()

    async def _send(self, alert: Alert) -> None:
        for channel in tuple(self._channels):
            try:
                await channel.send(alert)
            except Exception:
                logger.exception("alert %s was lost on channel %s", alert.name, channel.name)
