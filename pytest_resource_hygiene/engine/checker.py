"""`LeakChecker`: whose window is open, and whether anything has changed in it.

A host (the pytest plugin, `no_leaks`, a server) opens an owner, lets it work, and closes it. At the
close the ledger looks whether anything changed; if something did and is the owner's, it gets time
to go, is judged (`judgement`), and comes back as findings. Whatever was found joins the baseline.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.canary import blind_spots
from pytest_resource_hygiene.engine.inventory.ledger import Ledger
from pytest_resource_hygiene.engine.inventory.limits import Limits
from pytest_resource_hygiene.engine.inventory.owners import NO_ENTRIES, Owner
from pytest_resource_hygiene.engine.inventory.told import Told
from pytest_resource_hygiene.engine.origins.places import Places
from pytest_resource_hygiene.engine.origins.stacks import StackReader
from pytest_resource_hygiene.engine.references.made_in_c import SingletonsInC
from pytest_resource_hygiene.engine.settings import EngineSettings
from pytest_resource_hygiene.engine.suspects.patience import Patience
from pytest_resource_hygiene.engine.suspects.settle import Settler
from pytest_resource_hygiene.model import OwnerInfo
from pytest_resource_hygiene.objects import collector_paused
from pytest_resource_hygiene.recorder import Creation, Recorder
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from contextvars import Token

    from pytest_resource_hygiene.engine.inventory.entries import Entry, Shelf
    from pytest_resource_hygiene.engine.judgement import Judgement
    from pytest_resource_hygiene.engine.known.allowances import Allowance
    from pytest_resource_hygiene.errors import TrackerError
    from pytest_resource_hygiene.leak import Leak
    from pytest_resource_hygiene.tracker import Captured

__all__ = ["LeakChecker"]


class LeakChecker:
    """Watches a process.

    Args:
        trackers: one for each kind that is on.
        settings: see `EngineSettings`.
        places: sorts files into the user's, libraries' and tools'.
        recorder: one with which some of the trackers have been started already, if any.
        sleep: lets seconds pass.

    Attributes:
        fixtures: the wider fixtures that are alive, the first set up first.
        session: the owner of what belongs to nobody else.
        blind_spots: kinds that cannot see everything here, each with the reason.
        used_allowances: those that have matched something.
        seconds: what all of this has cost so far, waiting included.
        told: what was reported and is still there.
        before_looking: called before anything is listed, for a host to make room for that.
        ledger: every live resource; from `start` on.
    """

    def __init__(
        self,
        trackers: Iterable[Tracker],
        settings: EngineSettings | None = None,
        *,
        places: Places | None = None,
        recorder: Recorder | None = None,
        sleep: Callable[[float], object] = System.sleep,
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
        self.patience = Patience(lambda: self.settings, self.reader.user_frame)
        self.recorder.patience = self.patience.of_creations
        self.recorder.waited = self._has_waited
        self.session = Owner(OwnerInfo("session", "session", "session"))
        self.fixtures: dict[Owner, None] = {}
        self.blind_spots: list[tuple[str, str]] = []
        self.used_allowances: set[Allowance] = set()
        self._seconds = 0.0
        self.before_looking: Callable[[], None] = _nothing
        self._sleep = sleep
        self.told = Told()
        self._crossed: list[Entry] = []  # limits, by setups of fixtures
        self._left_workers: list[Entry] = []  # by owners that have ended
        self._token: Token[Any] | None = None

    def start(self, *, canary: bool = True) -> None:
        """Start to record, take the baseline, and prove that each kind can see."""
        began = System.perf_counter()
        for tracker in self.trackers:
            self.recorder.start_tracker(tracker)
            if self.settings.severity.get(tracker.kind) == "fail":
                tracker.senses = True  # whoever has it fail wants it exact
        self.recorder.start()
        self.recorder.window = self.session
        self._token = self.recorder.owner_var.set(None)
        self.ledger = Ledger(self.trackers, self.recorder)
        self._has_no_news = self.ledger.is_quiet
        self.recorder.creation_of = self.ledger.creation_of_descriptor
        self.settler = Settler(self.ledger, self._sleep)
        self.limits = Limits(self.settings.max_listeners)
        if canary:
            self.blind_spots = blind_spots(self.trackers)
        self.ledger.take_baseline()
        self.in_c = SingletonsInC(self.reader.places)
        self._seconds += System.perf_counter() - began

    def stop(self) -> None:
        """Watch no more, and undo every hook that can be undone."""
        self.recorder.stop()
        token, self._token = self._token, None
        if token is not None:
            # A context keeps each variable that was ever set in it, with its value.
            with suppress(ValueError):  # this is another context, as of another task
                self.recorder.owner_var.reset(token)

    @cached_property
    def _judgement(self) -> Judgement:
        # Loaded with the first suspect: a clean run never needs it.
        from pytest_resource_hygiene.engine.judgement import Judgement

        return Judgement(self)

    @property
    def failures(self) -> list[TrackerError]:
        """What went wrong in trackers: never the fault of the code under test."""
        for tracker, action, error in self.recorder.failures:
            self.ledger.report(tracker, action, error)
        return self.ledger.failures

    @property
    def seconds(self) -> float:
        """What the watching has cost, as far as it was measured."""
        return self._seconds + self.ledger.quiet.seconds

    def has_taken(self, seconds: float) -> None:
        """Count what the host has spent on our account."""
        self._seconds += seconds

    def _has_waited(self, spent: float, left: Iterable[Creation | None]) -> None:
        """Count the wait before a test runner's loop is closed, which no judgement is part of."""
        self._seconds += spent
        self.settler.waited += spent
        self.patience.creations_were_in_vain(left)

    # --- windows ---

    @property
    def open(self) -> Callable[[Owner], None]:
        """Begin the window of a test: from here on it answers."""
        return self.recorder.begin

    @property
    def nodeid(self) -> str:
        """The test that runs, or ran last."""
        begun: Owner | None = self.recorder.begun
        return begun.nodeid if begun is not None else ""

    @contextmanager
    def setting_up(self, owner: Owner) -> Iterator[None]:
        """Give what appears inside to a wider fixture, and what appeared before to its window."""
        outer: Owner = self.recorder.window
        self._look(outer)
        self.ledger.attribution.admit(owner)
        self.recorder.window = owner
        token = self.recorder.owner_var.set(owner)
        try:
            yield
        finally:
            if self._look(owner):
                self._note_crossed_limits(owner)
            if owner.held:
                self.in_c.setup_ended(owner)
            self.fixtures[owner] = None
            self.recorder.owner_var.reset(token)
            self.recorder.window = outer

    def _look(self, window: Owner) -> bool:
        if self._is_quiet():
            return False
        self._make_room()
        self.look_at(self.ledger.changed, window)
        return True

    def _note_crossed_limits(self, fixture: Owner) -> None:
        """Have a limit that a setup has crossed told with the test that asked for the fixture.

        By the end of the fixture its teardown has taken the listeners off.
        """
        self._crossed += self.limits.exceeded(self.ledger, fixture, self.nodeid)
        if self._crossed:
            self.recorder.stir()

    def _is_quiet(self) -> bool:
        return self._has_no_news() or self.ledger.is_as_listed()

    def look_at(self, shelves: Collection[Shelf], window: Owner) -> list[Entry]:
        """Bring shelves up to date; return what is new, each with its owner."""
        self.hand_out_caught(window)  # first: what is listed next forgets what a closed loop held
        new = self.ledger.look_at(shelves, window, self.nodeid)
        self.ledger.forget()
        return new

    def _make_room(self) -> None:
        with self.recorder.mute():  # what a host opens for that is no opening of the test's
            self.before_looking()

    def hand_out_caught(self, window: Owner) -> None:
        """Give what trackers have caught in the act to whoever is to be judged with it."""
        for tracker in self._catching:
            for item in self._caught_by(tracker):
                if self.ledger.has_reported(tracker, item.key):
                    continue
                if tracker.kind == "unclosed" and self.told.covers(item):
                    continue
                owner = self.ledger.attribution.owner_of(item.creation, window) or window
                judged_with = window if owner.closed else owner
                judged_with.caught = [*judged_with.caught, (tracker, item, self.nodeid)]

    def _caught_by(self, tracker: Tracker) -> Collection[Captured]:
        # Gone through within the question: a project's own kind may return anything.
        action = "telling what it caught"
        return self.ledger.ask(tracker, action, (), lambda: tuple(tracker.drain()))

    # --- judging ---

    @property
    def close_if_quiet(self) -> Callable[[Owner, Owner], bool]:
        """End a test's window, and open another, if nothing has happened in it that lasts.

        It returns whether that was so; else `close` has to judge. It knows of tests only: what
        a wider fixture leaves is dismissed there.
        """
        return self.ledger.quiet.close

    def close(
        self, owner: Owner, allowances: Sequence[Allowance] = (), *, everything: bool = False
    ) -> list[Leak]:
        """End an owner's window and judge it.

        Args:
            owner: the test or wider fixture that has been torn down.
            allowances: what this owner may leave, beyond what everybody may.
            everything: look at all kinds, whatever their readings say: at the end of a module.
        """
        # Asked in any case: what has changed since the last answer is listed below.
        quiet = self._has_no_news() or self.ledger.is_as_listed()
        is_clean = not owner.held and not owner.caught and not self._crossed
        if quiet and not everything and is_clean:
            owner.closed = True
            if self.fixtures:
                self._dismiss(owner)
            self.recorder.end(owner, self.session)
            return []  # what follows is for those who changed something
        # A collection of the interpreter's own would free suspects while we look at them, and while
        # nothing is recorded; the settler runs the collector when it is time.
        with collector_paused():
            return self._close_at_length(owner, allowances, everything=everything)

    def _close_at_length(
        self, owner: Owner, allowances: Sequence[Allowance], *, everything: bool
    ) -> list[Leak]:
        self._make_room()
        self.look_at(self.ledger.shelves if everything else self._to_list(owner), owner)
        others = [*self._crossed, *self.limits.exceeded(self.ledger, owner, self.nodeid)]
        self._crossed = []
        others += self._closed(owner)
        if not owner.held and not owner.caught and not others:
            self._end(owner)
            return []
        try:
            return self._judgement.of(owner, others, (*allowances, *self.settings.allowances))
        finally:  # a fault of ours must not have the next answer for what this one has left
            self._end(owner)

    def _closed(self, owner: Owner) -> list[Entry]:
        """Return what a test closed although a live fixture had opened it, in its own setup."""
        closed, self.ledger.closed_for_others = self.ledger.closed_for_others, []
        if not closed:
            return []
        from pytest_resource_hygiene.engine.verdicts.closed_for_others import notes_of_closed

        return notes_of_closed(closed, owner, self.fixtures, self.reader)

    def close_fixture(self, owner: Owner, allowances: Sequence[Allowance] = ()) -> list[Leak]:
        """End a wider fixture: what its teardown made is its own as well."""
        if not self._is_quiet():
            self._make_room()
            for entry in self.look_at(self.ledger.changed, owner):
                if entry.owner is self.session:
                    entry.give_to(owner)
        return self.close(owner, allowances)

    def take_over(self, ended: Owner, by: Owner) -> None:
        """Have an owner answer for what another holds that will never be judged."""
        for entry in tuple(ended.held):
            self.ledger.hand_over(entry, by)
        by.caught, ended.caught = [*by.caught, *ended.caught], ()
        self._end(ended)

    def _to_list(self, owner: Owner) -> list[Shelf]:
        """Return what has changed, and where the owner holds something: it may be gone by now."""
        changed = self.ledger.changed
        if not owner.held:
            return changed
        holding = {entry.tracker for entry in owner.held}
        return [one for one in self.ledger.shelves if one in changed or one.tracker in holding]

    def _end(self, owner: Owner) -> None:
        owner.closed = True
        if owner.held or owner.caught or owner.kept:
            self._left_workers += [one for one in owner.held if one.tracker.kind == "threads"]
            owner.held, owner.caught, owner.kept = NO_ENTRIES, (), ()
        self._look_at_left_workers()
        self._dismiss(owner)
        self.recorder.end(owner, self.session)

    def _look_at_left_workers(self) -> None:
        """See which are idle: these work for whoever is at work next, and the others go on."""
        if self._left_workers:
            from pytest_resource_hygiene.engine.references.workers import workers_among

            self._left_workers = workers_among(self._left_workers)

    def _dismiss(self, owner: Owner) -> None:
        if owner.codes or owner in self.fixtures:
            self.ledger.attribution.dismiss(owner)
            self.fixtures.pop(owner, None)


def _nothing() -> None:
    """Do so."""
