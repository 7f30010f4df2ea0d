"""The ledger: every live resource, one entry each, and who owns it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.tracker import IdentityKey

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from pytest_resource_hygiene.engine.owners import Owner
    from pytest_resource_hygiene.model import Change
    from pytest_resource_hygiene.recorder import Creation
    from pytest_resource_hygiene.tracker import Description, Tracker

__all__ = ["Entry", "Shelf", "same"]


class Entry:
    """One resource, or one value of a slot."""

    __slots__ = (
        "_value", "by_collector", "change", "creation", "description", "key", "made_during",
        "owner", "previous", "severity", "tracker", "waited",
    )  # fmt: skip

    def __init__(
        self,
        tracker: Tracker,
        key: Hashable,
        value: Any,
        *,
        owner: Owner | None = None,
        creation: Creation | None = None,
        change: Change = "added",
        previous: Entry | None = None,
        made_during: str = "",
    ) -> None:
        """Describe one resource without keeping an object alive that its key refers to weakly."""
        self.tracker = tracker
        self.key = key
        self._value = None if isinstance(key, IdentityKey) else value
        self.owner = owner
        self.creation = creation
        self.change = change
        self.previous = previous
        self.made_during = made_during
        self.waited = 0.0
        self.by_collector = False
        self.severity: str | None = None
        self.description: Description | None = None

    @property
    def value(self) -> Any:
        """The handle that the tracker gave, or the object behind the key if it still lives."""
        return self.key.ref() if isinstance(self.key, IdentityKey) else self._value

    @property
    def is_gone(self) -> bool:
        """Return whether the object behind the key has ceased to exist."""
        return isinstance(self.key, IdentityKey) and self.key.ref() is None

    @property
    def old(self) -> Any:
        """The value that this one replaced."""
        return self.previous.value if self.previous is not None else None

    def release(self) -> None:
        """Have its owner hold it no longer; whose it was stays known."""
        if self.owner is not None:
            self.owner.held.pop(self, None)

    def give_to(self, owner: Owner | None) -> None:
        """Have another owner hold it, or nobody."""
        self.release()
        self.owner = owner
        if owner is not None:
            owner.held[self] = None


class Shelf:
    """The entries of one kind, and the listing that they are of, where that tells anything."""

    def __init__(self, tracker: Tracker) -> None:
        """Begin empty."""
        self.tracker = tracker
        self.listed: Mapping[Hashable, Any] | None = None
        self.entries: dict[Hashable, Entry] = {}
        self.broken = False

    def fill(self, resources: Mapping[Hashable, Any]) -> None:
        """Take everything that exists as given: nobody will answer for it."""
        self.entries = {key: Entry(self.tracker, key, value) for key, value in resources.items()}


def same(one: Any, other: Any) -> bool:
    """Compare the values of a slot; a comparison that fails says no."""
    if one is other:
        return True
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - the user's ``__eq__`` may do anything
        return False
