"""Loops: made, and never closed. The selector and the two sockets of a loop are part of it."""

from __future__ import annotations

import asyncio

LOOPS = []


async def answer():
    return 42


def test_leaks_a_loop():
    loop = asyncio.new_event_loop()
    LOOPS.append(loop)
    assert loop.run_until_complete(answer()) == 42


def test_closes_its_loop():
    with asyncio.Runner() as runner:
        assert runner.run(answer()) == 42
