"""Tasks: begun, and neither awaited nor cancelled."""

from __future__ import annotations

import asyncio

import pytest


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


async def refresh():
    while True:
        await asyncio.sleep(30)


async def start():
    return asyncio.create_task(refresh())


def test_leaks_a_task(loop):
    loop.run_until_complete(start())


def test_cancels_its_task(loop):
    async def start_and_cancel():
        task = await start()
        task.cancel()
        await asyncio.wait([task])

    loop.run_until_complete(start_and_cancel())
