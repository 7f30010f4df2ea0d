"""Transfers ownership: what a live wider fixture keeps is its own, whoever was at work meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.accepted import accepted_by_fixtures
from pytest_resource_hygiene.engine.doers import doers_of
from pytest_resource_hygiene.engine.engines import owner_of_engines
from pytest_resource_hygiene.engine.groups import number_of
from pytest_resource_hygiene.engine.made_in_c import is_unseen
from pytest_resource_hygiene.engine.pools import queue_of
from pytest_resource_hygiene.engine.reachable import reachable
from pytest_resource_hygiene.objects import attribute_of, attributes_of, is_within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import CodeType

    from pytest_resource_hygiene.engine.entries import Entry
    from pytest_resource_hygiene.engine.ledger import Ledger
    from pytest_resource_hygiene.engine.owners import Owner
    from pytest_resource_hygiene.engine.stacks import StackReader

__all__ = ["OwnershipTransfer"]

_SET_BY_CALLS = frozenset({"signals", "atexit"})


class _Wanted:
    """Suspects by the ids of their objects, or by the numbers of those that have none."""

    def __init__(self) -> None:
        self.objects: dict[int, list[Entry]] = {}
        self.numbers: dict[int, Entry] = {}
        self._alive: list[Any] = []  # so that the ids stay theirs

    def add(self, entry: Entry, thing: Any) -> None:
        if thing is not None:
            self._alive.append(thing)
            self.objects.setdefault(id(thing), []).append(entry)
        elif entry.tracker.settles and (number := number_of(entry)) is not None:
            self.numbers[number] = entry

    def by(self, found: int) -> list[Entry]:
        by_number = [self.numbers[found]] if found in self.numbers else []
        return self.objects.get(found) or by_number


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
        """Give to the live wider fixtures what can be reached from their values.

        Returns:
            The rest.
        """
        suspects = self._without_workers(suspects, window)
        fixtures = [one for one in self._fixtures() if one is not window and one.value is not None]
        if not fixtures or not suspects:
            return suspects
        wanted = _Wanted()
        for entry in suspects:
            by_itself = self._is_by_test_itself(entry, window)
            if entry.tracker.kind in _SET_BY_CALLS and by_itself:
                continue  # whose method it calls says nothing: the test has set it
            wanted.add(entry, self._ledger.kept_as(entry))
            if not by_itself and not self._runs_function_of(window, entry):
                site = self._reader.library_site(entry.creation)
                for doer in doers_of(entry, self._makers(entry, window), site):
                    wanted.add(entry, doer)
        taken_over: set[Entry] = set()
        for fixture in fixtures:
            # The first to be set up is the last to be torn down: it outlives what shares its value,
            # and nothing of it is judged too early.
            for entry in self._reached(fixture, wanted, window):
                if entry not in taken_over and self._may_take(fixture, entry):
                    self._ledger.hand_over(entry, fixture)
                    taken_over.add(entry)
        taken_over |= self._parts_of(taken_over, suspects)
        rest = [entry for entry in suspects if entry not in taken_over]
        if window.info.type != "test":
            return rest
        rest = self._without_listeners(rest, fixtures, window)
        return self._without_unseen(self._without_accepted(rest, window), fixtures)

    def _without_listeners(
        self, suspects: list[Entry], fixtures: list[Owner], window: Owner
    ) -> list[Entry]:
        """Give a listener to the fixture whose value, or what this has, has registered its method.

        No walk along references tells: an emitter leads to all that listen to it.

        Returns:
            The rest.
        """
        listening = {
            entry: attribute_of(self._ledger.anchor_of(entry), "__self__")
            for entry in suspects
            if entry.tracker.kind == "listeners" and not self._is_by_test_itself(entry, window)
        }
        if not listening:
            return suspects
        for fixture in fixtures:
            values = list(fixture.value()) if fixture.value is not None else []
            near = [*values, *(one for value in values for one in attributes_of(value).values())]
            for entry, listener in list(listening.items()):
                if any(one is listener for one in near if one is not None):
                    self._ledger.hand_over(entry, fixture)
                    del listening[entry]
                    suspects = [one for one in suspects if one is not entry]
        return suspects

    def _without_accepted(self, suspects: list[Entry], window: Owner) -> list[Entry]:
        """Give connections to the fixture whose server has accepted them.

        Returns:
            The rest.
        """
        accepted = accepted_by_fixtures(
            suspects, self._ledger, lambda entry: self._is_by_test_itself(entry, window)
        )
        for entry, fixture in accepted.items():
            self._ledger.hand_over(entry, fixture)
        return [entry for entry in suspects if entry not in accepted]

    def _reached(self, fixture: Owner, wanted: _Wanted, window: Owner) -> list[Entry]:
        kept = list(fixture.value()) if fixture.value is not None else []
        loops = {*map(id, kept), *self._loops_of(fixture)}
        numbers = wanted.numbers.keys() - fixture.no_numbers
        found = reachable(kept, wanted.objects, numbers, loops=loops)
        doubtful = {one for one in found if self._may_only_wait(wanted.by(one), window)}
        if doubtful:
            found -= doubtful
            found |= reachable(kept, doubtful, (), loops=loops, with_waiters=False)
        return [entry for one in found for entry in wanted.by(one)]

    def _parts_of(self, taken_over: set[Entry], suspects: list[Entry]) -> set[Entry]:
        """Give what one call of a library has made to whoever has got the chief thing of it.

        A loop leads to no socket of its own, and an observer's thread not to its pipes.

        Returns:
            What that was.
        """
        chiefs: dict[tuple[Any, ...], Entry] = {}
        for entry in taken_over:
            call = self._reader.call(entry.creation)
            if call is not None and call[2] is not None:
                chief = chiefs.setdefault(call, entry)
                if chief.tracker.rank < entry.tracker.rank:
                    chiefs[call] = entry
        parts = set()
        for entry in suspects if chiefs else ():
            chief_of_call = chiefs.get(self._reader.call(entry.creation) or ())
            if chief_of_call is None or entry in taken_over or chief_of_call.owner is None:
                continue
            if entry.tracker.rank < chief_of_call.tracker.rank:
                self._ledger.hand_over(entry, chief_of_call.owner)
                parts.add(entry)
        return parts

    def _without_unseen(self, suspects: list[Entry], fixtures: list[Owner]) -> list[Entry]:
        """Give what C code has opened to the fixture that has the engine for which it did.

        Returns:
            The rest.
        """
        unseen = [entry for entry in suspects if is_unseen(entry)]
        if not unseen:
            return suspects
        owner = owner_of_engines(fixtures, self._known_in_c())
        if owner is None:
            return suspects
        for entry in unseen:
            self._ledger.hand_over(entry, owner)
        return [entry for entry in suspects if entry not in unseen]

    def _without_workers(self, suspects: list[Entry], window: Owner) -> list[Entry]:
        """Give each worker to whoever owns the pool that it has joined: the first worker's owner.

        Returns:
            The rest.
        """
        queues = {entry: queue for entry in suspects if (queue := queue_of(entry)) is not None}
        if not queues:
            return suspects
        owners = self._owners_of_pools(window)
        of_loops = self._workers_of_loops(queues, window)
        rest = []
        for entry in suspects:
            if entry in of_loops:
                entry.release()
            elif queues.get(entry) in owners:
                entry.give_to(owners[queues[entry]])
            else:
                rest.append(entry)
        return rest

    def _workers_of_loops(self, workers: Iterable[Entry], window: Owner) -> set[Entry]:
        """Return which are workers that a loop keeps which was there before: it ends them."""
        loops = [
            entry.value
            for shelf in self._ledger.shelves
            if shelf.tracker.kind == "loops"
            for entry in shelf.entries.values()
            if entry.owner is not window and entry.value is not None
        ]
        if not loops:
            return set()
        threads = {id(entry.value): entry for entry in workers}
        kept = reachable(loops, threads, (), loops=set(map(id, loops)))
        return {threads[one] for one in kept}

    def _owners_of_pools(self, window: Owner) -> dict[Any, Owner | None]:
        """Return who owns the pools that others than the window have begun, by their queues."""
        owners: dict[Any, Owner | None] = {}
        for shelf in self._ledger.shelves:
            for entry in shelf.entries.values():
                queue, owner = queue_of(entry), entry.owner
                lives = owner is None or not owner.closed
                if queue is not None and lives and owner is not window:
                    owners.setdefault(queue, owner)
        return owners

    def _may_only_wait(self, entries: Iterable[Entry], window: Owner) -> bool:
        """Return whether it is a task that a line of the test itself has made, or of its function.

        One that waits for a queue or connection of a fixture is reached by who is to wake it up. What
        has been made by a method of the fixture's, and is kept nowhere, is reached by nothing else.
        """
        return any(
            entry.tracker.kind == "tasks"
            and (self._is_by_test_itself(entry, window) or self._runs_function_of(window, entry))
            for entry in entries
        )

    def _runs_function_of(self, window: Owner, entry: Entry) -> bool:
        """Return whether a thread or task runs a function that is written within the test."""
        tracker = entry.tracker
        code: CodeType | None = self._ledger.ask(
            tracker, "finding its code", None, tracker.code, entry.key, entry.value
        )
        return code is not None and window.code is not None and is_within(code, window.code)

    def _is_by_test_itself(self, entry: Entry, window: Owner) -> bool:
        """Return whether a line of the test function has made something, and no method that it calls."""
        maker = self._maker(entry)
        return maker is not None and (maker is window.code or is_within(maker, window.code))

    def _makers(self, entry: Entry, window: Owner) -> list[CodeType]:
        """Return the code of the user's functions that were at work, up to that of the test."""
        makers: list[CodeType] = []
        for code, _, place in self._reader.sorted(entry.creation) if entry.creation else ():
            if code is window.code:
                break
            if place == "user":
                makers.append(code)
        return makers

    def _maker(self, entry: Entry) -> CodeType | None:
        frame = self._reader.user_frame(entry.creation)
        return frame[0] if frame is not None else None

    def _loops_of(self, owner: Owner) -> set[int]:
        """Return the ids of the event loops that an owner has made and that still live."""
        return {
            id(entry.value)
            for shelf in self._ledger.shelves
            if shelf.tracker.kind == "loops"
            for entry in shelf.entries.values()
            if entry.owner is owner
        }

    def _may_take(self, fixture: Owner, entry: Entry) -> bool:
        """Return whether reaching something from a fixture's value means that it is the fixture's.

        A test runner's own fixture holds the loop, which reaches everything that runs on it. Only
        what the loop itself keeps for its tests, the workers of its executor, is the loop's.
        """
        files = {code.co_filename for code in fixture.codes}
        if "tool" not in map(self._reader.places.of, files):
            return True
        from_test = entry.owner is not None and entry.owner.info.type == "test"
        return from_test and entry.tracker.kind == "threads"
