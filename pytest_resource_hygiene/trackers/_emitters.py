"""What emitters of all sorts have in common: a listener that can be put in words, and its name."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import attribute_of

if TYPE_CHECKING:
    from pytest_resource_hygiene.recorder import Creation
    from pytest_resource_hygiene.tracker import Description

__all__ = ["Limit", "Listener", "class_name", "name_of"]

# Emitter, event, number of listeners, and how the newest of them was registered, if that was seen.
Limit = tuple[str, str, int, "Creation | None"]


class Listener:
    """What stands at the key of a listener: it can be put in words, and keeps nothing alive.

    Two of them always compare equal: listeners are added or gone, never *replaced* at their key.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Listener)

    def __hash__(self) -> int:
        return 0

    @property
    def creation(self) -> Creation | None:
        """How it was registered, if that was seen."""
        return None

    def find(self) -> Any:
        """Return the listener itself while it is registered, else None."""
        return None

    def describe(self) -> Description:
        """Put it in words."""
        raise NotImplementedError


def name_of(listener: Any) -> str:
    """Name a callable by module and qualified name, any other object by its class."""
    if listener is None:
        return "that is gone by now"
    if isinstance(listener, str):  # a registry of names
        return repr(listener)
    while isinstance(listener, functools.partial):
        listener = listener.func
    name = attribute_of(listener, "__qualname__")
    module = attribute_of(listener, "__module__")
    if isinstance(name, str):
        return f"{module}.{name}" if isinstance(module, str) else name
    return f"{class_name(listener)} object"


def class_name(obj: object) -> str:
    """Name the class of an object by module and qualified name."""
    return f"{type(obj).__module__}.{type(obj).__qualname__}"
