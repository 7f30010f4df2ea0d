"""Monitors start and stop in any order, tell their listeners, and leave nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from wrapper.support.clock import FakeClock
from wrapper.support.servers import scrubbed_environment

from claude_wrapper.lifecycle import EmitterClosedError, ResourceTracker
from claude_wrapper.monitoring.alerts import Alert, AlertCenter
from claude_wrapper.monitoring.channels import CallbackChannel
from claude_wrapper.monitoring.facts import ProcessFacts, ProcessReader, memory_limit
from claude_wrapper.monitoring.performance import PerformanceMonitor
from claude_wrapper.monitoring.production import ProductionMonitoring
from claude_wrapper.monitoring.requests import RequestStats
from claude_wrapper.monitoring.system import ComponentHealth, SystemMonitor
from claude_wrapper.monitoring.thresholds import Thresholds

if TYPE_CHECKING:
    from pathlib import Path

    from claude_wrapper.monitoring.monitor import Monitor
    from claude_wrapper.monitoring.system import Probe, SystemSample

pytestmark = pytest.mark.anyio

MB = 1_000_000


class Stage:
    """Everything a monitor needs, with time and facts in the hands of the test."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.tracker = ResourceTracker(self.clock.sleep)
        self.sent: list[Alert] = []
        self.alerts = AlertCenter([CallbackChannel(self.sent.append)], clock=self.clock)
        self.requests = RequestStats(self.clock)
        self.facts: dict[str, Any] = {}
        self.health: dict[str, ComponentHealth | Exception] = {}

    def read(self) -> ProcessFacts:
        calm: dict[str, Any] = {
            "rss": 50 * MB, "uss": 40 * MB, "cpu_percent": 1.0, "load": 0.1, "fds": 9,
            "sockets": 2, "threads": 3, "tasks": 4, "disk_percent": 10.0, "children": (),
        }  # fmt: skip
        return ProcessFacts(**{**calm, **self.facts})

    def probe(self, name: str) -> Probe:
        async def check() -> ComponentHealth:
            answer = self.health.get(name) or ComponentHealth(status="healthy", facts={})
            if isinstance(answer, Exception):
                raise answer
            return answer

        return check

    def system(self, **limits: Any) -> SystemMonitor:
        return SystemMonitor(
            self.tracker, process=self.read, requests=self.requests.figures,
            probes={"cli": self.probe("cli"), "sessions": self.probe("sessions")},
            alerts=self.alerts, clock=self.clock,
            thresholds=Thresholds(**{"memory_limit": 1000 * MB, "cpus": 2, **limits}),
        )  # fmt: skip

    def production(self) -> ProductionMonitoring:
        return ProductionMonitoring(self.tracker, self.alerts, self.clock)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def monitors(stage: Stage) -> list[Monitor]:
    return [stage.system(), stage.production(), PerformanceMonitor(stage.tracker, stage.clock)]


async def test_start_and_stop_are_idempotent_in_both_orders_and_restartable(stage: Stage) -> None:
    for monitor in monitors(stage):
        heard: list[str] = []
        await monitor.stop()
        monitor.events.on("started", lambda heard=heard: heard.append("started"))
        monitor.events.on("stopped", lambda heard=heard: heard.append("stopped"))
        await monitor.start()
        await monitor.start()
        running = stage.tracker.count("task")
        assert running > 0
        await monitor.stop()
        await monitor.stop()
        assert heard == ["started", "stopped"]
        assert (monitor.events.listener_count(), stage.tracker.count("task")) == (0, 0)
        await monitor.start()
        assert stage.tracker.count("task") == running
        await monitor.destroy()
        assert not [t for t in asyncio.all_tasks() if t.get_name().startswith(monitor.name)]
        with pytest.raises(EmitterClosedError, match=monitor.name):
            monitor.events.on("started", lambda: None)
    assert stage.tracker.list() == ()


async def test_stop_frees_the_owners_of_listeners(stage: Stage) -> None:
    class Owner:
        def hear(self, **_data: object) -> None: ...

    monitor, owner = stage.system(), Owner()
    await monitor.start()
    monitor.events.on("sample", owner.hear)
    assert [line.partition(" at ")[0] for line in stage.tracker.listeners] == [
        "system-monitor.sample"
    ]
    await monitor.stop()
    remains = weakref.ref(owner)
    del owner
    gc.collect()
    assert remains() is None


def test_a_thousand_starts_and_stops_cost_no_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wrapper.support.monitor_memory"],
        env=scrubbed_environment(PYTHONPATH=os.pathsep.join(sys.path)),
        stdout=subprocess.PIPE, timeout=60, check=True,
    )  # fmt: skip
    assert int(done.stdout) < 64 * 1024


async def test_one_sample_every_thirty_seconds(stage: Stage) -> None:
    monitor, heard = stage.system(), []

    def fail(sample: SystemSample) -> None:
        heard.append(sample.status)
        raise ValueError("a listener that raises does not stop the monitor")

    monitor.events.on("sample", fail)
    await monitor.start()
    await stage.clock.advance(29.9)
    assert len(monitor.samples) == 0
    await stage.clock.advance(270.2)
    assert len(monitor.samples) == len(heard) == 10
    await monitor.stop()
    assert len(monitor.samples) == 0


