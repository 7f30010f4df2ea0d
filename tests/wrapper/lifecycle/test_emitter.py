"""Listeners are counted, undone, and never outlive their emitter."""

from __future__ import annotations

import gc
import weakref

import pytest

from claude_wrapper.lifecycle import Emitter, EmitterClosedError, MaxListenersExceededWarning

pytestmark = pytest.mark.anyio


async def test_the_eleventh_listener_warns_once_and_says_where() -> None:
    emitter = Emitter("system-monitor")
    for _ in range(10):
        emitter.on("sample", lambda: None)
    with pytest.warns(
        MaxListenersExceededWarning,
        match="11 listeners on event 'sample' of emitter 'system-monitor'",
    ) as seen:
        emitter.on("sample", lambda: None)
    assert str(seen[0].message).count("test_emitter.py:") == 11
    emitter.on("sample", lambda: None)
    assert len(seen) == 1


async def test_undo_and_remove_all_leave_nothing() -> None:
    emitter = Emitter("e")
    undo = emitter.on("a", lambda: None)
    emitter.on("b", lambda: None)
    undo()
    undo()
    assert (emitter.listener_count("a"), emitter.listener_count()) == (0, 1)
    emitter.remove_all()
    assert emitter.listener_count() == 0


async def test_a_failing_listener_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    emitter, heard = Emitter("e"), []

    def fail() -> None:
        raise ValueError("broken")

    async def hear(value: int) -> None:
        heard.append(value)

    emitter.on("a", lambda value: fail())
    emitter.on("a", hear)
    await emitter.emit("a", value=3)
    assert heard == [3]
    assert "listener of e.a failed" in caplog.text


async def test_a_destroyed_emitter_refuses_and_holds_nobody() -> None:
    class Owner:
        def hear(self) -> None: ...

    emitter, owner = Emitter("e"), Owner()
    emitter.on("a", owner.hear)
    emitter.destroy()
    remains = weakref.ref(owner)
    del owner
    gc.collect()
    assert remains() is None
    with pytest.raises(EmitterClosedError, match="'e' was destroyed"):
        emitter.on("a", lambda: None)
