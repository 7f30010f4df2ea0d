"""Slots that are set for a while and put back: whoever puts an older value back has not set it.

A fixture that blocks a signal while it writes, and then has the mask as it found it, is not where a
test's own change of the mask was made; nor is one that stops a clock for a moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable
    from types import CodeType

    from pytest_resource_hygiene.recorder import Creation

__all__ = ["Settings"]

_MAX_DEPTH = 100


class _Set(NamedTuple):
    value: Any
    made: Creation | None  # None: it was there from the first


class Settings:
    """What slots were set to since all was forgotten, one value above the other."""

    def __init__(self) -> None:
        """Know of no change."""
        self._stacks: dict[Hashable, list[_Set]] = {}
        # What was taken off a stack by the last change, and where that was.
        self._undone: dict[Hashable, tuple[_Set, Creation]] = {}

    def __bool__(self) -> bool:
        return bool(self._stacks)

    def note(self, key: Hashable, before: Any, value: Any, made: Creation) -> None:
        """Take down one change.

        Args:
            key: of the slot.
            before: what was in it, by its own words: a clock has less time left than it was set to.
            value: what was put there.
            made: where.
        """
        stack = self._stacks.setdefault(key, [_Set(before, None)])
        top = stack[-1] = stack[-1]._replace(value=before)
        undone = self._undone.pop(key, None)
        if undone is not None and undone[0].value == value and _is_swap(*undone, made):
            stack.append(undone[0])
        elif len(stack) > 1 and stack[-2].value == value:
            del stack[-1]
            self._undone[key] = top, made
        else:
            stack.append(_Set(value, made))
            del stack[1 : len(stack) - _MAX_DEPTH]

    def last(self, key: Hashable) -> Creation | None:
        """Return where what is in a slot now was put there; None if it was there from the first."""
        stack = self._stacks.get(key)
        return stack[-1].made if stack else None

    def forget(self, keys: Collection[Hashable] = ()) -> None:
        """Drop all but those of some keys."""
        self._stacks = {key: stack for key, stack in self._stacks.items() if key in keys}
        self._undone.clear()


def _is_swap(taken: _Set, taken_by: Creation, put_back_by: Creation) -> bool:
    """Return whether what somebody else had set was taken out, and put back, by one file's code."""
    out, back = _code_of(taken_by), _code_of(put_back_by)
    if out is None or back is None or out is _code_of(taken.made):
        return False
    in_one_go = taken_by.window is put_back_by.window
    # A loop sets what is needed for the first of its handlers, and unsets it after the last.
    return in_one_go and out.co_filename == back.co_filename and not _is_loops(out)


def _is_loops(code: CodeType) -> bool:
    return code.co_filename.endswith("unix_events.py")


def _code_of(made: Creation | None) -> CodeType | None:
    code: CodeType | None = made.stack[0] if made is not None and made.stack else None
    return code