async def test_a_part_that_is_not_well_shows_within_one_tick(stage: Stage) -> None:
    monitor, changes = stage.system(), []
    monitor.events.on("status", lambda before, after: changes.append((before, after)))
    await monitor.start()
    stage.health["cli"] = ComponentHealth(status="degraded", facts={"failure": "it died"})
    await stage.clock.advance(30)
    stage.health["sessions"] = RuntimeError("the store is gone")
    await stage.clock.advance(30)
    stage.health.clear()
    await stage.clock.advance(30)
    assert changes == [("healthy", "degraded"), ("degraded", "unhealthy"), ("unhealthy", "healthy")]
    facts = monitor.samples[1].to_dict()["components"]
    assert facts["cli"]["facts"] == {"failure": "it died"}
    assert facts["sessions"] == {"status": "unhealthy", "facts": {"error": "RuntimeError"}}
    await monitor.destroy()


@pytest.mark.parametrize(
    ("facts", "name", "value"),
    [
        pytest.param({"rss": 800 * MB}, None, 0, id="memory on the threshold"),
        pytest.param({"rss": 810 * MB}, "memory", 81, id="memory above"),
        pytest.param({"cpu_percent": 160.0}, None, 0, id="cpu on the threshold"),
        pytest.param({"cpu_percent": 162.0}, "cpu", 81, id="cpu above"),
        pytest.param({"disk_percent": 90.0}, None, 0, id="disk on the threshold"),
        pytest.param({"disk_percent": 91.0}, "disk", 91, id="disk above"),
    ],
)
async def test_thresholds_of_the_process(
    stage: Stage, facts: dict[str, Any], name: str | None, value: float
) -> None:
    stage.facts = facts
    monitor = stage.system()
    await monitor.sample()
    assert [(alert.name, alert.value) for alert in stage.sent] == ([(name, value)] if name else [])
    await monitor.destroy()


@pytest.mark.parametrize(
    ("failed", "seconds", "response", "names"),
    [
        pytest.param(5, 5.0, None, [], id="on both thresholds"),
        pytest.param(6, 5.0, None, ["error_rate"], id="too many errors"),
        pytest.param(5, 5.1, None, ["response_time"], id="too slow"),
        pytest.param(5, 90.0, 5.0, [], id="long streams that begin in time"),
        pytest.param(5, 90.0, 5.1, ["response_time"], id="streams that begin too late"),
    ],
)
async def test_thresholds_of_the_requests(
    stage: Stage, failed: int, seconds: float, response: float | None, names: list[str]
) -> None:
    for number in range(100):
        stage.requests.record(500 if number < failed else 200, seconds, response=response)
    monitor = stage.system()
    await monitor.sample()
    assert [alert.name for alert in stage.sent] == names
    await monitor.destroy()


async def test_one_alert_per_cooldown_and_none_without_a_limit(stage: Stage) -> None:
    stage.facts = {"rss": 900 * MB}
    monitor = stage.system()
    await monitor.start()
    await stage.clock.advance(299)
    assert len(stage.sent) == 1
    assert [alert.name for alert in stage.alerts.active] == ["memory"]
    await stage.clock.advance(60)
    assert len(stage.sent) == 2
    stage.facts = {}
    await stage.clock.advance(30)
    assert stage.alerts.active == ()
    await monitor.destroy()
    unlimited = stage.system(memory_limit=0)
    stage.facts = {"rss": 9000 * MB}
    await unlimited.sample()
    assert len(stage.sent) == 2
    await unlimited.destroy()


async def test_rules_alert_on_operations_and_can_be_removed(stage: Stage) -> None:
    monitor, heard = stage.production(), []
    monitor.events.on("alert", lambda alert: heard.append(alert.message))
    slow = monitor.setup_alert("p95", "chat", 2.0, window=60, cooldown=100)
    errors = monitor.setup_alert("error_rate", "chat", 0.5)
    await monitor.start()
    for _ in range(10):
        monitor.record_operation("chat", 3.0)
        monitor.record_tool("search")
    await stage.clock.advance(10)
    assert [alert.name for alert in stage.sent] == [slow]
    assert heard == ["p95 of chat is 3 over 60 s, more than 2"]
    await stage.clock.advance(80)
    assert [alert.name for alert in stage.alerts.active] == []
    assert monitor.remove_alert(errors)
    assert not monitor.remove_alert(errors)
    assert set(monitor.rules) == {slow}
    assert monitor.tools.totals("search").count == 10
    await monitor.destroy()
    assert monitor.rules == {}


async def test_children_are_seen_with_their_memory_and_age(tmp_path: Path) -> None:
    reader = ProcessReader(tmp_path)
    before = {child.pid for child in reader.children()}
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        child.stdout.readline()
        found = {one.pid: one for one in reader.children()}
        assert set(found) - before == {child.pid}
        assert found[child.pid].rss > 1 * MB
        assert 0 <= found[child.pid].age < 60
        child.communicate()
    assert {one.pid for one in reader.children()} == before


async def test_the_facts_of_this_process_are_real(tmp_path: Path) -> None:
    reader = ProcessReader(tmp_path)
    before = reader.read()
    with (tmp_path / "one").open("w"), (tmp_path / "two").open("w"):
        during = reader.read()
    assert during.fds - before.fds == 2
    assert 5 * MB < before.rss < 4000 * MB
    assert 0 < before.disk_percent <= 100
    assert before.tasks >= 1
    assert memory_limit(123) == 123
    assert memory_limit(0) > 100 * MB
