"""Decides what a suspect is: a leak, a note, or nothing at all.

In this order, because each step is surer than the next: the test runner's own things are dropped;
what belongs together becomes one group; then each group is sorted by *how* it came to be (an
import, a habit of a library) and by who holds it. What a live wider fixture keeps has been handed
to it before: see `transfer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pytest_resource_hygiene.engine.groups import Grouper, gather_loose
from pytest_resource_hygiene.engine.holders import executor_of, find_holder, has_seat
from pytest_resource_hygiene.engine.made_in_c import MADE_IN_C, is_unseen
from pytest_resource_hygiene.engine.settle import describe
from pytest_resource_hygiene.engine.singletons import habit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_resource_hygiene.engine.entries import Entry
    from pytest_resource_hygiene.engine.groups import Group
    from pytest_resource_hygiene.engine.ledger import Ledger
    from pytest_resource_hygiene.engine.made_in_c import SingletonsInC
    from pytest_resource_hygiene.engine.owners import Owner
    from pytest_resource_hygiene.engine.settings import EngineSettings
    from pytest_resource_hygiene.engine.stacks import StackReader

__all__ = ["Judge"]

R = TypeVar("R")


class Judge:
    """Sorts suspects; remembers what libraries have made once already.

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
        self._in_c = in_c
        self._ledger = ledger
        self._reader = reader
        self._grouper = Grouper(ledger, reader)
        self._settings = settings
        self._made_once: dict[tuple[object, ...], list[Entry]] = {}
        # To look for a holder costs some hundred milliseconds where there are many objects.
        self._kept_by_none: set[tuple[object, ...]] = set()
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
        groups = gather_loose(groups)
        self._look_for_singleton_in_c(groups, window)
        return groups

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
        site = self._reader.habit_site(entry.creation)
        return habit_of(site) is None and self._reader.importing(entry.creation) is None

    def would_fail(self, suspects: list[Entry], window: Owner) -> bool:
        """Return whether any of these would be a failure if it stayed; nothing is remembered of it.

        To look for who keeps a thing is dear. So it is done once for each call that has made things
        for which to wait was right.
        """
        calls = {(one.tracker.kind, self._reader.call(one.creation)) for one in suspects}
        if not self._worth_waiting.isdisjoint(calls):
            return True
        made_once, kept_by_none = self._made_once.copy(), self._kept_by_none.copy()
        with self._in_c.keeping(window):
            groups = self.judge(suspects, window)
        self._made_once, self._kept_by_none = made_once, kept_by_none
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
            self._note_unless_grown(group, ("import", module, *self._key(group)))
            group.why = group.why or "made while a module was first imported"
            return
        if group.site and self._is_default(group.primary):
            # ``loop.remove_signal_handler`` does not know what was there before the loop's own.
            group.severity, group.why = "note", "a library has put back the default"
            return
        habit = habit_of(self._reader.habit_site(group.primary.creation))
        if habit == "pool":
            group.severity, group.why = "note", "an idle worker of a pool that keeps them"
            return
        if habit == "singleton" or self._is_held_by_library(group):
            self._note_unless_grown(group, self._key(group))
            group.why = group.why or "made once by a library, which keeps it"

    def _look_for_singleton_in_c(self, groups: list[Group], window: Owner) -> None:
        """Excuse what C code opened for a singleton that has come in the same window."""
        if not any(is_unseen(group.primary) for group in groups):
            return
        new = self._in_c.new_of(window)
        unseen = [one for one in groups if is_unseen(one.primary) and one.severity == "fail"]
        if not new or not unseen:
            return
        key = ("in C", *new[0].path)
        earlier = self._made_once.get(key, [])
        grown = any(self._ledger.is_live(one) for one in earlier)
        self._made_once[key] = [*earlier, *(one for group in unseen for one in group.entries)]
        for group in unseen:
            group.holder = new[0]
            if grown:
                group.why = "made again for a singleton of a C extension: it grows"
            else:
                group.severity = "note"
                group.why = "opened by C code for a singleton, which its library keeps"

    def _is_default(self, entry: Entry) -> bool:
        return self._ask(entry, "knowing the default", False, entry.tracker.is_default)

    def _ask(self, entry: Entry, action: str, default: R, question: Callable[..., R]) -> R:
        return self._ledger.ask(entry.tracker, action, default, question, entry.key, entry.value)

    def _key(self, group: Group) -> tuple[object, ...]:
        made: object = None
        if group.primary.creation is None:
            made = group.holder
        elif not group.site:
            made = self._reader.origin(group.primary.creation)
        return group.primary.tracker.kind, group.site, made

    def _note_unless_grown(self, group: Group, key: tuple[object, ...]) -> None:
        earlier = [one for one in self._made_once.get(key, ()) if self._ledger.is_live(one)]
        self._made_once[key] = [*earlier, *group.entries]
        kind = group.primary.tracker
        alike = [one for one in self._made_once[key] if one.tracker is kind]
        if earlier and not self._have_seats(alike) and not self._are_of_one_pool(alike):
            group.why = "made again at a place that made one before: it grows"
        else:
            group.severity = "note"

    def _have_seats(self, entries: list[Entry]) -> bool:
        """Return whether each is a singleton of its own, e.g. one for each class of a library."""
        objects = [self._ledger.anchor_of(one) for one in entries]
        with self._ledger.recorder.mute():
            return all(one is not None and has_seat(one) for one in objects)

    def _are_of_one_pool(self, entries: list[Entry]) -> bool:
        """Return whether all are workers of one executor, which has as many as it may have."""
        if any(entry.tracker.kind != "threads" for entry in entries):
            return False
        objects = [self._ledger.anchor_of(one) for one in entries]
        with self._ledger.recorder.mute():
            pools = [executor_of(one) if one is not None else None for one in objects]
        return pools[0] is not None and all(one is pools[0] for one in pools)

    def _is_held_by_library(self, group: Group) -> bool:
        unseen = group.primary.creation is None and group.primary.tracker.kind in MADE_IN_C
        if (not group.site and not unseen) or self._has_file_of_test(group):
            return False
        primary, tracker = group.primary, group.primary.tracker
        code = self._ask(primary, "finding its code", None, tracker.code)
        if code is not None and self._reader.places.of(code.co_filename) in {"user", "generated"}:
            return False
        kept_in = self._ask(primary, "saying who keeps it", None, tracker.kept_in)
        if kept_in is not None:
            return self._is_librarys_own(group, kept_in)
        call = group.primary.tracker.kind, self._reader.call(group.primary.creation)
        if call in self._kept_by_none:
            return False
        by_library = self._look_for_holder(group)
        if not by_library and call[1] is not None:
            self._kept_by_none.add(call)
        return by_library

    def _has_file_of_test(self, group: Group) -> bool:
        """Return whether a test had a library open a file in the test's own folder.

        That goes with the test: a log file there is nothing that a library keeps for the process.
        """
        owner = group.primary.owner
        files = [entry for entry in group.entries if entry.tracker.kind == "fds"]
        if not files or owner is None or owner.info.type != "test":
            return False
        scratch = self._settings().scratch()
        targets = (describe(entry, self._ledger).target for entry in files)
        return bool(scratch) and any(one.startswith(f"{scratch}/") for one in targets)

    def _look_for_holder(self, group: Group) -> bool:
        # That a function can be reached says nothing of what else the same call has made.
        things = [entry for entry in group.entries if entry.tracker.settles] or [group.primary]
        for entry in things[:5]:
            anchor = self._ledger.anchor_of(entry)
            if anchor is None:
                continue
            with self._ledger.recorder.mute():
                group.holder = find_holder(anchor, lambda name: self._may_hold(name, group))
            del anchor
            if group.holder is not None and group.holder.module:
                return self._reader.places.is_library_module(group.holder.module)
        return False

    def _is_librarys_own(self, group: Group, module: str) -> bool:
        """Return whether an installed package has registered something for a module of its kind.

        That the standard library did it says nothing: whoever calls `logging.config` asked for it.
        """
        places = self._reader.places
        if not any(places.of(file) == "library" for file, _ in group.site):
            return False
        if not module or places.is_library_module(module.partition(".")[0]):
            return True
        return self._reader.is_named_by_library(group.primary.creation, module)

    def _may_hold(self, module: str, group: Group) -> bool:
        """Return whether it says something that a module has it: the user's, or one that made it.

        What another library only happens to refer to, such as a built-in function that listens, or
        what the user has put into its logger, that library does not keep.
        """
        if not group.site or not self._reader.places.is_library_module(module):
            return True
        return self._reader.places.is_part_of(module, (file for file, _ in group.site))
