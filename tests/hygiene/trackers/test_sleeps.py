"""Which timers of asyncio only wake a task, and which are leaks of their own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from pytest_resource_hygiene.trackers._sleeps import is_sleep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Loop = asyncio.AbstractEventLoop


class _Refusing:
    """Answers no question."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __call__(self, *args: object) -> None:
        """Do nothing."""


class _AnswersAll(type):
    def __getattr__(cls, name: str) -> Any:
        raise RuntimeError(name)


class _OfAnother(metaclass=_AnswersAll):
    """Has a class that refuses what it has not."""


@pytest.fixture
def loop() -> Iterator[Loop]:
    """Yield a loop of which nobody has asked anything."""
    loop = asyncio.SelectorEventLoop()
    yield loop
    loop.close()


def _timers(loop: Any) -> list[asyncio.TimerHandle]:
    return [timer for timer in loop._scheduled if not timer.cancelled()]


def test_a_sleep_and_a_timeout_wake_a_task(loop: Loop) -> None:
    """The task is told, and not its timer as well."""
    seen: list[bool] = []

    async def look() -> None:
        seen.extend(is_sleep(timer) for timer in _timers(loop))

    async def wait() -> None:
        asleep = loop.create_task(asyncio.sleep(1000))
        async with asyncio.timeout(1000):
            await asyncio.sleep(0)
            await look()
        asleep.cancel()

    loop.run_until_complete(wait())

    assert seen == [True, True]


@pytest.mark.parametrize("make", [Mock, _Refusing, int, lambda: Mock, _OfAnother])
def test_a_call_is_no_sleep_whatever_it_is_given(loop: Loop, make: Callable[[], object]) -> None:
    """A mock has every attribute of a future that somebody waits for."""
    loop.call_later(1000, print, make())

    assert [is_sleep(timer) for timer in _timers(loop)] == [False]


@pytest.mark.parametrize("make", [Mock, _Refusing])
def test_who_is_called_need_not_answer(loop: Loop, make: Callable[[], Any]) -> None:
    """Whatever it is, it will be called."""
    loop.call_later(1000, make())

    assert [is_sleep(timer) for timer in _timers(loop)] == [False]
