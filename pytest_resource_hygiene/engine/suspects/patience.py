"""How long suspects are waited for: shorter where the same making has been waited for in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.engine.settings import EngineSettings
    from pytest_resource_hygiene.recorder import Creation

__all__ = ["Patience"]


_CHAINS = 3  # of calls that came to one line, in vain: then the line is to blame


class Patience:
    """Remembers which makings have cost the full grace period. All times are in seconds.

    A making is a whole chain of calls: a helper that starts what somebody leaks may start for
    others what only ends slowly. But if several chains through one line were in vain, all are.

    Args:
        settings: returns the grace periods; a marker may change them for one test.
        line_of: returns what is the same for all that one line of the user's makes, or None.
    """

    def __init__(
        self,
        settings: Callable[[], EngineSettings],
        line_of: Callable[[Creation], object] = lambda creation: None,
    ) -> None:
        """Have waited in vain for nothing yet."""
        self._settings = settings
        self._line_of = line_of
        self._slow: set[object] = set()
        self._chains: dict[object, set[object]] = {}

    def of(self, entries: Iterable[Entry]) -> float:
        """Return the grace period for all these together: short if all are known to be slow."""
        return self._of([(_making(one), one.creation) for one in entries])

    def of_creations(self, creations: Iterable[Creation | None]) -> float:
        """Return the same for what is in no ledger yet."""
        return self._of([(one and one.stack, one) for one in creations])

    def _of(self, made: list[tuple[object, Creation | None]]) -> float:
        settings = self._settings()
        if made and all(self._is_slow(making, creation) for making, creation in made):
            return min(settings.grace, settings.repeat_grace)
        return settings.grace

    def _is_slow(self, making: object, creation: Creation | None) -> bool:
        if making in self._slow:
            return True
        line = self._line_of(creation) if creation is not None else None
        return line is not None and len(self._chains.get(line, ())) >= _CHAINS

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
        for entry in entries:
            self._add(_making(entry), entry.creation)

    def creations_were_in_vain(self, creations: Iterable[Creation | None]) -> None:
        """Remember the same of what is in no ledger yet."""
        for creation in creations:
            if creation is not None:
                self._add(creation.stack, creation)

    def _add(self, making: object, creation: Creation | None) -> None:
        self._slow.add(making)
        line = self._line_of(creation) if creation is not None else None
        if line is not None:
            self._chains.setdefault(line, set()).add(making)

    def is_over(self, left: Iterable[Entry], patience: float) -> None:
        """Remember those of a wait that were still there at its end."""
        self.was_in_vain(one for one in left if one.waited >= patience > 0)


def _making(entry: Entry) -> object:
    """Return what is the same for all that is made at one place; nobody sees where C code does it."""
    return entry.creation.stack if entry.creation is not None else entry.tracker.kind
