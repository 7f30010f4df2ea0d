"""Knows every live resource and its owner; looks again only where a reading has changed."""

from __future__ import annotations

import io
import weakref
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_resource_hygiene.engine.inventory.attribution import Attribution
from pytest_resource_hygiene.engine.inventory.entries import Entry, Shelf, same
from pytest_resource_hygiene.engine.inventory.readings import Readings
from pytest_resource_hygiene.engine.inventory.seats import Seats
from pytest_resource_hygiene.errors import TrackerError
from pytest_resource_hygiene.objects import collector_paused, pass_by
from pytest_resource_hygiene.recorder import Creation
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Moment, Tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable
    from types import CodeType

    from pytest_resource_hygiene.engine.inventory.owners import Owner
    from pytest_resource_hygiene.model import Change
    from pytest_resource_hygiene.recorder import Recorder

__all__ = ["Ledger"]

R = TypeVar("R")

_CLOSABLE = frozenset({"fds", "sockets"})  # kinds in which closing another's is worth a note
_MANY = 1_000

_STARTING = frozenset({"threads", "timers"})


class Ledger:
    """The shelves of all kinds.

    Args:
        trackers: one for each kind.
        recorder: started by the checker; muted while we look.
    """

    def __init__(self, trackers: Iterable[Tracker], recorder: Recorder) -> None:
        """Know nothing; see `take_baseline`."""
        self.recorder = recorder
        self.shelves = [Shelf(tracker) for tracker in trackers]
        self.failures: list[TrackerError] = []
        self.closed_for_others: list[Entry] = []
        self._unexplained: list[Entry] = []
        self._heirs: list[tuple[Creation, Owner]] = []
        self.attribution = Attribution(self._owner_of_thread)
        self.seats = Seats(self.ask)
        self._readings = Readings(self.shelves, recorder, self.report)
        self.is_quiet = self._readings.is_quiet
        self.quiet = self._readings.quiet
        trackers = [shelf.tracker for shelf in self.shelves]
        self._forgetful = [one for one in trackers if type(one).forget is not Tracker.forget]

    @property
    def changed(self) -> list[Shelf]:
        """The shelves whose reading was another when `is_quiet` was last asked."""
        return self._readings.changed

    def _owner_of_thread(self, start: Creation, window: Owner | None) -> Owner | None:
        """Return who has a thread by now whose starter has ended: a worker goes with its pool.

        So does what a timer starts that has rung: the next link of a chain. A worker that is left
        and had nothing to do runs the jobs of whoever is at work.
        """
        for shelf in self.shelves:
            if shelf.tracker.kind in _STARTING:
                for entry in shelf.entries.values():
                    if entry.creation is start:
                        is_left = entry.was_idle and entry.owner is not None and entry.owner.closed
                        return window if is_left else entry.owner
        starter: Owner = start.window
        return next((heir for made, heir in self._heirs if made is start), starter)

    def hand_over(self, entry: Entry, heir: Owner) -> None:
        """Give an entry to another owner, and what it starts, also when it has ended itself."""
        entry.give_to(heir)
        if entry.tracker.kind in _STARTING and entry.creation is not None:
            self._heirs = [one for one in self._heirs if not one[1].closed]
            self._heirs.append((entry.creation, heir))

    # --- looking ---

    def take_baseline(self) -> None:
        """Take everything that exists as given."""
        self.is_quiet()
        with self.recorder.mute():
            moment = Moment()
            for shelf in self.shelves:
                resources = self._list(shelf, moment)
                if resources is not None:
                    shelf.fill(resources)
        self.forget()
        self.is_quiet()

    def is_as_listed(self) -> bool:
        """Return whether all that has changed lists just what it listed last.

        So it is after most tests that open anything: they have closed it. This asks for a third of
        what `look_at` does.
        """
        moment, changed = Moment(), self.changed
        if any(shelf.is_taken_again() for shelf in changed):
            return False
        for tracker in [shelf.tracker for shelf in changed]:
            if not tracker.lists_anew:
                return False
            if not self.ask(tracker, "counting", False, tracker.may_be_as_listed):
                return False
        for shelf in changed:
            if self._list(shelf, moment) is not shelf.listed:
                return False
        for shelf in changed:
            self.ask(shelf.tracker, "forgetting", None, shelf.tracker.forget)
        self._readings.changed = []
        return True

    def look_at(self, shelves: Collection[Shelf], window: Owner | None, nodeid: str) -> list[Entry]:
        """Bring shelves up to date; return what is new, each with its owner.

        Args:
            shelves: where to look, such as `changed`.
            window: who was at work since the last look.
            nodeid: the test that runs.
        """
        new: list[Entry] = []
        with self.recorder.mute(), collector_paused():
            moment = Moment()
            for shelf in shelves:
                if not shelf.broken:
                    resources = self._list(shelf, moment)
                    if resources is not None:
                        new += self._compare(shelf, resources, window, nodeid)
            if self._unexplained:
                self._ask_again(new)
        return new

    def _ask_again(self, new: Collection[Entry]) -> None:
        """Ask once more who made what was listed before the thread that made it came to tell.

        `socket.accept` has a descriptor before there is an object, and another thread looks.
        """
        waiting, self._unexplained = self._unexplained, []
        just_asked = set(new)
        for entry in waiting:
            owner = entry.owner
            if owner is None or owner.closed or not self.is_live(entry):
                continue
            if entry not in just_asked:
                question = entry.tracker.late_creation
                entry.creation = self.ask(
                    entry.tracker, "finding the origin", None, question, entry.key, entry.value
                )
            if entry.creation is None:
                self._unexplained.append(entry)
            else:
                entry.give_to(self.attribution.owner_of(entry.creation, owner))

    def forget(self) -> None:
        """Tell the trackers that all they recorded has been put into entries."""
        for tracker in self._forgetful:
            self.ask(tracker, "forgetting", None, tracker.forget)

    def _list(self, shelf: Shelf, moment: Moment) -> Mapping[Hashable, Any] | None:
        try:
            return _checked(shelf.tracker.list_resources(moment))
        except Exception as error:  # noqa: BLE001
            self._readings.give_up([shelf], "listing", error)
            return None

    def _compare(
        self,
        shelf: Shelf,
        current: Mapping[Hashable, Any],
        window: Owner | None,
        nodeid: str,
    ) -> list[Entry]:
        shelf.drop_taken_again()
        if shelf.tracker.lists_anew:
            if current is shelf.listed:
                return []
            shelf.listed = current
        known = shelf.entries
        new: list[Entry] = []
        for key, value in current.items():
            entry = known.get(key)
            if entry is None:
                new.append(self._add(shelf, key, value, None, window, nodeid))
            elif shelf.tracker.slots and not same(entry.value, value):
                replaced = self._replace(shelf, entry, value, window, nodeid)
                if replaced is not None:
                    new.append(replaced)
        self.attribution.end_row()
        if len(new) > _MANY:
            pass_by(new)
        if len(known) > len(current):
            gone = [key for key in known if key not in current and known[key].change != "removed"]
            for key in gone:
                new += self._remove(shelf, key, window, nodeid)
        return new

    def _add(
        self,
        shelf: Shelf,
        key: Hashable,
        value: Any,
        previous: Entry | None,
        window: Owner | None,
        nodeid: str,
    ) -> Entry:
        tracker = shelf.tracker
        creation = self._creation_of(tracker, key, value)
        owner = window if creation is None else self.attribution.owner_of_next(creation, window)
        change: Change = "added" if previous is None else "replaced"
        # By position: by name, a class takes twice as long.
        entry = Entry(tracker, key, value, owner, creation, change, previous, nodeid)
        shelf.entries[key] = entry
        if owner is not None:
            owner.hold(entry)
            if creation is None and type(tracker).late_creation is not Tracker.late_creation:
                self._unexplained.append(entry)
        return entry

    def _creation_of(self, tracker: Tracker, key: Hashable, value: Any) -> Creation | None:
        action = "finding the origin"
        try:  # not by `ask`: of ten thousand descriptors, each call counts
            creation: object = tracker.creation(key, value)
        except Exception as error:  # noqa: BLE001 - a tracker may be anybody's
            self.report(tracker, action, error)
            return None
        if creation is None or isinstance(creation, Creation):
            return creation
        words = (
            f"creation() returned a {type(creation).__name__}. Return what recorder.creation() did."
        )
        self.report(tracker, action, TypeError(words))
        return None

    def _replace(
        self, shelf: Shelf, entry: Entry, value: Any, window: Owner | None, nodeid: str
    ) -> Entry | None:
        """Stack the new value on the old, unless its owner has just put the older one back."""
        below: Entry | None = entry
        while (
            below is not None
            and below.owner is not None
            and (below.owner is window or below.owner.closed)
        ):
            below.release()
            below = below.previous
            if below is not None and same(below.value, value):
                shelf.entries[entry.key] = below
                return None
        return self._add(shelf, entry.key, value, below or entry, window, nodeid)

    def _remove(
        self, shelf: Shelf, key: Hashable, window: Owner | None, nodeid: str
    ) -> list[Entry]:
        entry = shelf.entries.pop(key)
        entry.release()
        if shelf.tracker.removals and entry.previous is None and entry.owner is None:
            gone = self._add(shelf, key, None, entry, window, nodeid)
            gone.change = "removed"
            return [gone]
        self.seats.leave(entry)
        foreign = entry.owner is not window and (entry.owner is None or not entry.owner.closed)
        if foreign and shelf.tracker.kind in _CLOSABLE:
            self.closed_for_others.append(entry)
        return []

    def note_told(self, entries: Iterable[Entry]) -> None:
        """Remember the files that have been reported: a number and a file may come again as a pair.

        A fixture that returns an open file leaks one in each test; each is closed when pytest drops
        it, and the next gets its number.
        """
        for entry in entries:
            owner = self.anchor_of(entry) if entry.tracker.kind == "fds" else None
            if owner is None or (type(owner) is io.FileIO and not owner.closefd):
                continue
            shelf = next(one for one in self.shelves if one.tracker is entry.tracker)
            with suppress(TypeError):  # an epoll has no weak references; nor has it a file
                shelf.told[entry.key] = weakref.ref(owner)

    def creation_of_descriptor(self, fd: int, path: str) -> Creation | None:
        """Return how a descriptor was made that an earlier look has found, by number or path."""
        inode = _inode(fd)
        for shelf in self.shelves:
            if shelf.tracker.kind not in _CLOSABLE:
                continue
            for entry in shelf.entries.values():
                creation = entry.creation
                if creation is None:
                    continue
                # The number alone may be that of something else by now, not looked at since.
                same_number = entry.value == fd and inode in _parts(entry.key)
                if same_number or (path and creation.what == path):
                    return creation
        return None

    def anchor_of(self, entry: Entry) -> Any:
        """Return the Python object behind an entry, or None if there is none to follow."""
        if entry.change == "exceeded" or (entry.description is not None and entry.value is None):
            return None
        action = "finding the object behind a resource"
        return self.ask(entry.tracker, action, None, entry.tracker.anchor, entry.key, entry.value)

    def kept_as(self, entry: Entry) -> Any:
        """Return the object by which a wider fixture would keep what an entry stands for, or None."""
        tracker = entry.tracker
        if entry.change == "exceeded":
            return None
        if type(tracker).kept_as is Tracker.kept_as:  # asked in the same words as by all others
            return self.anchor_of(entry) if tracker.settles else None
        action = "finding by what a fixture would keep a resource"
        return self.ask(entry.tracker, action, None, tracker.kept_as, entry.key, entry.value)

    def code_of(self, entry: Entry) -> CodeType | None:
        """Return the code that a thread, a task or a handler runs, if it runs any."""
        if entry.code is not None:
            return entry.code
        tracker, action = entry.tracker, "finding its code"
        code: CodeType | None = self.ask(
            tracker, action, None, tracker.code, entry.key, entry.value
        )
        return code

    def called_as(self, entry: Entry) -> Collection[str]:
        """Return the names of what may have made it, if no event tells of that."""
        tracker, action = entry.tracker, "finding what made it"
        names: Collection[str] = self.ask(
            tracker, action, (), tracker.called_as, entry.key, entry.value
        )
        return names

    def assigned_as(self, entry: Entry) -> str | None:
        """Return the name of the attribute to which it was assigned, if no event tells of that."""
        tracker, action = entry.tracker, "finding its name"
        name: str | None = self.ask(
            tracker, action, None, tracker.assigned_as, entry.key, entry.value
        )
        return name

    def ask(
        self, tracker: Tracker, action: str, default: R, question: Callable[..., R], *args: Any
    ) -> R:
        """Return a tracker's answer, or the default if it raises: that is reported, and ours.

        Args:
            tracker: whom the question is put to.
            action: what it was doing, for the report.
            default: what to go on with.
            question: a method of the tracker.
            args: its arguments.
        """
        try:
            return question(*args)
        except Exception as error:  # noqa: BLE001 - a tracker may be anybody's
            self.report(tracker, action, error)
            return default

    def is_ours(self, entry: Entry) -> bool:
        """Return whether the kind knows that the test runner or this package made an entry."""
        is_ours = entry.tracker.is_ours
        return self.ask(entry.tracker, "saying whose it is", False, is_ours, entry.key, entry.value)

    def report(self, tracker: Tracker, action: str, error: Exception) -> None:
        """Remember a fault of a tracker, once for each action."""
        known = {(failure.kind, failure.action) for failure in self.failures}
        if (tracker.kind, action) not in known:
            self.failures.append(TrackerError(tracker.kind, action, error))

    # --- after judging ---

    def is_live(self, entry: Entry) -> bool:
        """Return whether the entry is still what the ledger has for its key."""
        for shelf in self.shelves:
            if shelf.tracker is entry.tracker:
                return shelf.entries.get(entry.key) is entry
        return False

    def has_reported(self, tracker: Tracker, key: Hashable) -> bool:
        """Return whether the resource has already been judged with an owner that has ended."""
        for shelf in self.shelves:
            if shelf.tracker is tracker:
                entry = shelf.entries.get(key)
                return entry is not None and entry.owner is not None and entry.owner.closed
        return False

    def put_back(self, entry: Entry) -> bool:
        """Restore a slot to what it was before the entry; return whether that was done."""
        tracker, previous = entry.tracker, entry.previous
        done = self.ask(
            tracker, "restoring", False, tracker.restore, entry.key, entry.value, entry.old
        )
        if done:
            shelf = next(s for s in self.shelves if s.tracker is tracker)
            if previous is not None:
                shelf.entries[entry.key] = previous
            else:
                shelf.entries.pop(entry.key, None)
        return done


def _checked(listed: object) -> Mapping[Hashable, Any]:
    """Return a listing, if it is one: a project's own kind may return anything.

    Raises:
        TypeError: says what it is, and what is valid.
    """
    if type(listed) is dict or isinstance(listed, Mapping):
        return listed
    raise TypeError(
        f"list_resources() returned a {type(listed).__name__}. Return a dict of identities to handles."
    )


def _inode(fd: int) -> int | None:
    try:
        return System.fstat(fd).st_ino if fd >= 0 else None
    except OSError:
        return None


def _parts(key: Hashable) -> tuple[object, ...]:
    return key if isinstance(key, tuple) else ()
