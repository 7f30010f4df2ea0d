"""How long suspects are waited for: shorter where the same making has been waited for in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_resource_hygiene.engine.entries import Entry
    from pytest_resource_hygiene.engine.settings import EngineSettings
    from pytest_resource_hygiene.recorder import Creation

__all__ = ["Patience"]


class Patience:
    """Remembers which makings have cost the full grace period. All times are in seconds.

    Args:
        settings: returns the grace periods; a marker may change them for one test.
    """

    def __init__(self, settings: Callable[[], EngineSettings]) -> None:
        """Have waited in vain for nothing yet."""
        self._settings = settings
        self._slow: set[object] = set()

    def of(self, entries: Iterable[Entry]) -> float:
        """Return the grace period for all these together: short if all are known to be slow."""
        return self._of(map(_making, entries))

    def of_creations(self, creations: Iterable[Creation | None]) -> float:
        """Return the same for what is in no ledger yet."""
        return self._of(creation and creation.stack for creation in creations)

    def _of(self, makings: Iterable[object]) -> float:
        settings = self._settings()
        made = list(makings)
        if made and self._slow.issuperset(made):
            return min(settings.grace, settings.repeat_grace)
        return settings.grace

    def of_known(self) -> float:
        """Return how long to wait for what a baseline knows already."""
        settings = self._settings()
        return min(settings.grace, settings.known_grace)

    def rest_of(self, late: Iterable[Entry], spent: float) -> float:
        """Return how long to wait for what came meanwhile: for once, as long as closers may take.

        Args:
            late: what that is.
            spent: how long the wait has taken so far.
        """
        patience = self.of(late)
        least = min(patience, self._settings().repeat_grace)
        return max(least, patience - spent) if spent < patience + least else 0.0

    def was_in_vain(self, entries: Iterable[Entry]) -> None:
        """Remember what the full grace period did not end."""
        self._slow.update(map(_making, entries))

    def creations_were_in_vain(self, creations: Iterable[Creation | None]) -> None:
        """Remember the same of what is in no ledger yet."""
        self._slow.update(creation.stack for creation in creations if creation is not None)

    def is_over(self, left: Iterable[Entry], patience: float) -> None:
        """Remember those of a wait that were still there at its end."""
        self.was_in_vain(one for one in left if one.waited >= patience > 0)


def _making(entry: Entry) -> object:
    """Return what is the same for all that is made at one place; nobody sees where C code does it."""
    return entry.creation.stack if entry.creation is not None else entry.tracker.kind
