"""What the value of a live wider fixture refers to is the fixture's, as are the parts of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.handover.doers import doers_of
from pytest_resource_hygiene.engine.references.held_numbers import is_of
from pytest_resource_hygiene.engine.references.reachable import reachable
from pytest_resource_hygiene.engine.suspects.groups import number_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_resource_hygiene.engine.handover.case import Case
    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.engine.inventory.owners import Owner

__all__ = ["without_kept"]

_WAITS_FOR_CHILD = "_do_waitpid"  # of asyncio's ThreadedChildWatcher
# What a line of the test itself has set is the test's, whose method it may be.
_SET = frozenset({"signals", "atexit"})


def without_kept(suspects: list[Entry], case: Case) -> list[Entry]:
    """Give to the fixtures what can be reached from their values.

    Returns:
        The rest.
    """
    wanted = _wanted(suspects, case)
    taken: set[Entry] = set()
    for fixture in case.fixtures:
        # The first to be set up is the last to be torn down: it outlives what shares its value,
        # and nothing of it is judged too early.
        for entry in _reached(fixture, wanted, case):
            if entry not in taken and _may_take(fixture, entry, case):
                case.ledger.hand_over(entry, fixture)
                taken.add(entry)
    taken |= _made_in_threads(taken, suspects, case)
    taken |= _parts_of(taken, suspects, case)
    return [entry for entry in suspects if entry not in taken]


def _made_in_threads(taken: set[Entry], suspects: list[Entry], case: Case) -> set[Entry]:
    """Give what a thread has made to whoever has got the thread: a worker begun by a first call.

    But for what a function of the test's has, as a job that it was given.

    Returns:
        What that was.
    """
    begun = {
        id(one.creation): one.owner
        for one in taken
        if one.tracker.kind == "threads" and one.creation is not None and one.owner is not None
    }
    made = set()
    for entry in suspects if begun else ():
        if entry in taken or case.is_by_function_of_test(entry):
            continue
        maker = entry.creation.parent if entry.creation is not None else None
        while maker is not None and id(maker) not in begun:
            maker = maker.parent
        if maker is not None:
            case.ledger.hand_over(entry, begun[id(maker)])
            made.add(entry)
    return made


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


def _wanted(suspects: list[Entry], case: Case) -> _Wanted:
    wanted = _Wanted()
    for entry in suspects:
        by_test = case.is_made_by_test(entry)
        code = case.ledger.code_of(entry)
        if code is not None and code.co_name == _WAITS_FOR_CHILD:
            continue  # every loop policy leads to it: it goes with the child
        if by_test and (entry.tracker.kind in _SET or entry.creation is None):
            continue
        wanted.add(entry, case.ledger.kept_as(entry))
        if not by_test and not case.runs_function_of_test(entry):
            site = case.reader.library_site(entry.creation)
            anchor = case.ledger.anchor_of(entry)
            for doer in doers_of(entry, anchor, case.makers_of(entry), site):
                wanted.add(entry, doer)
    return wanted


def _reached(fixture: Owner, wanted: _Wanted, case: Case) -> list[Entry]:
    values = fixture.value() if fixture.value is not None else ()
    kept = [one for one in values if not is_of(one, fixture.no_numbers_for_good)]
    loops = {*map(id, kept), *case.loops_of(fixture)}
    numbers = wanted.numbers.keys() - fixture.no_numbers
    test = case.window.code
    found = reachable(kept, wanted.objects, numbers, loops=loops, stranger=test)
    doubtful = {one for one in found if _may_only_wait(wanted.by(one), case)}
    if doubtful:
        found -= doubtful
        found |= reachable(kept, doubtful, (), loops=loops, with_waiters=False, stranger=test)
    return [entry for one in found for entry in wanted.by(one)]


def _may_only_wait(entries: Iterable[Entry], case: Case) -> bool:
    """Return whether it is a task that a line of the test itself has made, or of its function.

    One that waits for a queue or connection of a fixture is reached by who is to wake it up. What
    has been made by a method of the fixture's, and is kept nowhere, is reached by nothing else.
    """
    return any(
        entry.tracker.kind == "tasks"
        and (case.is_made_by_test(entry) or case.runs_function_of_test(entry))
        for entry in entries
    )


def _may_take(fixture: Owner, entry: Entry, case: Case) -> bool:
    """Return whether reaching something from a fixture's value means that it is the fixture's.

    A test runner's own fixture holds the loop, which reaches everything that runs on it. Only
    what the loop itself keeps for its tests, the workers of its executor, is the loop's.
    """
    files = {code.co_filename for code in fixture.codes}
    if "tool" not in map(case.reader.places.of, files):
        return True
    from_test = entry.owner is not None and entry.owner.info.type == "test"
    return from_test and entry.tracker.kind == "threads"


def _parts_of(taken: set[Entry], suspects: list[Entry], case: Case) -> set[Entry]:
    """Give what one call of a library has made to whoever has got the chief thing of it.

    A loop leads to no socket of its own, and an observer's thread not to its pipes.

    Returns:
        What that was.
    """
    chiefs: dict[tuple[Any, ...], Entry] = {}
    for entry in taken:
        call = case.reader.call(entry.creation)
        if call is not None and call[2] is not None:
            chief = chiefs.setdefault(call, entry)
            if chief.tracker.rank < entry.tracker.rank:
                chiefs[call] = entry
    parts = set()
    for entry in suspects if chiefs else ():
        chief_of_call = chiefs.get(case.reader.call(entry.creation) or ())
        if chief_of_call is None or entry in taken or chief_of_call.owner is None:
            continue
        if entry.tracker.rank < chief_of_call.tracker.rank:
            case.ledger.hand_over(entry, chief_of_call.owner)
            parts.add(entry)
    return parts
