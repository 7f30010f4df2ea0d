"""Decides what a suspect is: a leak, a note, or nothing at all.

In this order, because each step is surer than the next: the test runner's own things are dropped;
what belongs together becomes one group; then each group is sorted by *how* it came to be (an
import, a habit of a library) and by who holds it. What a live wider fixture keeps has been handed
to it before: see `handover`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_resource_hygiene.engine.origins.singletons import habit_of
from pytest_resource_hygiene.engine.references.workers import is_at_work
from pytest_resource_hygiene.engine.suspects.groups import Grouper, gather_loose, number_of
from pytest_resource_hygiene.engine.verdicts.growth import Growth
from pytest_resource_hygiene.engine.verdicts.handlers import gather_handlers
from pytest_resource_hygiene.engine.verdicts.keepers import Keepers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.engine.inventory.ledger import Ledger
    from pytest_resource_hygiene.engine.inventory.owners import Owner
    from pytest_resource_hygiene.engine.origins.stacks import StackReader
    from pytest_resource_hygiene.engine.references.made_in_c import SingletonsInC
    from pytest_resource_hygiene.engine.settings import EngineSettings
    from pytest_resource_hygiene.engine.suspects.groups import Group

__all__ = ["Judge"]

_POOLS = "/multiprocessing/"


class Judge:
    """Sorts suspects.

    Args:
        ledger: to ask what still lives.
        reader: reads creation records.
        settings: returns severities and strictness; a marker may change them for one test.
        in_c: knows which singletons of C extensions are new.
    """

    def __init__(
        self,
        ledger: Ledger,
        reader: StackReader,
        settings: Callable[[], EngineSettings],
        in_c: SingletonsInC,
    ) -> None:
        """Remember nothing yet."""
        self._ledger = ledger
        self._reader = reader
        self._grouper = Grouper(ledger, reader)
        self._settings = settings
        self._growth = Growth(ledger, reader, in_c)
        self._keepers = Keepers(ledger, reader, lambda: settings().scratch())
        self._worth_waiting: set[tuple[object, ...]] = set()

    def judge(self, suspects: Iterable[Entry], window: Owner) -> list[Group]:
        """Return the groups that are worth a word."""
        own = [
            entry
            for entry in suspects
            # A listener on an emitter that the collector took away was no resource at all.
            if not self._is_foreign(entry) and (entry.tracker.settles or not entry.by_collector)
        ]
        groups = [one for one in self._grouper.group(own) if self._severity(one) != "off"]
        for group in groups:
            self._sort(group)
            if group.severity == "fail" and self._are_of_package(group.entries, window):
                group.severity = "fail" if self._settings().strict else "note"
                group.why = "an installed package made it for a fixture of its own"
        groups = gather_handlers(gather_loose(groups))
        others = [one for one in groups if not self._keepers.has_file_of_test(one)]
        self._growth.excuse_made_in_c(others, window)
        return groups

    def _are_of_package(self, entries: Iterable[Entry], window: Owner) -> bool:
        """Return whether a fixture and what has opened these for it are of one installed package.

        Its user can do nothing about it. What he puts into such a fixture himself is his.
        """
        files = {code.co_filename for code in window.codes}
        places = self._reader.places
        if window.info.type != "fixture" or "user" in map(places.of, files):
            return False
        made = [self._makers(entry) for entry in entries]
        return all(
            any(places.are_of_one_package(file, maker) for file in files for maker in makers)
            for makers in made
        )

    def _makers(self, entry: Entry) -> list[str]:
        """Return the files of the code, below the user's, that has made something."""
        makers: list[str] = []
        if entry.creation is None:
            return makers
        for code, _, place in self._reader.sorted(entry.creation):
            if place == "user":
                break
            makers.append(code.co_filename)
        return makers

    def _is_foreign(self, entry: Entry) -> bool:
        foreign = self._reader.is_foreign(entry.creation) or self._ledger.is_ours(entry)
        if foreign:
            entry.release()
        return foreign

    def deserves_wait(self, entry: Entry) -> bool:
        """Return whether a suspect may turn out to be a failure, so that it is worth waiting for."""
        kind = entry.tracker.kind
        if self._settings().severity.get(kind, entry.tracker.severity) != "fail":
            return False
        habit = habit_of(self._reader.habit_site(entry.creation), entry.tracker.kind)
        if habit == "pool" and is_at_work(entry, self._reader.places):
            return True
        return habit is None and self._reader.importing(entry.creation) is None

    def would_fail(self, suspects: list[Entry], window: Owner) -> bool:
        """Return whether any of these would be a failure if it stayed; nothing is remembered of it.

        To look for who keeps a thing is dear. So it is done once for each call that has made things
        for which to wait was right.
        """
        calls = {(one.tracker.kind, self._reader.call(one.creation)) for one in suspects}
        if not self._worth_waiting.isdisjoint(calls):
            return True
        with self._growth.on_trial(window), self._keepers.on_trial():
            groups = self.judge(suspects, window)
        failing = [one for group in groups if group.severity == "fail" for one in group.entries]
        self._worth_waiting |= {
            (one.tracker.kind, self._reader.call(one.creation))
            for one in failing
            if one.creation is not None
        }
        return bool(failing)

    # --- how bad ---

    def _severity(self, group: Group) -> str:
        kind = group.primary.tracker.kind
        return self._settings().severity.get(kind, group.primary.tracker.severity)

    def _sort(self, group: Group) -> None:
        primary = group.primary
        group.severity = primary.severity or self._severity(group)
        strict = self._settings().strict
        if primary.tracker.kind == "unclosed" and strict:
            group.severity = "fail"
        if primary.by_collector:
            group.severity = "fail" if strict else "note"
            group.why = "dropped without being closed; only the garbage collector freed it"
        elif group.severity == "fail":
            self._look_for_habit(group)

    def _look_for_habit(self, group: Group) -> None:
        """Tell what libraries make once and keep from what grows."""
        module = self._reader.importing(group.primary.creation)
        if module is not None:
            group.module = module
            self._growth.note_unless_grown(group, "import", module)
            group.why = group.why or "made while a module was first imported"
            return
        if self._keepers.is_own_data(group):
            group.severity, group.why = "note", "an installed package reads a file of its own"
            return
        if _is_left_of_ended(group):
            group.severity, group.why = (
                "note",
                "what it is a part of has been ended, and goes with it",
            )
            return
        hook = self._reader.hook(group.primary.creation)
        if hook is not None and not _ran_owner(group.primary):
            self._growth.note_unless_grown(group, "hook", hook.co_name)
            group.why = group.why or "made once by a hook of the project's own"
            return
        if group.site and self._is_default(group.primary):
            # ``loop.remove_signal_handler`` does not know what was there before the loop's own.
            group.severity, group.why = "note", "a library has put back the default"
            return
        site = self._reader.habit_site(group.primary.creation)
        habit = habit_of(site, group.primary.tracker.kind)
        if habit == "pool":
            if is_at_work(group.primary, self._reader.places):
                return
            group.severity, group.why = "note", "an idle worker of a pool that keeps them"
            return
        if habit == "singleton" or self._keepers.is_library(group):
            self._growth.note_unless_grown(group)
            group.why = group.why or "made once by a library, which keeps it"

    def _is_default(self, entry: Entry) -> bool:
        question = entry.tracker.is_default
        return self._ledger.ask(
            entry.tracker, "knowing the default", False, question, entry.key, entry.value
        )


def _is_left_of_ended(group: Group) -> bool:
    if not any(_POOLS in file.replace("\\", "/") for file, _ in group.site):
        return False
    from pytest_resource_hygiene.engine.references.ended import (
        left_of_ended,  # few ever have such a suspect
    )

    numbers = {number_of(entry) for entry in group.entries} - {None}
    is_all = len(numbers) == len(group.entries)
    return is_all and left_of_ended([one for one in numbers if one is not None]) == numbers


def _ran_owner(entry: Entry) -> bool:
    """Return whether a function of the owner's was at work: a hook may call a test, or be called so."""
    owner, creation = entry.owner, entry.creation
    if owner is None or creation is None:
        return False
    own = {*owner.codes, *owner.parts(), owner.code}
    return not own.isdisjoint(creation.stack[::2])
