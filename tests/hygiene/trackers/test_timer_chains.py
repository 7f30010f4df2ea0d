"""Timers of a loop that set themselves again: whose they are, and how much of them is kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.trackers._timer_chains import TimerChains

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_resource_hygiene.recorder import Recorder


class Heart:
    """Beats: a callback is known by its object."""

    def beat(self) -> None:
        """Do nothing else."""


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that several tests would share."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def _look(chains: TimerChains, loop: Any, heart: Heart, recorder: Recorder, *, again: bool) -> Any:
    """Set a timer, look at it, and cancel it: a record without a stack is of nobody's making."""
    made = recorder.creation(None)
    timer = loop.call_later(1000, heart.beat)
    creation = chains.creation(timer, made._replace(stack=()) if again else made)
    timer.cancel()
    return creation


def test_a_loop_that_serves_all_tests_keeps_the_latest_chains_only(
    loop: asyncio.AbstractEventLoop, recorder: Recorder
) -> None:
    """A chain that goes on is a late one, however long ago it was begun."""
    chains, old = TimerChains(), Heart()
    begun = _look(chains, loop, old, recorder, again=False)
    others = [Heart() for _ in range(1_500)]
    for number, heart in enumerate(others):
        _look(chains, loop, heart, recorder, again=False)
        if number % 500 == 0:
            _look(chains, loop, old, recorder, again=True)

    assert len(chains._first[loop]) <= 1_000
    assert _look(chains, loop, old, recorder, again=True).parent is begun
    assert _look(chains, loop, others[0], recorder, again=True).parent is None
