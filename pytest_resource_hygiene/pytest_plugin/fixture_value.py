"""What a wider fixture keeps: its value, the locals of its generator, and what it put elsewhere."""

from __future__ import annotations

from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import attribute_of, is_a
from pytest_resource_hygiene.pytest_plugin.user_code import unwrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Elsewhere", "is_runners", "kept_by"]


def kept_by(fixturedef: Any) -> list[Any]:
    """Return the fixture's value, and the locals of its generator, which waits at its ``yield``.

    And what was registered to be called at its end, by whomever.
    """
    result = fixturedef.cached_result
    kept = [result[0]] if result is not None else []
    for finalizer in fixturedef._finalizers:  # noqa: SLF001 - nothing else leads to the generator
        if not is_runners(finalizer):
            kept.append(finalizer)
        arguments = attribute_of(finalizer, "args")  # of a partial, as pytest makes one
        for argument in arguments if isinstance(arguments, tuple) else ():
            frame = attribute_of(argument, "gi_frame")
            if is_a(frame, FrameType):
                kept += frame.f_locals.values()
    # A class or a module is no value: what tests bind in it is not the fixture's.
    return [one for one in kept if not is_a(one, (type, ModuleType))]


def is_runners(finalizer: Any) -> bool:
    """Return whether a finalizer is pytest's own, and keeps nothing of anybody's."""
    function = attribute_of(finalizer, "func", finalizer)
    return str(attribute_of(function, "__module__", "")).startswith("_pytest.")


class Elsewhere:
    """What a fixture's setup has bound in its class or module: ``cls.client``, a ``global``.

    xunit functions have no other way to keep anything.
    """

    def __init__(self, fixturedef: Any, request: Any) -> None:
        """Remember what is bound before the setup."""
        function = unwrapped(fixturedef.func)
        self._class = request.cls if fixturedef.scope == "class" else None
        self._spaces: list[Mapping[str, Any]] = []
        if fixturedef.scope == "class":
            self._spaces.append(vars(request.cls))
        elif fixturedef.scope == "module":
            self._spaces.append(vars(request.module))
        space = getattr(function, "__globals__", None)
        if space is not None and not any(space is one for one in self._spaces):
            self._spaces.append(space)
        self._before = [{name: id(value) for name, value in s.items()} for s in self._spaces]
        self._bound: list[dict[str, int]] | None = None

    def setup_ended(self) -> None:
        """Note which names the setup has bound."""
        self._bound = [
            {name: id(value) for name, value in space.items() if before.get(name) != id(value)}
            for space, before in zip(self._spaces, self._before, strict=True)
        ]
        self._before = []

    def values(self) -> list[Any]:
        """Return what was bound by the setup and still is, and what unittest ends with the class."""
        return [
            *getattr(self._class, "_class_cleanups", ()),  # those of ``addClassCleanup``
            *self._still_bound(),
        ]

    def _still_bound(self) -> list[Any]:
        return [
            space[name]
            for space, bound in zip(self._spaces, self._bound or (), strict=False)
            for name, identity in bound.items()
            if name in space and id(space[name]) == identity
        ]
