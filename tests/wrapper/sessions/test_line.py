"""The line before a session: in order, one at a time, and nobody who left is served."""

from __future__ import annotations

import itertools

import pytest

from claude_wrapper.errors import ConflictError, OverloadedError
from claude_wrapper.sessions.line import SessionLines

pytestmark = pytest.mark.anyio


async def test_turns_come_in_the_order_of_asking_and_pass_over_who_left() -> None:
    lines: SessionLines[int] = SessionLines(10)
    numbers = itertools.count()

    def make() -> int:
        return next(numbers)

    first, second, third = (lines.join("s", make, may_wait=True) for _ in range(3))
    assert first.result() == 0
    assert lines.waiting == 2
    second.cancel()
    assert lines.waiting == 1
    lines.leave("s", 0)
    assert third.result() == 1
    # The first one cannot end a turn that is no longer its own.
    lines.leave("s", 0)
    assert lines.current("s") == 1
    lines.leave("s", 1)
    assert lines.current("s") is None


async def test_sessions_do_not_wait_for_each_other_but_share_the_bound() -> None:
    lines: SessionLines[str] = SessionLines(1)
    for name in ("a", "b"):
        assert lines.join(name, lambda: "turn", may_wait=False).done()
    waiting = lines.join("a", lambda: "turn", may_wait=True)
    with pytest.raises(OverloadedError, match="1 requests wait"):
        lines.join("b", lambda: "turn", may_wait=True)
    with pytest.raises(ConflictError, match="'b' is in the middle"):
        lines.join("b", lambda: "turn", may_wait=False)
    lines.send_away("a", ConflictError("gone"))
    with pytest.raises(ConflictError, match="gone"):
        await waiting
    lines.join("b", lambda: "turn", may_wait=True).cancel()


async def test_who_left_is_not_kept_until_the_turn_is_over() -> None:
    lines: SessionLines[int] = SessionLines(10)
    numbers = itertools.count()
    lines.join("s", lambda: next(numbers), may_wait=True)
    for _ in range(100):
        lines.join("s", lambda: next(numbers), may_wait=True).cancel()
    assert len(lines._lines["s"].waiting) <= 1


async def test_a_session_that_nobody_uses_has_no_line() -> None:
    lines: SessionLines[int] = SessionLines(10)
    lines.leave("s", lines.join("s", lambda: 1, may_wait=True).result())
    assert lines._lines == {}
