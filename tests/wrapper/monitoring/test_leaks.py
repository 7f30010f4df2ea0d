"""Leaks are found within the hour; a burst that was freed raises nothing."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import pytest
from wrapper.support.clock import FakeClock

from claude_wrapper.lifecycle import ResourceTracker
from claude_wrapper.monitoring.alerts import Alert, AlertCenter, AlertChannel
from claude_wrapper.monitoring.channels import CallbackChannel, LogChannel
from claude_wrapper.monitoring.leaks import MemoryLeakDetector
from claude_wrapper.monitoring.memory import MemoryReading, read_memory, trim
from claude_wrapper.monitoring.slope import trend

pytestmark = pytest.mark.anyio

MB = 1_000_000
MINUTE = 60.0


@dataclass
class Plant:
    """A process whose memory the test sets, in MB."""

    clock: FakeClock = field(default_factory=FakeClock)
    live: float = 40.0
    rss: float = 60.0
    expected: float = 0.0
    trims: int = 0
    freed_by_trim: float = 0.0
    sent: list[Alert] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tracker = ResourceTracker(self.clock.sleep)
        channels: list[AlertChannel] = [CallbackChannel(self.sent.append), LogChannel()]
        self.alerts = AlertCenter(channels, clock=self.clock)
        self.detector = MemoryLeakDetector(
            self.tracker, self.alerts, expected=lambda: self.expected * MB, read=self.read,
            give_back=self.trim, clock=self.clock,
        )  # fmt: skip

    def read(self) -> MemoryReading:
        return MemoryReading(live=int(self.live * MB), rss=int(self.rss * MB))

    def trim(self) -> bool:
        self.trims += 1
        self.rss -= self.freed_by_trim
        self.freed_by_trim = 0.0
        return True

    async def minutes(self, count: int, *, live: float = 0.0, rss: float = 0.0) -> None:
        """Let minutes pass, each adding so many MB; one check a minute, as the timer would."""
        for _ in range(count):
            self.clock.now += MINUTE
            self.live += live
            self.rss += rss
            await self.detector.check()

    @property
    def names(self) -> list[str]:
        return [alert.name for alert in self.sent]


@pytest.fixture
def plant() -> Plant:
    plant = Plant()
    plant.detector.rebaseline()
    return plant


async def test_a_leak_of_one_mb_a_minute_is_found_within_the_hour(
    plant: Plant, caplog: pytest.LogCaptureFixture
) -> None:
    await plant.minutes(5)
    await plant.minutes(25, live=1.0, rss=1.0)
    assert plant.names[0] == "memory_slope"
    assert "live memory grows by 60 MB/h" in plant.sent[0].message
    assert plant.detector.is_leaking
    assert "alert memory_slope: live memory grows" in caplog.text


async def test_growth_beyond_fifty_mb_is_named_once_per_cooldown(plant: Plant) -> None:
    await plant.minutes(8)
    assert plant.detector.baseline == 40 * MB
    plant.live, plant.rss = 89.9, 130.0
    await plant.minutes(1)
    assert plant.names == []
    plant.live = 91.0
    await plant.minutes(5)
    assert plant.names == ["memory_growth"]
    assert "grown by 51 MB since the warm-up, more than 50 MB" in plant.sent[0].message
    await plant.minutes(1)
    assert plant.names == ["memory_growth"] * 2
    plant.live = 41.0
    await plant.minutes(1)
    assert plant.alerts.active == ()


@pytest.mark.parametrize("after", [1, 10, 20, 30, 31, 45, 59])
async def test_a_burst_that_was_freed_raises_nothing(plant: Plant, after: int) -> None:
    """The allocator keeps 70 MB from some moment on, and cannot be made to give them back."""
    await plant.minutes(5 + after)
    plant.rss += 70.0
    await plant.minutes(90)
    assert plant.names == []
    assert plant.trims > 0


async def test_free_memory_is_given_back(plant: Plant) -> None:
    await plant.minutes(10)
    plant.rss += 70.0
    plant.freed_by_trim = 65.0
    await plant.minutes(3)
    assert (plant.trims, plant.rss) == (1, 65.0)
    assert plant.detector.state()["trims"] == 1


async def test_resident_memory_that_goes_on_growing_is_a_leak(plant: Plant) -> None:
    await plant.minutes(5)
    await plant.minutes(30, rss=0.5)
    assert plant.names[0] == "memory_slope"
    assert "resident memory grows by 30 MB/h" in plant.sent[0].message


async def test_slow_growth_below_the_limit_is_none(plant: Plant) -> None:
    await plant.minutes(300, live=9.5 / 60, rss=9.5 / 60)
    assert [name for name in plant.names if name == "memory_slope"] == []


async def test_what_sessions_hold_is_no_leak(plant: Plant) -> None:
    await plant.minutes(8)
    for _ in range(40):
        plant.expected += 2.0
        await plant.minutes(1, live=2.0, rss=2.0)
    assert plant.names == []


async def test_the_first_minutes_are_warm_up_and_rebaseline_begins_anew(plant: Plant) -> None:
    await plant.minutes(4, live=30.0, rss=30.0)
    assert plant.detector.state()["readings"] == 0
    await plant.minutes(10)
    assert plant.detector.state()["baseline"] == 160 * MB
    plant.detector.rebaseline()
    assert plant.detector.state()["baseline"] is None
    assert plant.names == []


async def test_the_timer_checks_every_minute_and_a_pause_does_no_harm(plant: Plant) -> None:
    await plant.detector.start()
    await plant.clock.advance(20 * MINUTE)
    assert plant.detector.state()["readings"] == 16
    # As after SIGSTOP: much time and one reading.
    plant.clock.now += 3600
    await plant.clock.advance(5 * MINUTE)
    assert plant.names == []
    await plant.detector.destroy()
    assert plant.tracker.list() == ()


async def test_a_listener_hears_of_a_leak(plant: Plant) -> None:
    heard = []
    plant.detector.events.on("leak", lambda alert: heard.append(alert.name))
    await plant.minutes(8)
    plant.live += 60.0
    await plant.minutes(1)
    assert heard == ["memory_growth"]


async def test_live_memory_is_seen_for_small_and_large_objects() -> None:
    before = read_memory().live
    small = [object() for _ in range(400_000)]
    large = bytearray(30 * MB)
    during = read_memory().live
    assert during - before > 20 * MB
    del small, large
    trim()
    assert read_memory().live - before < 10 * MB


def test_the_trend_ignores_outliers_and_steps(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    line = [(float(x), 2.0 * x) for x in range(20)]
    assert trend(line).slope == pytest.approx(2.0)
    line[7] = (7.0, 1e9)
    assert trend(line).slope == pytest.approx(2.0)
    step = [(float(x), 0.0 if x < 10 else 100.0) for x in range(20)]
    assert trend(step).at_least == 0.0
    assert trend(line[:1]).slope == 0.0
