"""Gives suspects time to go, and stops at once when they are gone.

Nothing waits unless something looks leaked. The collector runs once, after a few milliseconds: what
only it could free was dropped but never closed, which is a note and no failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Description

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pytest_resource_hygiene.engine.entries import Entry, Shelf
    from pytest_resource_hygiene.engine.ledger import Ledger
    from pytest_resource_hygiene.engine.owners import Owner

__all__ = ["Settler", "describe"]

_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05
_LONG_COLLECTION = 0.02
_MORTAL = frozenset({"threads", "native_threads", "timers", "processes", "tasks"})
_BEFORE_LETTING_GO = 0.004
_BEFORE_ASKING = 0.05  # whatever ends at once has ended, and to ask costs some milliseconds
_BEFORE_COLLECTING = 0.010  # a worker that its pool has dropped needs a moment to notice


class Settler:
    """Waits for suspects.

    Args:
        ledger: is asked again and again.
        sleep: lets seconds pass; tests give a clock of their own.
    """

    def __init__(self, ledger: Ledger, sleep: Callable[[float], None] = System.sleep) -> None:
        """Have waited for nobody yet."""
        self._ledger = ledger
        self._sleep = sleep
        self.collections = 0
        self.waited = 0.0  # seconds, in all

    def settle(
        self,
        suspects: Collection[Entry],
        window: Owner,
        nodeid: str,
        patience: float,
        *,
        collect: bool = True,
        may_fail: Callable[[list[Entry]], bool] | None = None,
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

        Returns:
            What is left, and what only the garbage collector freed.
        """
        left = [entry for entry in suspects if entry.tracker.settles]
        lasting = [entry for entry in suspects if not entry.tracker.settles]
        if collect and not left and any(entry.tracker.collectable for entry in lasting):
            _let_go(window, lasting)  # and nothing to wait for
            return self._collect(self._still_there(lasting, window, nodeid), window, nodeid)
        freed: list[Entry] = []
        waited, pause = 0.0, _FIRST_PAUSE
        let_go = collected = not collect
        while left:
            if not let_go and waited >= min(_BEFORE_LETTING_GO, patience):
                let_go = True
                _let_go(window, [*left, *lasting])
                left = self._still_there(left, window, nodeid)
                lasting = self._still_there(lasting, window, nodeid)
                continue
            if not collected and waited >= min(_BEFORE_COLLECTING, patience):
                collected = True
                every, freed = self._collect([*left, *lasting], window, nodeid)
                left = [entry for entry in every if entry.tracker.settles]
                lasting = [entry for entry in every if not entry.tracker.settles]
                continue
            if waited >= patience:
                break
            if may_fail is not None and waited >= _BEFORE_ASKING:
                if not may_fail([*lasting, *left]):
                    break
                may_fail = None
            pause = min(pause, patience - waited)
            self._pause(left, pause)
            waited += pause
            pause = min(pause * 2, _LONGEST_PAUSE)
            left = self._still_there(left, window, nodeid)
            for entry in left:
                entry.waited = waited
        return [*lasting, *left], freed

    def _collect(
        self, left: list[Entry], window: Owner, nodeid: str
    ) -> tuple[list[Entry], list[Entry]]:
        for entry in left:  # while it can still be described
            describe(entry, self._ledger)
        left = self._still_there(left, window, nodeid)  # what has gone meanwhile went by itself
        if not left:
            return [], []
        began = System.monotonic()
        System.collect()
        if window.let_go():  # of what finalizers have raised just now: it is collected no earlier
            System.collect()
        self.collections += 1
        after = self._still_there(left, window, nodeid)
        kept = set(after)
        freed = [entry for entry in left if entry not in kept]
        if System.monotonic() - began > _LONG_COLLECTION:
            # Whatever can end by itself has had the time for it.
            freed = [entry for entry in freed if entry.tracker.kind not in _MORTAL]
        for entry in freed:
            entry.by_collector = True
        return after, freed

    def _still_there(self, left: list[Entry], window: Owner, nodeid: str) -> list[Entry]:
        shelves: list[Shelf] = [
            shelf
            for shelf in self._ledger.shelves
            if any(entry.tracker is shelf.tracker for entry in left)
        ]
        self._ledger.look_at(shelves, window, nodeid)
        return [entry for entry in left if self._ledger.is_live(entry)]

    def _pause(self, left: list[Entry], seconds: float) -> None:
        began = System.perf_counter()
        self._wait(left, seconds)
        self.waited += System.perf_counter() - began

    def _wait(self, left: list[Entry], seconds: float) -> None:
        with self._ledger.recorder.mute():
            for tracker in {entry.tracker for entry in left}:
                keys = {entry.key for entry in left if entry.tracker is tracker}
                if tracker.pause(keys, seconds):
                    return
        self._sleep(seconds)


def _let_go(window: Owner, suspects: Collection[Entry]) -> None:
    """Have the host drop what it drops anyway, but for things that were handed out open."""
    from pytest_resource_hygiene.engine.handed_out import still_open  # as all of a judgement

    window.kept = still_open(window.handed_out(), suspects)
    window.let_go()


def describe(entry: Entry, ledger: Ledger) -> Description:
    """Put an entry in words, once; a tracker that fails at it is at fault, not the test."""
    if entry.description is not None:
        return entry.description
    value = entry.value
    if value is None and entry.is_gone:  # which no tracker is to meet, and nobody will be told
        return Description(summary=f"{entry.tracker.title} that is gone by now")
    try:
        with ledger.recorder.mute():
            entry.description = entry.tracker.describe(entry.key, value, entry.old)
    except Exception as error:  # noqa: BLE001
        ledger.report(entry.tracker, "describing", error)
        entry.description = Description(summary=f"{entry.tracker.title} (not describable)")
    return entry.description
