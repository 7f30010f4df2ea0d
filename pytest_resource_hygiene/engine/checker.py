"""`LeakChecker`: the whole story on one page.

A host (the pytest plugin, `no_leaks`, a server) opens an owner, lets it work, and closes it. At the
close the ledger looks whether anything changed; if something did and is the owner's, it gets time
to go, is judged, and comes back as findings. Whatever was found joins the baseline.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_resource_hygiene.engine.allowances import Allowance, find_allowance
from pytest_resource_hygiene.engine.canary import blind_spots
from pytest_resource_hygiene.engine.entries import Entry
from pytest_resource_hygiene.engine.findings import FindingWriter
from pytest_resource_hygiene.engine.fingerprint import relative
from pytest_resource_hygiene.engine.judge import Group, Judge
from pytest_resource_hygiene.engine.ledger import Ledger
from pytest_resource_hygiene.engine.limits import Limits
from pytest_resource_hygiene.engine.owners import Owner
from pytest_resource_hygiene.engine.places import Places
from pytest_resource_hygiene.engine.settings import EngineSettings
from pytest_resource_hygiene.engine.settle import Settler
from pytest_resource_hygiene.engine.stacks import StackReader
from pytest_resource_hygiene.model import OwnerInfo
from pytest_resource_hygiene.recorder import Creation, Recorder, owner_var
from pytest_resource_hygiene.tracker import IdentityKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_resource_hygiene.engine.entries import Shelf
    from pytest_resource_hygiene.errors import TrackerError
    from pytest_resource_hygiene.model import Leak
    from pytest_resource_hygiene.tracker import Captured, Tracker

__all__ = ["LeakChecker"]


class LeakChecker:
    """Watches a process.

    Args:
        trackers: one for each kind that is on.
        settings: see `EngineSettings`.
        places: sorts files into the user's, libraries' and tools'.
        stop_files: files at whose first frame a creation stack ends.
        sleep: lets seconds pass.
    """

    def __init__(
        self,
        trackers: Iterable[Tracker],
        settings: EngineSettings | None = None,
        *,
        places: Places | None = None,
        stop_files: Iterable[str] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare; nothing is watched before `start`."""
        self.settings = settings or EngineSettings()
        self.trackers = list(trackers)
        self.recorder = Recorder(stop_files)
        self.reader = StackReader(places or Places())
        self.recorder.is_foreign = self.reader.is_foreign
        self.recorder.is_by_user = self.reader.is_by_user
        self.recorder.patience = self._patience
        self.session = Owner(OwnerInfo("session", "session", "session"))
        self.fixtures: dict[Owner, None] = {}
        self.blind_spots: list[tuple[str, str]] = []
        self.used_allowances: set[Allowance] = set()
        self.seconds = 0.0
        self._sleep = sleep
        self._slow_sites: set[object] = set()
        self._window: Owner = self.session
        self.nodeid = ""

    def start(self, *, canary: bool = True) -> None:
        """Start to record, take the baseline, and prove that each kind can see."""
        began = time.perf_counter()
        for tracker in self.trackers:
            tracker.start(self.recorder)
        self.recorder.start()
        self.recorder.window = self.session
        self.ledger = Ledger(self.trackers, self.recorder)
        self.settler = Settler(self.ledger, self._sleep)
        self.judge = Judge(self.ledger, self.reader, self.settings, lambda: tuple(self.fixtures))
        self.writer = FindingWriter(self.ledger, self.reader, self.settings.root)
        self.limits = Limits(self.settings.max_listeners)
        if canary:
            self.blind_spots = blind_spots(self.trackers)
        self.ledger.take_baseline()
        self.seconds += time.perf_counter() - began

    def stop(self) -> None:
        """Watch no more, and undo every hook that can be undone."""
        for tracker in reversed(self.trackers):
            tracker.stop()
        self.recorder.stop()

    @property
    def failures(self) -> list[TrackerError]:
        """What went wrong in trackers: never the fault of the code under test."""
        return self.ledger.failures

    # --- windows ---

    def open(self, owner: Owner) -> None:
        """Begin the window of a test: from here on it answers."""
        self._window = self.recorder.window = owner
        self.nodeid = owner.nodeid
        owner_var.set(owner)

    @contextmanager
    def setting_up(self, owner: Owner) -> Iterator[None]:
        """Give what appears inside to a wider fixture, and what appeared before to its window."""
        outer = self._window
        self._look(outer)
        self.ledger.admit(owner)
        self._window = self.recorder.window = owner
        token = owner_var.set(owner)
        try:
            yield
        finally:
            self._look(owner)
            self.fixtures[owner] = None
            owner_var.reset(token)
            self._window = self.recorder.window = outer

    def _look(self, window: Owner, *, everything: bool = False) -> None:
        if not everything and self.ledger.is_quiet():
            return
        shelves = self.ledger.shelves if everything else self.ledger.changed
        self.ledger.look_at(shelves, window, self.nodeid)
        self._take_caught(window)
        self.ledger.forget()

    def _take_caught(self, window: Owner) -> None:
        for tracker in self.trackers:
            for item in tracker.drain():
                owner = self.ledger.owner_of(item.creation, window) or window
                if owner.closed and tracker.kind != "unclosed":
                    owner = window
                owner.caught.append((tracker, item, self.nodeid))

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
        if not everything and not owner.held and not owner.caught and self.ledger.is_quiet():
            self._end(owner)
            return []
        self._settle_quickly(owner, everything)
        limits = self.limits.exceeded(self.ledger, owner, self.nodeid)
        if not owner.held and not owner.caught and not limits:
            self._end(owner)
            return []
        return self._judge(owner, [*limits], (*allowances, *self.settings.allowances))

    def close_fixture(self, owner: Owner) -> list[Leak]:
        """End a wider fixture: what its teardown made is its own as well."""
        if not self.ledger.is_quiet():
            for entry in self.ledger.look_at(self.ledger.changed, owner, self.nodeid):
                if entry.owner is self.session:
                    self.session.held.pop(entry, None)
                    entry.owner = owner
                    owner.held[entry] = None
            self._take_caught(owner)
            self.ledger.forget()
        return self.close(owner)

    def _settle_quickly(self, owner: Owner, everything: bool) -> None:
        shelves = self.ledger.shelves if everything else self._to_list(owner)
        self.ledger.look_at(shelves, owner, self.nodeid)
        self._take_caught(owner)
        self.ledger.forget()

    def _to_list(self, owner: Owner) -> list[Shelf]:
        """Return what has changed, and where the owner holds something: it may be gone by now."""
        holding = {entry.tracker for entry in owner.held}
        changed = self.ledger.changed
        return [one for one in self.ledger.shelves if one in changed or one.tracker in holding]

    def _judge(
        self, owner: Owner, limits: list[Entry], allowances: Sequence[Allowance]
    ) -> list[Leak]:
        caught = [self._entry_of(*one, owner) for one in owner.caught]  # before any collection
        owner.caught.clear()
        suspects = [entry for entry in list(owner.held) if not self._is_dropped(entry)]
        patience = self._patience(entry.creation for entry in suspects)
        left, freed = self.settler.settle(suspects, owner, self.nodeid, patience)
        self._remember_slow(left, patience)
        self._take_caught(owner)
        caught += [self._entry_of(*one, owner) for one in owner.caught]
        owner.caught.clear()
        caught = self._once(caught, left, freed)
        groups = self.judge.judge([*left, *freed, *caught, *limits], owner)
        leaks = [self._report(group, owner, allowances) for group in groups]
        self._put_back(groups)
        self._end(owner)
        return leaks

    def _is_dropped(self, entry: Entry) -> bool:
        """Leave what the test runner made out before anybody waits for it."""
        if self.reader.is_foreign(entry.creation):
            if entry.owner is not None:
                entry.owner.held.pop(entry, None)
            return True
        return False

    def _patience(self, creations: Iterable[Creation | None]) -> float:
        """Return the grace period: short when all these sites have cost the full one before."""
        sites = [creation.stack if creation is not None else () for creation in creations]
        if sites and all(site in self._slow_sites for site in sites):
            return min(self.settings.grace, self.settings.repeat_grace)
        return self.settings.grace

    def _remember_slow(self, left: Iterable[Entry], patience: float) -> None:
        for entry in left:
            if entry.creation is not None and entry.waited >= patience > 0:
                self._slow_sites.add(entry.creation.stack)

    def _entry_of(self, tracker: Tracker, item: Captured, nodeid: str, owner: Owner) -> Entry:
        entry = Entry(
            tracker,
            item.key,
            item.value,
            owner=owner,
            creation=item.creation,
            change=item.change,
            made_during=nodeid,
        )
        entry.description = item.description
        entry.severity = item.severity
        if item.abandoned and isinstance(item.key, IdentityKey) and item.key.ref() is None:
            entry.severity = "note"
        entry.waited = item.waited
        return entry

    def _once(
        self, caught: list[Entry], left: list[Entry], freed: list[Entry]
    ) -> list[Entry]:
        """Leave out what the ledger has as well, and warnings about what the collector freed."""
        for entry in caught:  # caught in the act beats freed afterwards
            freed[:] = [one for one in freed if one.key != entry.key]
        listed = {entry.key for entry in left}
        collected = {entry.creation.stack for entry in freed if entry.creation is not None}
        return [
            entry
            for entry in caught
            if entry.key not in listed
            and not (
                entry.tracker.kind == "unclosed"
                and entry.creation is not None
                and entry.creation.stack in collected
            )
        ]

    def _report(self, group: Group, owner: Owner, allowances: Sequence[Allowance]) -> Leak:
        leak = self.writer.write(group, owner, self.nodeid)
        if leak.severity != "fail":
            return leak
        allowance = find_allowance(allowances, leak.kind, _texts(leak, group, self.settings.root))
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
        owner.held.clear()
        owner.caught.clear()
        self.ledger.dismiss(owner)
        self.fixtures.pop(owner, None)
        if self._window is owner:
            self._window = self.recorder.window = self.session
            if threading.current_thread() is threading.main_thread():
                owner_var.set(None)


def _texts(leak: Leak, group: Group, root: str) -> list[str]:
    """Return what an allowance's glob is compared with."""
    texts = [leak.summary]
    if group.primary.description is not None:
        texts.append(group.primary.description.target)
    if leak.origin is not None:
        place = relative(leak.origin.file, root)
        texts.append(f"{place}:{leak.origin.line} in {leak.origin.function}")
    return texts
