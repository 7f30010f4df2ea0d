"""Errors of the loop come to the log, once; the handler of others comes back."""

from __future__ import annotations

import asyncio
import errno
import logging

import pytest
from wrapper.support.clock import FakeClock

from claude_wrapper.lifecycle import LoopErrors

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def full() -> dict[str, object]:
    return {"message": "no room", "exception": OSError(errno.EMFILE, "Too many open files")}


async def test_a_flood_is_one_line_and_a_number(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    errors, loop = LoopErrors(clock), asyncio.get_running_loop()
    errors.install()
    for _ in range(1000):
        loop.call_exception_handler(full())
    await clock.advance(11)
    loop.call_exception_handler(full())
    errors.restore()
    assert [record.getMessage() for record in caplog.records] == [
        "no room: [Errno 24] Too many open files (0 like it were not logged)",
        "no room: [Errno 24] Too many open files (999 like it were not logged)",
    ]


async def test_a_mistake_of_ours_keeps_its_traceback(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    errors = LoopErrors(clock)
    errors.install()
    context = {"message": "callback failed", "exception": ValueError("ours")}
    asyncio.get_running_loop().call_exception_handler(context)
    errors.restore()
    [record] = caplog.records
    assert record.exc_info
    assert record.levelno == logging.ERROR


async def test_the_handler_of_others_comes_back(clock: FakeClock) -> None:
    loop = asyncio.get_running_loop()

    def theirs(_loop: asyncio.AbstractEventLoop, _context: dict[str, object]) -> None:
        return

    before = loop.get_exception_handler()
    loop.set_exception_handler(theirs)
    errors = LoopErrors(clock)
    errors.install()
    errors.install()
    assert loop.get_exception_handler() != theirs
    errors.restore()
    errors.restore()
    assert loop.get_exception_handler() is theirs
    loop.set_exception_handler(before)
