"""Knows every live resource and its owner; looks again only where a reading has changed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.entries import Entry, Shelf, same
from pytest_resource_hygiene.errors import TrackerError
from pytest_resource_hygiene.objects import collector_paused, pass_by
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Moment, Tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
    from types import CodeType

    from pytest_resource_hygiene.engine.owners import Owner
    from pytest_resource_hygiene.recorder import Creation, Recorder

__all__ = ["Ledger"]

_CLOSABLE = frozenset({"fds", "sockets"})  # kinds in which closing another's is worth a note
_MANY = 1_000


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
        self.changed: list[Shelf] = []
        self.closed_for_others: list[Entry] = []
        # Seats that were taken and are free: of what the session had open before any test, and of
        # what was reported already, though nobody saw it opened.
        self._vacant: Counter[tuple[Tracker, Hashable]] = Counter()
        self._vacant_unseen: Counter[tuple[Tracker, Hashable]] = Counter()
        self._codes: dict[CodeType, list[Owner]] = {}
        self._decided: tuple[Creation, Owner | None] | None = None  # within one comparison
        # The first kind of those that share a question speaks for all.
        self._chosen: dict[Tracker, tuple[Callable[[], object], ...]] = {}
        self._probes: list[Callable[[], object]] = []
        # Kinds that ask the same question share one answer a test.
        sensors: dict[Callable[[], object], list[Shelf]] = {}
        for shelf in self.shelves:
            if shelf.tracker.senses:
                sensors.setdefault(self._sensor_of(shelf), []).append(shelf)
        self._asked = _Questions(sensors.items(), self._fail)
        self._pulse: object = None
        for shelves in self._asked.shelves:
            if not shelves[0].broken:
                self._chosen[shelves[0].tracker] = ()
        self._answers: list[object] | None = None
        trackers = [shelf.tracker for shelf in self.shelves]
        self._forgetful = [one for one in trackers if type(one).forget is not Tracker.forget]
        senseless = [shelf for shelf in self.shelves if not shelf.tracker.senses]
        late = [(self._sensor_of(shelf), [shelf]) for shelf in senseless]
        self._asked_late = _Questions(late, self._fail)

    # --- owners ---

    def admit(self, owner: Owner) -> None:
        """Recognise an owner by its code objects from now on."""
        for code in owner.codes:
            self._codes.setdefault(code, []).append(owner)

    def dismiss(self, owner: Owner) -> None:
        """Recognise it no longer."""
        owner.closed = True
        for code in owner.codes:
            owners = self._codes.get(code, [])
            if owner in owners:
                owners.remove(owner)
            if not owners:
                self._codes.pop(code, None)

    def owner_of(self, creation: Creation | None, window: Owner | None) -> Owner | None:
        """Decide who made something.

        A frame of a known test or fixture decides first, for it cannot lie. Then the context, which
        tasks and callbacks inherit from whoever scheduled them, then the thread's own maker. What
        nobody saw being made belongs to whoever was at work.
        """
        own_code = window.code if window is not None else None
        maker = creation
        while maker is not None:
            for code in maker.stack[::2]:
                owners = self._codes.get(code)
                if owners:
                    return owners[-1]
                if code is own_code:
                    return window
            owner: Owner | None = maker.owner
            # A runner that lives through several tests keeps the context of the first of them. Of
            # a thread, the context is its own, and what an ended owner left behind stays his.
            if owner is not None and not (owner.closed and maker.parent is None):
                return owner
            if maker.parent is None and maker is not creation and maker.window is not None:
                starter: Owner = maker.window  # who was at work when the thread was started
                return starter
            maker = maker.parent
        return window

    # --- looking ---

    def _sensor_of(self, shelf: Shelf) -> Callable[[], object]:
        try:
            return shelf.tracker.sensor()
        except Exception as error:  # noqa: BLE001 - a tracker may be anybody's
            self._fail([shelf], "choosing its sensor", error)
            return object

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

    def is_quiet(self) -> bool:
        """Return whether nothing can have been added since the last call; the whole happy path."""
        pulse = self.recorder.pulse
        if pulse == self._pulse:
            answers = self._probe()
            if answers is not None and answers == self._answers:
                self.changed = []
                return True
            self._answers = answers
        # Both were taken before the readings: what comes meanwhile is news for the next call. If
        # something was recorded, the last answers will do, for the readings tell the same.
        self._pulse = pulse
        self.changed = self._read()
        return not self.changed

    def _probe(self) -> list[object] | None:
        """Ask what no event tells of; None if that cannot be answered."""
        try:
            return [probe() for probe in self._probes]
        except Exception:  # noqa: BLE001 - a closed descriptor, anybody's tracker: readings tell
            return None

    def _read(self) -> list[Shelf]:
        """Return the shelves whose reading differs from the last."""
        changed = self._asked.changed()
        if changed:
            self._choose_probes(changed)
            changed += self._asked_late.changed()
        return [shelf for shelf in changed if not shelf.broken]

    def _choose_probes(self, changed: list[Shelf]) -> None:
        """Ask the kinds that have changed what has to be asked once a test from now on."""
        self._answers = None
        before = dict(self._chosen)
        for tracker in [shelf.tracker for shelf in changed if shelf.tracker in before]:
            try:
                self._chosen[tracker] = tuple(tracker.probes())
            except Exception as error:  # noqa: BLE001
                self._chosen[tracker] = ()
                self.report(tracker, "choosing its probes", error)
        if self._chosen != before:
            self._gather_probes()

    def _gather_probes(self) -> None:
        self._probes = [probe for probes in self._chosen.values() for probe in probes]

    def look(self, window: Owner | None, nodeid: str, *, everything: bool = False) -> list[Entry]:
        """Bring the ledger up to date; return what is new, each with its owner.

        Args:
            window: who was at work since the last look.
            nodeid: the test that runs.
            everything: look at kinds without a changed reading, too.
        """
        if self.is_quiet() and not everything:
            return []
        shelves = self.shelves if everything else self.changed
        return self.look_at(shelves, window, nodeid)

    def look_at(self, shelves: Collection[Shelf], window: Owner | None, nodeid: str) -> list[Entry]:
        """Bring these shelves up to date."""
        new: list[Entry] = []
        with self.recorder.mute(), collector_paused():
            moment = Moment()
            for shelf in shelves:
                if not shelf.broken:
                    resources = self._list(shelf, moment)
                    if resources is not None:
                        new += self._compare(shelf, resources, window, nodeid)
        return new

    def forget(self) -> None:
        """Tell the trackers that all they recorded has been put into entries."""
        for tracker in self._forgetful:
            try:
                tracker.forget()
            except Exception as error:  # noqa: BLE001
                self.report(tracker, "forgetting", error)

    def _list(self, shelf: Shelf, moment: Moment) -> Mapping[Hashable, Any] | None:
        try:
            return shelf.tracker.list_resources(moment)
        except Exception as error:  # noqa: BLE001
            self._fail([shelf], "listing", error)
            return None

    def _fail(self, shelves: Iterable[Shelf], action: str, error: Exception) -> None:
        for shelf in shelves:
            if not shelf.broken:
                shelf.broken = True
                if self._chosen.pop(shelf.tracker, None):
                    self._gather_probes()
                self.failures.append(TrackerError(shelf.tracker.kind, action, error))

    def _compare(
        self,
        shelf: Shelf,
        current: Mapping[Hashable, Any],
        window: Owner | None,
        nodeid: str,
    ) -> list[Entry]:
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
        self._decided = None
        if len(new) > _MANY:
            pass_by(new)
        if len(known) > len(current):
            for key in [key for key in known if key not in current]:
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
        creation = self._creation(shelf.tracker, key, value)
        owner = window if creation is None else self._owner_again(creation, window)
        entry = Entry(
            shelf.tracker,
            key,
            value,
            owner=owner,
            creation=creation,
            change="added" if previous is None else "replaced",
            previous=previous,
            made_during=nodeid,
        )
        shelf.entries[key] = entry
        if owner is not None:
            owner.held[entry] = None
        return entry

    def _owner_again(self, creation: Creation, window: Owner | None) -> Owner | None:
        """Decide once for what was made in a row: a loop leaves thousands."""
        if self._decided is not None:
            last, owner = self._decided
            if (
                creation.stack is last.stack
                and creation.owner is last.owner
                and creation.parent is last.parent
            ):
                return owner
        owner = self.owner_of(creation, window)
        self._decided = creation, owner
        return owner

    def _creation(self, tracker: Tracker, key: Hashable, value: Any) -> Creation | None:
        try:
            return tracker.creation(key, value)
        except Exception as error:  # noqa: BLE001
            self.report(tracker, "finding the origin", error)
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
            _release(below)
            below = below.previous
            if below is not None and same(below.value, value):
                shelf.entries[entry.key] = below
                return None
        return self._add(shelf, entry.key, value, below or entry, window, nodeid)

    def _remove(
        self, shelf: Shelf, key: Hashable, window: Owner | None, nodeid: str
    ) -> list[Entry]:
        entry = shelf.entries.pop(key)
        _release(entry)
        if shelf.tracker.removals and entry.previous is None and entry.owner is None:
            gone = self._add(shelf, key, None, entry, window, nodeid)
            gone.change = "removed"
            return [gone]
        self._vacate(shelf.tracker, entry)
        foreign = entry.owner is not window and (entry.owner is None or not entry.owner.closed)
        if foreign and shelf.tracker.kind in _CLOSABLE:
            self.closed_for_others.append(entry)
        return []

    def takes_seat(self, entry: Entry) -> bool:
        """Return whether an entry replaces what the session had open; if so, it is the session's.

        What the pool of the whole session closes between two tests and opens again in the next is
        not the next one's, and will be closed and opened again.
        """
        seat = entry.tracker.seat(entry.key) if entry.change == "added" else None
        place = entry.tracker, seat
        seats = self._vacant if self._vacant[place] else self._vacant_unseen
        if seat is None or not seats[place] or (seats is not self._vacant and entry.creation):
            return False
        seats[place] -= 1
        _release(entry)
        entry.owner = None
        return True

    def _vacate(self, tracker: Tracker, entry: Entry) -> None:
        seat = tracker.seat(entry.key)
        if seat is None:
            return
        owner = entry.owner
        if owner is None:
            self._vacant[tracker, seat] += 1
        elif owner.closed and entry.creation is None:
            self._vacant_unseen[tracker, seat] += 1

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
        try:
            return entry.tracker.anchor(entry.key, entry.value)
        except Exception as error:  # noqa: BLE001 - a tracker may be anybody's
            self.report(entry.tracker, "finding the object behind a resource", error)
            return None

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
        previous = entry.previous
        try:
            done = entry.tracker.restore(entry.key, entry.value, entry.old)
        except Exception as error:  # noqa: BLE001
            self.report(entry.tracker, "restoring", error)
            return False
        if done:
            shelf = next(s for s in self.shelves if s.tracker is entry.tracker)
            if previous is not None:
                shelf.entries[entry.key] = previous
            else:
                shelf.entries.pop(entry.key, None)
        return done


class _Questions:
    """Sensors, the kinds that each is for, and the last readings."""

    def __init__(
        self,
        sensors: Iterable[tuple[Callable[[], object], list[Shelf]]],
        fail: Callable[[Iterable[Shelf], str, Exception], None],
    ) -> None:
        pairs = list(sensors)
        self._sensors = [sensor for sensor, _ in pairs]
        self.shelves = [shelves for _, shelves in pairs]
        self._readings: list[object] = [object() for _ in pairs]  # which no sensor ever returns
        self._fail = fail

    def changed(self) -> list[Shelf]:
        """Ask all of them; return the kinds whose reading is not the last one."""
        before = self._readings
        try:
            readings = [sensor() for sensor in self._sensors]
            if readings == before:
                return []
            pairs = zip(readings, before, self.shelves, strict=True)
            changed = [shelves for reading, former, shelves in pairs if reading != former]
        except Exception:  # noqa: BLE001 - a tracker may be anybody's: now find out whose
            readings, changed = self._one_by_one()
        self._readings = readings
        return [shelf for shelves in changed for shelf in shelves]

    def _one_by_one(self) -> tuple[list[object], list[list[Shelf]]]:
        readings, changed = list(self._readings), []
        for at, (sensor, shelves) in enumerate(zip(self._sensors, self.shelves, strict=True)):
            try:
                readings[at] = sensor()
            except Exception as error:  # noqa: BLE001
                self._fail(shelves, "reading", error)
                continue
            if not same(readings[at], self._readings[at]):
                changed.append(shelves)
        return readings, changed


def _inode(fd: int) -> int | None:
    try:
        return System.fstat(fd).st_ino if fd >= 0 else None
    except OSError:
        return None


def _parts(key: Hashable) -> tuple[object, ...]:
    return key if isinstance(key, tuple) else ()


def _release(entry: Entry) -> None:
    if entry.owner is not None:
        entry.owner.held.pop(entry, None)
