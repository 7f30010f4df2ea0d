"""What the ledger is made of: an entry for each live resource, and a shelf for each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.tracker import IdentityKey

if TYPE_CHECKING:
    import weakref
    from collections.abc import Hashable, Mapping
    from types import CodeType

    from pytest_resource_hygiene.engine.inventory.owners import Owner
    from pytest_resource_hygiene.model import Change
    from pytest_resource_hygiene.recorder import Creation
    from pytest_resource_hygiene.tracker import Description, Tracker

__all__ = ["Entry", "Shelf", "same"]


class Entry:
    """One resource, or one value of a slot.

    Attributes:
        tracker: of its kind.
        key: the identity that the tracker gave.
        owner: who answers for it; None for what was there before anybody.
        creation: how it was made, if that was seen.
        change: how it differs from what was there.
        previous: the entry that this one replaced, for slots.
        made_during: the test that ran when it was first seen.
        waited: seconds that it has been given to go.
        by_collector: whether only the garbage collector ended it.
        severity: overrides that of its kind; None if nothing does.
        description: the words for it, once it was asked for them.
        code: of what it runs, where it was caught in the act; else the tracker knows.
        was_idle: whether it is a worker that had nothing to do when its owner ended.
    """

    __slots__ = (
        "_value", "by_collector", "change", "code", "creation", "description", "key", "made_during",
        "owner", "previous", "severity", "tracker", "waited", "was_idle",
    )  # fmt: skip

    def __init__(
        self,
        tracker: Tracker,
        key: Hashable,
        value: Any,
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
        self.code: CodeType | None = None
        self.was_idle = False

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
            self.owner.release(self)

    def give_to(self, owner: Owner | None) -> None:
        """Have another owner hold it, or nobody."""
        self.release()
        self.owner = owner
        if owner is not None:
            owner.hold(self)


class Shelf:
    """The entries of one kind.

    Attributes:
        tracker: of the kind.
        listed: the listing that they are of, where the tracker returns the same one again.
        entries: by the keys that the tracker gave.
        broken: whether the tracker has raised; it is not asked again.
        told: the objects of what was reported, by key.
    """

    def __init__(self, tracker: Tracker) -> None:
        """Begin empty."""
        self.told: dict[Hashable, weakref.ref[Any]] = {}
        self.tracker = tracker
        self.listed: Mapping[Hashable, Any] | None = None
        self.entries: dict[Hashable, Entry] = {}
        self.broken = False

    def is_taken_again(self) -> bool:
        """Return whether the object of something that was reported is gone.

        If its key is listed all the same, something else has its number by now, and its file.
        """
        return any(ref() is None for ref in self.told.values())

    def drop_taken_again(self) -> None:
        """Forget such entries, so that what has their keys is new."""
        for key in [key for key, ref in self.told.items() if ref() is None]:
            del self.told[key]
            entry = self.entries.pop(key, None)
            if entry is not None:
                entry.release()
                self.listed = None

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
