"""What emitters of all sorts have in common: a listener that can be put in words."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import is_a

if TYPE_CHECKING:
    from pytest_resource_hygiene.recorder import Creation
    from pytest_resource_hygiene.tracker import Description

__all__ = ["Limit", "Listener", "strong"]

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


def strong(listener: Any) -> Any:
    """Return what a weak reference refers to, None if that is gone; all else as it is."""
    return listener() if is_a(listener, weakref.ref) else listener
