"""Measurements stay bounded by names, samples and age, however many come."""

from __future__ import annotations

import sys
import tracemalloc
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wrapper.support.clock import FakeClock

from claude_wrapper.monitoring.requests import RequestStats
from claude_wrapper.monitoring.samples import SampleRing
from claude_wrapper.monitoring.windows import OTHER, RollingWindows


def test_names_and_samples_are_bounded_and_lifetime_counts_go_on() -> None:
    windows = RollingWindows(names=5, samples=10)
    for number in range(1000):
        windows.record(f"name-{number % 100}", 1.0, ok=number % 2 == 0)
    assert windows.names == ("name-0", "name-1", "name-2", "name-3", OTHER)
    assert windows.sample_count == 50
    assert windows.totals("name-0").count == 10
    assert windows.totals(OTHER).count == 960
    assert windows.totals("name-1").failed == 10


def test_memory_reaches_a_plateau() -> None:
    windows = RollingWindows(names=20, samples=100)
    for number in range(20_000):
        windows.record(f"name-{number}", float(number))
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(40_000):
            windows.record(f"more-{number}", float(number))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 64 * 1024


def test_a_window_takes_all_its_memory_at_its_first_measurement() -> None:
    """One that fills up for hours looks like a leak to whoever watches the server."""
    windows = RollingWindows(samples=1000)
    windows.record("a", 0.0)
    before = sys.getallocatedblocks()
    for number in range(999):
        windows.record("a", number + 0.5)
    assert windows.sample_count == 1000
    assert sys.getallocatedblocks() - before < 100


@given(steps=st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), max_size=60))
def test_a_ring_holds_what_a_bounded_queue_would(steps: list[tuple[int, bool, bool]]) -> None:
    ring, model, now = SampleRing(7), deque[tuple[float, float, bool]](maxlen=7), 0.0
    for pause, ok, prunes in steps:
        now += pause
        if prunes:
            kept = [sample for sample in model if sample[0] > now - 5]
            assert ring.drop_until(now - 5) == len(model) - len(kept)
            model = deque(kept, maxlen=7)
        ring.append(now, now + 0.5, ok=ok)
        model.append((now, now + 0.5, ok))
        assert len(ring) == len(model)
        assert ring.newer_than(now - 2) == [(v, good) for at, v, good in model if at > now - 2]


def test_figures_are_of_values_that_were_measured() -> None:
    windows = RollingWindows()
    for value in range(1, 101):
        windows.record("a", float(value), ok=value > 10)
    stats = windows.stats("a")
    assert stats is not None
    assert (stats.count, stats.min, stats.max, stats.avg) == (100, 1, 100, 50.5)
    assert (stats.p50, stats.p95, stats.p99) == (51, 96, 100)
    assert stats.success == pytest.approx(0.9)
    assert windows.stats("unknown") is None


def test_what_is_too_old_counts_no_more_and_is_pruned() -> None:
    clock = FakeClock()
    windows = RollingWindows(retention=60, clock=clock)
    windows.record("a", 1.0)
    clock.now += 30
    windows.record("a", 3.0)
    clock.now += 30
    stats, last = windows.stats("a"), windows.stats("a", within=10)
    assert stats is not None
    assert (stats.count, stats.avg, last) == (1, 3.0, None)
    assert (windows.prune(), windows.sample_count) == (1, 1)
    assert windows.totals("a").count == 2


def test_request_figures_follow_the_minutes() -> None:
    clock = FakeClock()
    stats = RequestStats(clock)
    assert stats.figures().error_rate == 0
    for status in (200, 404, 500, 503):
        stats.record(status, 2.0)
    figures = stats.figures()
    assert (figures.total, figures.ok, figures.failed) == (4, 2, 2)
    assert (figures.error_rate, figures.average_seconds) == (0.5, 2.0)
    assert (figures.errors_last_minute, figures.per_minute) == (2, 0.8)
    clock.now += 6 * 60
    later = stats.figures()
    assert (later.average_seconds, later.error_rate, later.errors_last_minute) == (0, 0, 0)
    assert (later.total, later.errors_last_day) == (4, 2)
    clock.now += 24 * 3600
    assert stats.figures().errors_last_day == 0
