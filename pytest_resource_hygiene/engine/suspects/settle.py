"""Gives suspects time to go, and stops at once when they are gone.

Nothing waits unless something looks leaked. The collector runs once, after a few milliseconds: what
only it could free was dropped but never closed, which is a note and no failure.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Description, IdentityKey

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from contextlib import AbstractContextManager

    from pytest_resource_hygiene.engine.inventory.entries import Entry, Shelf
    from pytest_resource_hygiene.engine.inventory.ledger import Ledger
    from pytest_resource_hygiene.engine.inventory.owners import Owner

__all__ = ["Settler", "describe"]

_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05
_LONG_COLLECTION = 0.02
_NEAR = 2_000  # objects
_MORTAL = frozenset({"threads", "native_threads", "timers", "processes", "tasks"})
_BEFORE_LETTING_GO = 0.004
_BEFORE_ASKING = 0.05  # whatever ends at once has ended, and to ask costs some milliseconds
_BEFORE_COLLECTING = 0.010  # a worker that its pool has dropped needs a moment to notice


class Settler:
    """Waits for suspects.

    Args:
        ledger: is asked again and again.
        sleep: lets seconds pass; tests give a clock of their own.

    Attributes:
        collecting: entered while the collector runs, for a host whom its finalizers concern.
        waiting: entered while time passes, for a host that has a limit for it.
    """

    def __init__(self, ledger: Ledger, sleep: Callable[[float], object] = System.sleep) -> None:
        """Have waited for nobody yet."""
        self._ledger = ledger
        self._sleep = sleep
        self.collecting: Callable[[], AbstractContextManager[object]] = nullcontext
        self.waiting: Callable[[], AbstractContextManager[object]] = nullcontext
        self.collections = 0
        self.waited = 0.0  # seconds, in all
        self.passed = 0.0  # the same as it was asked for, which a loaded machine exceeds

    def settle(
        self,
        suspects: Collection[Entry],
        window: Owner,
        nodeid: str,
        patience: float,
        *,
        collect: bool = True,
        may_fail: Callable[[list[Entry]], bool] | None = None,
        first_pause: float = _FIRST_PAUSE,
    ) -> tuple[list[Entry], list[Entry]]:
        """Wait up to ``patience`` seconds.

        Args:
            suspects: entries of the ledger.
            window: who is being judged.
            nodeid: the test that runs.
            patience: seconds.
            collect: run the garbage collector, if waiting a little did not help.
            may_fail: is asked once, after a while, whether to go on is worth it: whether what is
                left then would fail anything if it stayed.
            first_pause: seconds; each further one is twice as long, up to a limit.

        Returns:
            What is left, and what only the garbage collector freed.
        """
        wait = _Wait(self._ledger, suspects, window, nodeid)
        if collect and not wait.left and any(one.tracker.collectable for one in wait.lasting):
            self._let_pass(wait.lasting, 0)  # nothing to wait for but a turn of their loops
            wait.let_go()
            self._collect(wait)
            return wait.lasting, wait.freed
        due = self._due(wait, patience, may_fail, collect=collect)
        with self.waiting():
            self._wait_in_turns(
                wait, due, patience, max(_FIRST_PAUSE, min(first_pause, _LONGEST_PAUSE))
            )
        return [*wait.lasting, *wait.left], wait.freed

    def _wait_in_turns(
        self,
        wait: _Wait,
        due: list[tuple[float, Callable[[], bool]]],
        patience: float,
        pause: float,
    ) -> None:
        while wait.left:
            if due and wait.seconds >= due[0][0]:
                _, act = due.pop(0)
                if not act():
                    break
                continue
            if wait.seconds >= patience:
                break
            self._pause(wait, min(pause, patience - wait.seconds))
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _due(
        self,
        wait: _Wait,
        patience: float,
        may_fail: Callable[[list[Entry]], bool] | None,
        *,
        collect: bool,
    ) -> list[tuple[float, Callable[[], bool]]]:
        """Return what is to be done after how many seconds; each says whether to wait on."""

        def let_go() -> bool:
            wait.let_go()
            return True

        def run_collector() -> bool:
            self._collect(wait)
            return True

        due: list[tuple[float, Callable[[], bool]]] = []
        if collect:
            due.append((min(_BEFORE_LETTING_GO, patience), let_go))
            due.append((min(_BEFORE_COLLECTING, patience), run_collector))
        if may_fail is not None and patience > _BEFORE_ASKING:
            due.append((_BEFORE_ASKING, lambda: may_fail([*wait.lasting, *wait.left])))
        return due

    def _collect(self, wait: _Wait) -> None:
        with self.collecting():
            self.collections += wait.collect()

    def _pause(self, wait: _Wait, seconds: float) -> None:
        began = System.perf_counter()
        self._let_pass(wait.left, seconds)
        self.waited += System.perf_counter() - began
        self.passed += seconds
        wait.has_passed(seconds)

    def _let_pass(self, left: list[Entry], seconds: float) -> None:
        with self._ledger.recorder.mute():
            for tracker in {entry.tracker for entry in left}:
                keys = {entry.key for entry in left if entry.tracker is tracker}
                action = "letting time pass"
                if self._ledger.ask(tracker, action, False, tracker.pause, keys, seconds):
                    return
        self._sleep(seconds)


def _leading_to(entries: Collection[Entry]) -> Callable[[Any], bool]:
    """Return what says whether an object may be what keeps one of these alive."""
    if not all(isinstance(entry.key, IdentityKey) for entry in entries):
        return _may_lead  # a number: C code may have it
    from pytest_resource_hygiene.engine.references.reachable import reachable

    targets = {id(entry.value) for entry in entries} - {id(None)}
    # Twice in each test that closes something slowly: where there is more, it may.
    return lambda thing: bool(reachable([thing], targets, (), _NEAR, all_beyond_budget=True))


def _may_lead(thing: object) -> bool:
    return True


class _Wait:
    """One wait for suspects.

    Attributes:
        left: those that may still go by themselves.
        lasting: those of kinds that never do.
        freed: what only the garbage collector ended.
        seconds: how long they have been waited for.
    """

    def __init__(
        self, ledger: Ledger, suspects: Collection[Entry], window: Owner, nodeid: str
    ) -> None:
        self._ledger = ledger
        self._window = window
        self._nodeid = nodeid
        self.freed: list[Entry] = []
        self.seconds = 0.0
        self._divide(suspects)

    def _divide(self, entries: Iterable[Entry]) -> None:
        self.left: list[Entry] = []
        self.lasting: list[Entry] = []
        for entry in entries:
            (self.left if entry.tracker.settles else self.lasting).append(entry)

    def has_passed(self, seconds: float) -> None:
        """Look again after a pause."""
        self.seconds += seconds
        self.left = self._still_there(self.left)
        for entry in self.left:
            entry.waited = self.seconds

    def let_go(self) -> None:
        """Have the host drop what it drops anyway, but for things that were handed out open."""
        from pytest_resource_hygiene.engine.references.handed_out import (
            still_open,  # as all of a judgement
        )

        every = [*self.left, *self.lasting]
        self._window.kept = still_open(self._window.handed_out(), every, self._ledger.anchor_of)
        self._window.let_go(_leading_to(every))
        self._divide(self._still_there(every))

    def collect(self) -> int:
        """Run the collector, unless all have gone meanwhile; return how often it was run."""
        for entry in (*self.left, *self.lasting):  # while it can still be described
            describe(entry, self._ledger)
        before = self._still_there([*self.left, *self.lasting])  # all others went by themselves
        self._divide(before)
        if not before:
            return 0
        began = System.monotonic()
        System.collect()
        if self._window.let_go(
            _leading_to(before)
        ):  # of what finalizers have raised: it is collected no earlier
            System.collect()
        after = self._still_there(before)
        self._divide(after)
        kept = set(after)
        self.freed = [entry for entry in before if entry not in kept]
        if System.monotonic() - began > _LONG_COLLECTION:
            # Whatever can end by itself has had the time for it.
            self.freed = [one for one in self.freed if one.tracker.kind not in _MORTAL]
        for entry in self.freed:
            entry.by_collector = True
        return 1

    def _still_there(self, entries: list[Entry]) -> list[Entry]:
        shelves: list[Shelf] = [
            shelf
            for shelf in self._ledger.shelves
            if any(entry.tracker is shelf.tracker for entry in entries)
        ]
        self._ledger.look_at(shelves, self._window, self._nodeid)
        return [
            entry
            for entry in entries
            if self._ledger.is_live(entry) and entry.owner is self._window
        ]


def describe(entry: Entry, ledger: Ledger) -> Description:
    """Put an entry in words, once; a tracker that fails at it is at fault, not the test."""
    if entry.description is not None:
        return entry.description
    value = entry.value
    if value is None and entry.is_gone:  # which no tracker is to meet, and nobody will be told
        return Description(summary=f"{_noun(entry)} that is gone by now")
    try:
        with ledger.recorder.mute():
            entry.description = _checked(entry.tracker.describe(entry.key, value, entry.old))
    except Exception as error:  # noqa: BLE001
        ledger.report(entry.tracker, "describing", error)
        entry.description = Description(summary=f"{_noun(entry)} (not describable)")
    return entry.description


def _noun(entry: Entry) -> str:
    return entry.tracker.title or entry.tracker.kind


def _checked(words: object) -> Description:
    """Return a description, if it is one: a project's own kind may return anything.

    Raises:
        TypeError: says what is wrong with it, and what is valid.
    """
    if not isinstance(words, Description):
        raise TypeError(f"describe() returned a {type(words).__name__}. Return a Description.")
    for name in ("summary", "target", "hint"):
        text = getattr(words, name)
        if not isinstance(text, str):
            found = type(text).__name__
            raise TypeError(f"its Description has {found} for its {name}. Give a text.")
    return words
