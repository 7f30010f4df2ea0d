"""Who has left is noticed, and whoever stayed leaves nothing that only the collector could free."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
import weakref
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pytest

from claude_wrapper.errors import RequestTimeoutError
from claude_wrapper.lifecycle import ResourceTracker
from claude_wrapper.routes.client_watch import ClientWatch
from claude_wrapper.routes.conversation import _session_turn
from claude_wrapper.sessions import MemoryStore, SessionLimits
from claude_wrapper.sessions.service import SessionService

if TYPE_CHECKING:
    from starlette.requests import Request

pytestmark = pytest.mark.anyio

LIMITS = SessionLimits(sessions=9, size=100_000, messages=100, ttl=100)


class Client:
    """Stands for a request: says when it has gone."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}


class Talk:
    """Stands for a conversation: holds its watch, which can stop it."""

    def __init__(self, client: Client, tracker: ResourceTracker) -> None:
        self.was_stopped = False
        self.watch = ClientWatch(cast("Request", client), tracker)
        self.watch.on_leave = self.stop

    def stop(self) -> None:
        self.was_stopped = True


async def test_a_client_that_leaves_stops_its_turn() -> None:
    client = Client()
    talk = Talk(client, ResourceTracker())
    client.gone.set()
    await asyncio.wait([cast("asyncio.Task[None]", talk.watch._task)])
    assert (talk.watch.has_left, talk.was_stopped) == (True, True)
    talk.watch.close()


async def test_a_conversation_that_is_over_needs_no_garbage_collector() -> None:
    """It holds up to 32 MiB of request and as much of an answer."""
    talk = Talk(Client(), tracker := ResourceTracker())
    await asyncio.sleep(0)
    task = cast("asyncio.Task[None]", talk.watch._task)
    gone = weakref.ref(talk)
    talk.watch.close()
    await asyncio.wait([task])
    del task
    gc.disable()
    try:
        del talk
        await asyncio.sleep(0)
        assert gone() is None
    finally:
        gc.enable()
    assert tracker.list() == ()


class Asked:
    """Stands for a request."""

    headers: ClassVar[dict[str, str]] = {}
    state = SimpleNamespace(owner="")

    async def receive(self) -> dict[str, str]:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_session_that_is_free_in_the_moment_the_waiting_ends_is_not_lost() -> None:
    sessions = SessionService(MemoryStore(LIMITS), LIMITS, tracker := ResourceTracker())
    settings = SimpleNamespace(request_timeout=0.02, session_busy="wait")
    services = cast("Any", SimpleNamespace(sessions=sessions, settings=settings))
    before = await sessions.ask("s", "", may_wait=False)
    watch = ClientWatch(cast("Any", Asked()), tracker)
    waiting = asyncio.ensure_future(_session_turn(services, cast("Any", Asked()), "s", watch))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.01, before.release)
    # Both are due when the loop looks again, and happen in this order.
    time.sleep(0.03)
    with contextlib.suppress(RequestTimeoutError):
        (await waiting).release()
    watch.close()
    assert await sessions.ask("s", "", may_wait=False)
