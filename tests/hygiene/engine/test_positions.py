"""What the instruction of a call tells of where it is written, and of what becomes of its result."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Self

import pytest

from pytest_resource_hygiene.positions import is_entered

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from pytest_resource_hygiene.audit import Stack


class _Thing:
    """Knows the frames that made it, as a record of the recorder has them."""

    def __init__(self) -> None:
        frames: list[Any] = []
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and len(frames) < 8:
            frames += (frame.f_code, frame.f_lasti)
            frame = frame.f_back
        self.stack: Stack = tuple(frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        pass

    def close(self) -> None:
        """End nothing."""


def _returned() -> _Thing:
    return _Thing()


def _named() -> _Thing:
    thing = _Thing()
    return thing  # noqa: RET504 - that it has a name first is what matters


@pytest.mark.parametrize("_time", range(12))  # from the eighth on, calls are specialised
def test_only_what_is_entered_at_once_is_entered(_time: int) -> None:
    with _Thing() as first, _Thing() as second:
        assert is_entered(first.stack)
        assert is_entered(second.stack)
    with _returned() as thing:
        assert is_entered(thing.stack)
    thing = _Thing()
    with thing:
        assert not is_entered(thing.stack)
    with _named() as thing:
        assert not is_entered(thing.stack), "somebody else may have it by now"
    with closing(_Thing()) as thing, ExitStack() as stack:
        assert not is_entered(thing.stack)
        assert not is_entered(stack.enter_context(_Thing()).stack)


def test_no_frames_entered_nothing() -> None:
    assert not is_entered(())
