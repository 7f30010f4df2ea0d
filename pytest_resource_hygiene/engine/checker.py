"""`LeakChecker`: the whole story on one page.

A host (the pytest plugin, `no_leaks`, a server) opens an owner, lets it work, and closes it. At the
close the ledger looks whether anything changed; if something did and is the owner's, it gets time
to go, is judged, and comes back as findings. Whatever was found joins the baseline.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from threading import get_ident
from typing import TYPE_CHECKING

from pytest_resource_hygiene.engine.allowances import Allowance, find_allowance
from pytest_resource_hygiene.engine.canary import blind_spots
from pytest_resource_hygiene.engine.ledger import Ledger
from pytest_resource_hygiene.engine.limits import Limits
from pytest_resource_hygiene.engine.made_in_c import SingletonsInC
from pytest_resource_hygiene.engine.owners import Owner
from pytest_resource_hygiene.engine.places import Places
from pytest_resource_hygiene.engine.settings import EngineSettings
from pytest_resource_hygiene.engine.settle import Settler, describe
from pytest_resource_hygiene.engine.stacks import StackReader
from pytest_resource_hygiene.engine.told import Told
from pytest_resource_hygiene.model import OwnerInfo
from pytest_resource_hygiene.objects import collector_paused
from pytest_resource_hygiene.recorder import Creation, Recorder
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from pytest_resource_hygiene.engine.entries import Entry, Shelf
    from pytest_resource_hygiene.engine.findings import FindingWriter
    from pytest_resource_hygiene.engine.groups import Group
    from pytest_resource_hygiene.engine.judge import Judge
    from pytest_resource_hygiene.engine.transfer import OwnershipTransfer
    from pytest_resource_hygiene.errors import TrackerError
    from pytest_resource_hygiene.leak import Leak
    from pytest_resource_hygiene.tracker import Captured

__all__ = ["LeakChecker"]


_A_MOMENT = 0.01


class LeakChecker:
    """Watches a process.

    Args:
        trackers: one for each kind that is on.
        settings: see `EngineSettings`.
        places: sorts files into the user's, libraries' and tools'.
        recorder: one with which some of the trackers have been started already, if any.
        sleep: lets seconds pass.
    """

    def __init__(
        self,
        trackers: Iterable[Tracker],
        settings: EngineSettings | None = None,
        *,
        places: Places | None = None,
        recorder: Recorder | None = None,
        sleep: Callable[[float], None] = System.sleep,
    ) -> None:
        """Prepare; nothing is watched before `start`."""
        self.settings = settings or EngineSettings()
        self.trackers = list(trackers)
        self._catching = [one for one in self.trackers if type(one).drain is not Tracker.drain]
        self.recorder = recorder or Recorder()
        self.reader = StackReader(places or Places())
        self.recorder.is_foreign = self.reader.is_foreign
        self.recorder.is_tool_code = self.reader.is_tool_code
        self.recorder.is_by_tool = self.reader.is_by_tool
        self.recorder.is_by_user = self.reader.is_by_user
        self.recorder.patience = self._patience
        self.recorder.waited = self._has_waited
        self.session = Owner(OwnerInfo("session", "session", "session"))
        self.fixtures: dict[Owner, None] = {}
        self.blind_spots: list[tuple[str, str]] = []
        self.used_allowances: set[Allowance] = set()
        self.seconds = 0.0
        self.before_looking: Callable[[], None] = _nothing  # for a host to make room for that
        self._sleep = sleep
        self._slow_sites: set[object] = set()
        self._told = Told()
        self._window: Owner = self.session
        self._main_ident = threading.main_thread().ident
        self.nodeid = ""

    def start(self, *, canary: bool = True) -> None:
        """Start to record, take the baseline, and prove that each kind can see."""
        began = System.perf_counter()
        for tracker in self.trackers:
            self.recorder.start_tracker(tracker)
            if self.settings.severity.get(tracker.kind) == "fail":
                tracker.senses = True  # whoever has it fail wants it exact
        self.recorder.start()
        self.recorder.window = self.session
        self.ledger = Ledger(self.trackers, self.recorder)
        self.recorder.creation_of = self.ledger.creation_of_descriptor
        self.settler = Settler(self.ledger, self._sleep)
        self.limits = Limits(self.settings.max_listeners)
        if canary:
            self.blind_spots = blind_spots(self.trackers)
        self.ledger.take_baseline()
        self._in_c = SingletonsInC(self.reader.places)
        self.seconds += System.perf_counter() - began

    def stop(self) -> None:
        """Watch no more, and undo every hook that can be undone."""
        self.recorder.stop()

    @cached_property
    def _judge_of_groups(self) -> Judge:
        # Loaded with the first suspect: a clean run never needs it.
        from pytest_resource_hygiene.engine.judge import Judge

        return Judge(self.ledger, self.reader, lambda: self.settings, self._in_c)

    @cached_property
    def _transfer(self) -> OwnershipTransfer:
        from pytest_resource_hygiene.engine.transfer import OwnershipTransfer

        return OwnershipTransfer(self.ledger, self.reader, lambda: (*self.fixtures, self.session))

    @cached_property
    def _writer(self) -> FindingWriter:
        from pytest_resource_hygiene.engine.findings import FindingWriter

        return FindingWriter(self.ledger, self.reader, self.settings.root)

    @property
    def failures(self) -> list[TrackerError]:
        """What went wrong in trackers: never the fault of the code under test."""
        for tracker, action, error in self.recorder.failures:
            self.ledger.report(tracker, action, error)
        return self.ledger.failures

    # --- windows ---

    def open(self, owner: Owner) -> None:
        """Begin the window of a test: from here on it answers."""
        self._window = self.recorder.window = owner
        self.nodeid = owner.nodeid
        self.recorder.owner_var.set(owner)

    @contextmanager
    def setting_up(self, owner: Owner) -> Iterator[None]:
        """Give what appears inside to a wider fixture, and what appeared before to its window."""
        outer = self._window
        self._look(outer)
        self.ledger.attribution.admit(owner)
        self._window = self.recorder.window = owner
        token = self.recorder.owner_var.set(owner)
        try:
            yield
        finally:
            self._look(owner)
            if owner.held:
                self._in_c.setup_ended(owner)
            self.fixtures[owner] = None
            self.recorder.owner_var.reset(token)
            self._window = self.recorder.window = outer

    def _look(self, window: Owner, *, everything: bool = False) -> None:
        if not everything and self.ledger.is_quiet():
            return
        self._make_room()
        shelves = self.ledger.shelves if everything else self.ledger.changed
        self._take_caught(window)  # first: what is listed next forgets what a closed loop held
        self.ledger.look_at(shelves, window, self.nodeid)
        self.ledger.forget()

    def _make_room(self) -> None:
        with self.recorder.mute():  # what a host opens for that is no opening of the test's
            self.before_looking()

    def _take_caught(self, window: Owner) -> None:
        for tracker in self._catching:
            caught: Collection[Captured] = self.ledger.ask(
                tracker, "telling what it caught", (), tracker.drain
            )
            for item in caught:
                if self.ledger.has_reported(tracker, item.key):
                    continue
                if tracker.kind == "unclosed" and self._told.covers(item):
                    continue
                owner = self.ledger.attribution.owner_of(item.creation, window) or window
                judged_with = window if owner.closed else owner
                judged_with.caught.append((tracker, item, self.nodeid))

    # --- judging ---

    def close(
        self, owner: Owner, allowances: Sequence[Allowance] = (), *, everything: bool = False
    ) -> list[Leak]:
        """End an owner's window and judge it; in the happy path this is one cheap question.

        Args:
            owner: the test or wider fixture that has been torn down.
            allowances: what this owner may leave, beyond what everybody may.
            everything: look at all kinds, whatever their readings say: at the end of a module.
        """
        # Asked in any case: what has changed since the last answer is listed below.
        quiet = self.ledger.is_quiet()
        if quiet and not everything and not owner.held and not owner.caught:
            self._end(owner)
            return []  # what follows is for those who changed something
        self._make_room()
        self._settle_quickly(owner, everything)
        others = [*self.limits.exceeded(self.ledger, owner, self.nodeid), *self._closed(owner)]
        if not owner.held and not owner.caught and not others:
            self._end(owner)
            return []
        return self._judge(owner, others, (*allowances, *self.settings.allowances))

    def _closed(self, owner: Owner) -> list[Entry]:
        """Return what a test closed although a live fixture had opened it, in its own setup."""
        closed, self.ledger.closed_for_others = self.ledger.closed_for_others, []
        if not closed:
            return []
        from pytest_resource_hygiene.engine.closed_for_others import notes_of_closed

        return notes_of_closed(closed, owner, self.fixtures, self.reader)

    def close_fixture(self, owner: Owner) -> list[Leak]:
        """End a wider fixture: what its teardown made is its own as well."""
        if not self.ledger.is_quiet():
            self._make_room()
            self._take_caught(owner)
            for entry in self.ledger.look_at(self.ledger.changed, owner, self.nodeid):
                if entry.owner is self.session:
                    entry.give_to(owner)
            self.ledger.forget()
        return self.close(owner)

    def _settle_quickly(self, owner: Owner, everything: bool) -> None:
        shelves = self.ledger.shelves if everything else self._to_list(owner)
        self._take_caught(owner)
        self.ledger.look_at(shelves, owner, self.nodeid)
        self.ledger.forget()

    def _to_list(self, owner: Owner) -> list[Shelf]:
        """Return what has changed, and where the owner holds something: it may be gone by now."""
        changed = self.ledger.changed
        if not owner.held:
            return changed
        holding = {entry.tracker for entry in owner.held}
        return [one for one in self.ledger.shelves if one in changed or one.tracker in holding]

    def _judge(
        self, owner: Owner, limits: list[Entry], allowances: Sequence[Allowance]
    ) -> list[Leak]:
        from pytest_resource_hygiene.engine.caught import take_caught, told_once

        caught = take_caught(self.ledger, owner)  # before any collection
        suspects = [entry for entry in list(owner.held) if not self._is_dropped(entry)]
        judge = self._judge_of_groups
        served = self._far_ends(suspects, owner)
        suspects = [entry for entry in suspects if entry not in served]
        left, freed = self._settle(suspects, owner)
        left = [entry for entry in left if self._is_describable(entry)]
        self._take_caught(owner)
        caught += take_caught(self.ledger, owner)
        caught, freed = told_once(caught, left, freed)
        groups = judge.judge([*left, *freed, *caught, *limits], owner)
        groups += self._judge_far_ends(served, owner)
        leaks = [self._report(group, owner, allowances) for group in groups]
        for group in groups:
            self._told.add(group.entries)
        self._put_back(groups)
        self._end(owner)
        return leaks

    def _far_ends(self, suspects: list[Entry], owner: Owner) -> dict[Entry, Owner]:
        if owner.info.type != "fixture":
            return {}
        from pytest_resource_hygiene.engine.far_ends import far_ends

        with self.recorder.mute():
            return far_ends(suspects, owner, self.ledger)

    def _judge_far_ends(self, served: dict[Entry, Owner], owner: Owner) -> list[Group]:
        """Note what a fixture's server is left with because somebody has left a connection open."""
        for entry in served:
            entry.severity = "note"
        groups = self._judge_of_groups.judge(filter(self._is_describable, served), owner)
        for group in groups:
            left_by = served[group.primary].info
            group.why = f"the other end of a connection that {left_by} has left open"
        return groups

    def _settle(self, suspects: list[Entry], owner: Owner) -> tuple[list[Entry], list[Entry]]:
        """Wait for suspects, and for what they have made meanwhile: a thread may start another.

        Returns:
            What is left, and what only the garbage collector freed.
        """
        left: list[Entry] = []
        freed: list[Entry] = []
        seen = set(owner.held)
        began = self.settler.passed
        rest: float | None = None
        while suspects:
            # A finalizer that raises in a collection leaves a traceback that keeps the frame in
            # which the collection came, and with it the suspects' objects, which it has at hand.
            with collector_paused():
                suspects = self._transfer.hand_over(suspects, owner)
            waiting: list[Entry] = []
            others: list[Entry] = []
            for entry in suspects:
                worth = self._judge_of_groups.deserves_wait(entry)
                (waiting if worth else others).append(entry)
            if rest == 0:  # a timer that sets itself again, and again
                left += self._going_on([*waiting, *others], owner)
                break
            stayed, dropped = self._wait_for(waiting, others, owner, rest)
            left += [*stayed, *self._briefly(others, owner)]
            freed += dropped
            suspects = self._new_meanwhile(owner, seen) if waiting else []
            rest = self._rest_for_late(suspects, self.settler.passed - began)
        return [entry for entry in left if self.ledger.is_live(entry)], freed

    def _going_on(self, entries: list[Entry], owner: Owner) -> list[Entry]:
        """Take what there is of a chain that has lasted as long as anybody waits for."""
        owner.kept = [*owner.kept, *(entry.value for entry in entries)]  # the next link ends it
        for entry in entries:
            entry.waited = self.settings.grace
            if entry.creation is not None:
                self._slow_sites.add(entry.creation.stack)
        return entries

    def _new_meanwhile(self, owner: Owner, seen: set[Entry]) -> list[Entry]:
        if not self.ledger.is_quiet():
            self._take_caught(owner)
            self.ledger.look_at(self.ledger.changed, owner, self.nodeid)
            self.ledger.forget()
        new = [entry for entry in owner.held if entry not in seen]
        seen.update(new)
        return [entry for entry in new if not self._is_dropped(entry)]

    def _briefly(self, entries: list[Entry], owner: Owner) -> list[Entry]:
        """Give what will be a note at most a moment: a joined thread leaves the kernel's list late."""
        if not any(entry.tracker.kind == "native_threads" for entry in entries):
            return [entry for entry in entries if self.ledger.is_live(entry)]
        return self.settler.settle(entries, owner, self.nodeid, _A_MOMENT, collect=False)[0]

    def _is_describable(self, entry: Entry) -> bool:
        """Put an entry in words, unless it is gone: a thread may end at any time until then."""
        value = entry.value  # which stays as long as this does
        if value is None and entry.is_gone:
            return False
        describe(entry, self.ledger)
        return True

    def _is_dropped(self, entry: Entry) -> bool:
        """Leave what the test runner made out before anybody waits for it.

        A slot that holds the runner's own function is the runner's, whoever put it back last.
        """
        if (
            self.reader.is_foreign(entry.creation)
            or (entry.tracker.slots and self.reader.is_tool_code(entry.value))
            or self.ledger.is_ours(entry)
        ):
            entry.release()
            return True
        return entry.owner is not self.session and self.ledger.seats.take(entry)

    def _wait_for(
        self, entries: list[Entry], others: list[Entry], owner: Owner, rest: float | None
    ) -> tuple[list[Entry], list[Entry]]:
        if self._are_known(entries, owner):
            patience = min(self.settings.grace, self.settings.known_grace)
            # Nor is the collector run: that one frees it would make a note of what fails nothing.
            return self.settler.settle(entries, owner, self.nodeid, patience, collect=False)
        if rest is not None:  # the collector has run; few that come late need it again
            left, _ = self.settler.settle(entries, owner, self.nodeid, rest, collect=False)
            return self.settler.settle(left, owner, self.nodeid, 0.0) if left else ([], [])
        patience = self._patience(entry.creation for entry in entries)
        judge = self._judge_of_groups
        left, freed = self.settler.settle(
            entries, owner, self.nodeid, patience,
            may_fail=lambda left: judge.would_fail([*left, *others], owner),
        )  # fmt: skip
        self._remember_slow(left, patience)
        return left, freed

    def _are_known(self, entries: list[Entry], owner: Owner) -> bool:
        known = self.settings.known
        if known is None or not entries:
            return False
        with self.recorder.mute():  # sources are read for it
            return all(self._writer.is_known(entry, owner, known) for entry in entries)

    def _patience(self, creations: Iterable[Creation | None]) -> float:
        """Return the grace period: short when all these sites have cost the full one before."""
        sites = [creation.stack if creation is not None else () for creation in creations]
        if sites and all(site in self._slow_sites for site in sites):
            return min(self.settings.grace, self.settings.repeat_grace)
        return self.settings.grace

    def _rest_for_late(self, late: list[Entry], spent: float) -> float:
        """Return how long to wait for what came meanwhile: for once, as long as closers may take."""
        patience = self._patience(entry.creation for entry in late)
        least = min(patience, self.settings.repeat_grace)
        return max(least, patience - spent) if spent < patience + least else 0.0

    def _has_waited(self, spent: float, left: Iterable[Creation | None]) -> None:
        """Count the wait before a test runner's loop is closed, which no judgement is part of."""
        self.seconds += spent
        self.settler.waited += spent
        self._slow_sites.update(creation.stack for creation in left if creation is not None)

    def _remember_slow(self, left: Iterable[Entry], patience: float) -> None:
        for entry in left:
            if entry.creation is not None and entry.waited >= patience > 0:
                self._slow_sites.add(entry.creation.stack)

    def _report(self, group: Group, owner: Owner, allowances: Sequence[Allowance]) -> Leak:
        with self.recorder.mute():  # sources are read for it: no opening of the test's
            leak = self._writer.write(group, owner, self.nodeid)
        if leak.severity != "fail":
            return leak
        allowance = find_allowance(allowances, leak.kind, _texts(leak, group))
        if allowance is None:
            return leak
        self.used_allowances.add(allowance)
        return replace(leak, severity="allowed", reason=allowance.reason, issue=allowance.issue)

    def _put_back(self, groups: Iterable[Group]) -> None:
        if not self.settings.restore:
            return
        for group in groups:
            for entry in group.entries:
                if self.ledger.is_live(entry) and entry.owner is not None:
                    self.ledger.put_back(entry)
        self.ledger.is_quiet()  # our own restoring is no change

    def _end(self, owner: Owner) -> None:
        owner.closed = True
        if owner.kept:
            owner.kept = []
        if owner.held or owner.caught:
            owner.held.clear()
            owner.caught.clear()
        if owner.codes or owner in self.fixtures:
            self.ledger.attribution.dismiss(owner)
            self.fixtures.pop(owner, None)
        if self._window is owner:
            self._window = self.recorder.window = self.session
            if get_ident() == self._main_ident:
                self.recorder.owner_var.set(None)


def _nothing() -> None:
    """Do so."""


def _texts(leak: Leak, group: Group) -> list[str]:
    """Return what an allowance's glob is compared with."""
    texts = [leak.summary]
    if group.primary.description is not None:
        texts.append(group.primary.description.target)
    if leak.origin is not None:
        texts.append(f"{leak.origin.file}:{leak.origin.line} in {leak.origin.function}")
    return texts
