"""Turns on sessions whose store takes its time: whose they are is known only after it was asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from claude_wrapper.errors import NotFoundError
from claude_wrapper.lifecycle import ResourceTracker
from claude_wrapper.model import Message, TextPart
from claude_wrapper.sessions import MemoryStore, Session, SessionLimits
from claude_wrapper.sessions.service import SessionService, SessionTurn

if TYPE_CHECKING:
    from collections.abc import Awaitable

pytestmark = pytest.mark.anyio

LIMITS = SessionLimits(sessions=9, size=100_000, messages=100, ttl=100)
SAID = (Message(role="user", parts=(TextPart(text="said"),)),)


class SlowStore(MemoryStore):
    """Answers when it is told to, as a file on a busy disk does."""

    def __init__(self) -> None:
        super().__init__(LIMITS)
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def get(self, session_id: str) -> Session | None:
        await self.may_answer.wait()
        return await super().get(session_id)


def service_on(store: MemoryStore) -> SessionService:
    return SessionService(store, LIMITS, ResourceTracker())


async def begun(service: SessionService, owner: str) -> SessionTurn:
    turn = await service.ask("s", owner, may_wait=False)
    await service.open(turn)
    return turn


async def said(service: SessionService, owner: str) -> None:
    turn = await begun(service, owner)
    assert await turn.commit(SAID, model="sonnet", system="")
    turn.release()


async def running(work: Awaitable[object]) -> asyncio.Future[object]:
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    return task


async def test_a_turn_that_is_not_opened_yet_is_no_right_to_delete() -> None:
    service = service_on(store := SlowStore())
    await said(service, "alice")
    store.may_answer.clear()
    turn = await service.ask("s", "mallory", may_wait=True)
    opening = await running(service.open(turn))
    deletion = await running(service.delete("s", "mallory"))
    store.may_answer.set()
    for refused in (opening, deletion):
        with pytest.raises(NotFoundError):
            await refused
    turn.release()
    assert (await service.get("s", "alice")).messages == SAID


async def test_a_turn_that_is_not_opened_yet_keeps_nobody_from_their_own_session() -> None:
    service = service_on(store := SlowStore())
    await said(service, "alice")
    store.may_answer.clear()
    turn = await service.ask("s", "mallory", may_wait=True)
    opening = await running(service.open(turn))
    place = service.ask("s", "alice", may_wait=True)
    store.may_answer.set()
    with pytest.raises(NotFoundError):
        await opening
    turn.release()
    await service.open(mine := await place)
    assert mine.session.messages == SAID


@pytest.mark.parametrize("is_new", [True, False])
async def test_deleting_a_session_while_it_is_opened_stops_the_turn(*, is_new: bool) -> None:
    service = service_on(store := SlowStore())
    if not is_new:
        await said(service, "alice")
    store.may_answer.clear()
    turn = await service.ask("s", "alice", may_wait=True)
    stopped = asyncio.Event()

    async def begin() -> None:
        await service.open(turn)
        turn.stop = stopped.set

    opening = await running(begin())
    deletion = await running(service.delete("s", "alice"))
    store.may_answer.set()
    await asyncio.gather(opening, deletion)
    assert stopped.is_set()
    assert await turn.commit(SAID, model="sonnet", system="")
    turn.release()
    assert await store.get("s") is None
