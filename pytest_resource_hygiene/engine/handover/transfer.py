"""Transfers ownership: asks the rules, one after the other, whose the suspects are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.handover.accepted import without_accepted
from pytest_resource_hygiene.engine.handover.case import Case
from pytest_resource_hygiene.engine.handover.engines import without_unseen
from pytest_resource_hygiene.engine.handover.kept import without_kept
from pytest_resource_hygiene.engine.handover.loops_in_c import without_parts_of_loops
from pytest_resource_hygiene.engine.handover.pool_workers import without_pool_workers
from pytest_resource_hygiene.engine.handover.registered import without_registered
from pytest_resource_hygiene.engine.references.made_in_c import is_unseen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.engine.inventory.ledger import Ledger
    from pytest_resource_hygiene.engine.inventory.owners import Owner
    from pytest_resource_hygiene.engine.origins.stacks import StackReader

__all__ = ["OwnershipTransfer"]

# Asked of tests only: what a fixture still has at its own end is not in use by another.
_OF_TESTS = (without_registered, without_accepted)


class OwnershipTransfer:
    """Hands suspects to live wider fixtures, and workers to the owners of their pools.

    Args:
        ledger: to ask for the objects behind entries.
        reader: tells the code of a test runner from a user's.
        fixtures: returns the wider fixtures that are alive, the first set up first.
        known_in_c: returns the singletons of C extensions that libraries keep.
    """

    def __init__(
        self,
        ledger: Ledger,
        reader: StackReader,
        fixtures: Callable[[], Iterable[Owner]],
        known_in_c: Callable[[], Iterable[Any]] = tuple,
    ) -> None:
        """Prepare; nothing is kept between two hand-overs."""
        self._known_in_c = known_in_c
        self._ledger = ledger
        self._reader = reader
        self._fixtures = fixtures

    def hand_over(self, suspects: list[Entry], window: Owner) -> list[Entry]:
        """Give away what is somebody else's.

        Returns:
            The rest.
        """
        case = self._case(window)
        suspects = without_parts_of_loops(without_pool_workers(suspects, case), case)
        if not case.fixtures or not suspects:
            return suspects
        suspects = without_kept(suspects, case)
        for without in _OF_TESTS if window.info.type == "test" else ():
            suspects = without(suspects, case)
        return without_unseen(suspects, case)

    def hand_over_again(self, suspects: list[Entry], window: Owner) -> list[Entry]:
        """Give away what may be given now that the collector has run: garbage had looked like an engine.

        Returns:
            The rest.
        """
        if not any(map(is_unseen, suspects)):
            return suspects
        case = self._case(window)
        return without_unseen(suspects, case) if case.fixtures else suspects

    def _case(self, window: Owner) -> Case:
        fixtures = [one for one in self._fixtures() if one is not window and one.value is not None]
        return Case(window, fixtures, self._ledger, self._reader, self._known_in_c)
