"""What the rules are asked about: what an owner has left, who else lives, and whose line made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.origins.assignments import assignment_in, call_in
from pytest_resource_hygiene.objects import is_within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import CodeType

    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.engine.inventory.ledger import Ledger
    from pytest_resource_hygiene.engine.inventory.owners import Owner
    from pytest_resource_hygiene.engine.origins.stacks import StackReader

__all__ = ["Case"]


@dataclass(frozen=True)
class Case:
    """One owner at its end.

    Attributes:
        window: the owner that is asked.
        fixtures: the wider ones that are alive and have a value, the first set up first.
        ledger: to ask for the objects behind entries.
        reader: tells the code of a test runner from a user's.
        known_in_c: returns the singletons of C extensions that libraries keep.
    """

    window: Owner
    fixtures: list[Owner]
    ledger: Ledger
    reader: StackReader
    known_in_c: Callable[[], Iterable[Any]]

    def is_made_by_test(self, entry: Entry) -> bool:
        """Return whether a line of the test function has made something, and no method that it calls."""
        if entry.creation is None:
            return self._is_assigned_by_test(entry)
        frame = self.reader.user_frame(entry.creation)
        return frame is not None and self._is_of_test(frame[0])

    def runs_function_of_test(self, entry: Entry) -> bool:
        """Return whether a thread or task runs a function that is written within the test."""
        code, own = self.ledger.code_of(entry), self.window.code
        return code is not None and own is not None and is_within(code, own)

    def is_asked_for(self, entry: Entry) -> bool:
        """Return whether Python code has what nobody saw being made, or a line of the owner names it.

        An object of `select.epoll` has its number; ``fcntl(fd, F_DUPFD)`` stands in the test.
        """
        if self.ledger.anchor_of(entry) is not None:
            return True
        codes = {*self.window.codes, *self.window.parts()}
        if self.window.code is not None:
            codes.add(self.window.code)
        names = self.ledger.called_as(entry)
        return bool(names) and call_in(codes, names) is not None

    def is_by_function_of_test(self, entry: Entry) -> bool:
        """Return whether the test's function, or one written within it, was at work."""
        stack = entry.creation.stack[::2] if entry.creation is not None else ()
        return any(map(self._is_of_test, stack))

    def makers_of(self, entry: Entry) -> list[CodeType]:
        """Return the code of the user's functions that were at work, up to that of the test."""
        makers: list[CodeType] = []
        for code, _, place in self.reader.sorted(entry.creation) if entry.creation else ():
            if code is self.window.code:
                break
            if place == "user":
                makers.append(code)
        return makers

    def loops_of(self, owner: Owner) -> set[int]:
        """Return the ids of the event loops that an owner has made and that still live."""
        return {id(loop.value) for loop in self.loops() if loop.owner is owner}

    def loops(self) -> list[Entry]:
        """Return the event loops that live."""
        return [
            entry
            for shelf in self.ledger.shelves
            if shelf.tracker.kind == "loops"
            for entry in shelf.entries.values()
        ]

    def _is_assigned_by_test(self, entry: Entry) -> bool:
        code, name = self.window.code, self.ledger.assigned_as(entry)
        return code is not None and name is not None and assignment_in([code], name) is not None

    def _is_of_test(self, code: CodeType) -> bool:
        own = self.window.code
        return code is own or is_within(code, own)
