"""What a loop's own callbacks do while somebody else gives it a moment."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from pytest_resource_hygiene.trackers._loop_turns import run_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    Loop = asyncio.AbstractEventLoop


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A loop that nobody runs."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def _passed(loop: Loop, seconds: float) -> float:
    began = time.monotonic()
    run_for(loop, seconds)
    return time.monotonic() - began


async def _ends_when_cancelled(said: list[str]) -> None:
    try:
        await asyncio.sleep(3600)
    finally:
        said.append("bye")


def test_a_few_turns_are_enough_for_a_task_that_is_cancelled(loop: Loop) -> None:
    """It has to begin, to hear of it, and to end."""
    said: list[str] = []
    task = loop.create_task(_ends_when_cancelled(said))
    run_for(loop, 0)
    task.cancel()
    run_for(loop, 0)
    assert said == ["bye"]
    assert task.done()


def test_the_time_passes(loop: Loop) -> None:
    """And a timer that rings within it does ring."""
    rung: list[int] = []
    loop.call_later(0.01, rung.append, 1)
    assert _passed(loop, 0.02) >= 0.02
    assert rung == [1]


def test_the_time_passes_on_a_loop_that_one_of_its_callbacks_stops(loop: Loop) -> None:
    """As ipykernel's does."""
    rung: list[int] = []
    loop.call_soon(loop.stop)
    loop.call_later(0.01, rung.append, 1)
    assert _passed(loop, 0.02) >= 0.02
    assert rung == [1]


def test_the_time_passes_on_a_loop_that_is_stopped_again_and_again(loop: Loop) -> None:
    """It is no loop of ours that would turn round as fast as it can."""
    turns: list[int] = []

    def stop() -> None:
        turns.append(1)
        loop.stop()
        loop.call_soon(stop)

    loop.call_soon(stop)
    assert _passed(loop, 0.02) >= 0.02
    assert len(turns) <= 40


def test_the_time_passes_where_a_test_has_stopped_the_clock(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is to be called soon is called."""
    called: list[int] = []
    monkeypatch.setattr(loop, "time", lambda: 1.0)
    loop.call_soon(called.append, 1)
    assert _passed(loop, 0.02) >= 0.02
    assert called == [1]


def test_a_task_that_ends_the_program_does_not_end_it(loop: Loop) -> None:
    """Its test had left it, and so has never run it that far."""

    async def leave() -> None:
        raise SystemExit(3)

    task = loop.create_task(leave())
    assert _passed(loop, 0.01) >= 0.01
    assert isinstance(task.exception(), SystemExit)


def test_the_interrupt_of_a_user_is_no_callbacks_affair(loop: Loop) -> None:
    """Ctrl-C ends the run."""

    async def interrupted() -> None:
        raise KeyboardInterrupt

    task = loop.create_task(interrupted())
    with pytest.raises(KeyboardInterrupt):
        run_for(loop, 0.01)
    assert isinstance(task.exception(), KeyboardInterrupt)


def test_nothing_of_ours_is_left_on_the_loop(loop: Loop) -> None:
    """A timer that stops the loop later would stop it for whoever runs it next."""
    loop.call_soon(loop.stop)
    run_for(loop, 0.01)
    loop.run_until_complete(asyncio.sleep(0.02))
