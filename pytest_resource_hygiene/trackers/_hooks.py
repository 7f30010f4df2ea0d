"""Hooks of the interpreter, which are set by assignment: nothing tells of it, and nobody adds one.

Those for errors, for what the prompt displays, and for what shows warnings.
"""

from __future__ import annotations

import functools
import sys
import threading
import warnings
from types import MethodType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import attribute_of, is_a
from pytest_resource_hygiene.recorder import Creation
from pytest_resource_hygiene.tracker import Description
from pytest_resource_hygiene.trackers._names import name_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from pytest_resource_hygiene.recorder import Stack
    from pytest_resource_hygiene.trackers._imports import ImportWatch

__all__ = ["Hook", "HooksOfImports", "describe_hook", "list_hooks", "put_back_hook"]

_SHOW = "warnings.showwarning"

# Slot to the module, the attribute, and where the interpreter keeps its own value.
_HOOKS = {
    "sys.excepthook": (sys, "excepthook", "__excepthook__"),
    "sys.unraisablehook": (sys, "unraisablehook", "__unraisablehook__"),
    "sys.displayhook": (sys, "displayhook", "__displayhook__"),
    "threading.excepthook": (threading, "excepthook", "__excepthook__"),
    _SHOW: (warnings, "showwarning", "_showwarning_orig"),
}
_RUNNER = "_pytest"


class Hook:
    """The value of a hook. The test runner's and the interpreter's own count as the same.

    Attributes:
        value: what is called.
        is_neutral: whether it is the test runner's or the interpreter's own.
        lasting: what to put back later in its place.
    """

    __slots__ = ("is_neutral", "lasting", "value")

    def __init__(self, value: Any, own: Any) -> None:
        """Compare the value with the interpreter's own."""
        self.value = value
        self.is_neutral = value is own or _is_runners(value)
        # A method among the runner's hooks serves one phase of a test, which may be over by now.
        self.lasting = own if self.is_neutral and is_a(value, MethodType) else value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Hook):
            return NotImplemented
        return _is_one(self.value, other.value) or (self.is_neutral and other.is_neutral)

    def __hash__(self) -> int:
        return 0


def list_hooks(*, warnings_too: bool) -> dict[Hashable, Hook]:
    """Return all hooks by their names.

    Args:
        warnings_too: whether what shows warnings is one.
    """
    return {
        name: Hook(getattr(module, attribute, None), getattr(module, own, None))
        for name, (module, attribute, own) in _HOOKS.items()
        if warnings_too or name != _SHOW
    }


class HooksOfImports:
    """Remembers which hooks modules have set while they were first imported."""

    def __init__(self) -> None:
        """Remember none."""
        self._set: dict[str, tuple[Any, Creation]] = {}

    def watch(self, imports: ImportWatch) -> None:
        """Compare before and after each import: an assignment leaves no trace."""
        imports.add(_values, self._note_changes)

    def _note_changes(
        self, before: Mapping[str, Any], stack: Stack, owner: Any, window: Any
    ) -> None:
        for name, value in _values().items():
            # A module within another has set it first, and is seen to be done with it first.
            if value is not before[name] and self._set.get(name, (None,))[0] is not value:
                self._set[name] = value, Creation(stack, owner, window, None, None)

    def creation_of(self, name: str, hook: Hook) -> Creation | None:
        """Return how a hook was set, if an import has done so."""
        value, creation = self._set.get(name, (None, None))
        return creation if value is hook.value else None

    def forget(self) -> None:
        """Drop the records."""
        self._set.clear()


def _values() -> dict[str, Any]:
    return {
        name: getattr(module, attribute, None) for name, (module, attribute, _) in _HOOKS.items()
    }


def put_back_hook(name: str, old: Hook) -> bool:
    """Set a hook to what it was; return whether there is one of that name."""
    if name not in _HOOKS:
        return False
    module, attribute, _ = _HOOKS[name]
    setattr(module, attribute, old.lasting)
    return True


def describe_hook(name: str, new: Hook, old: Hook | None) -> Description:
    """Say what took the place of what."""
    after = name_of(new.value) if new.value is not None else "nothing, it was deleted"
    before = name_of(old.value) if old is not None else "unknown"
    return Description(
        summary=f"{name} replaced: {before} -> {after}",
        target=f"{name} {after}",
        details={"slot": name, "old": before, "new": after},
        hint=f"keep the previous {name} and assign it again when done, or use monkeypatch.setattr",
    )


def _is_one(hook: Any, other: Any) -> bool:
    """Compare by identity: a method is made anew at each access, and what else may say anything."""
    return hook is other or (type(hook) is type(other) is MethodType and hook == other)


def _is_runners(hook: Any) -> bool:
    while is_a(hook, functools.partial):
        hook = hook.func
    return str(attribute_of(hook, "__module__", "")).partition(".")[0] == _RUNNER
