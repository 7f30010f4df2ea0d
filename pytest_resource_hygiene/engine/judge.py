"""Decides what a suspect is: a leak, a note, somebody else's, or nothing at all.

In this order, because each step is surer than the next: the test runner's own things are dropped;
what a live wider fixture keeps is handed to it; what belongs together becomes one group; then each
group is sorted by *how* it came to be (an import, a habit of a library) and by who holds it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.holders import Holder, find_holder, has_seat, reachable
from pytest_resource_hygiene.engine.made_in_c import MADE_IN_C, is_unseen
from pytest_resource_hygiene.engine.settle import describe
from pytest_resource_hygiene.engine.singletons import habit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_resource_hygiene.engine.entries import Entry
    from pytest_resource_hygiene.engine.ledger import Ledger
    from pytest_resource_hygiene.engine.made_in_c import SingletonsInC
    from pytest_resource_hygiene.engine.owners import Owner
    from pytest_resource_hygiene.engine.settings import EngineSettings
    from pytest_resource_hygiene.engine.stacks import StackReader

__all__ = ["Group", "Judge"]

_EXECUTOR = "concurrent.futures.thread"
_NEAR = 2_000  # objects within which something counts as part of another


@dataclass(slots=True, eq=False)
class Group:
    """Suspects that belong together, the one that names them first."""

    entries: list[Entry]
    severity: str = "fail"
    why: str = ""
    module: str | None = None
    holder: Holder | None = None
    site: tuple[tuple[str, str], ...] = field(default=())

    @property
    def primary(self) -> Entry:
        """The entry that names the group."""
        return self.entries[0]


class Judge:
    """Sorts suspects; remembers what libraries have made once already.

    Args:
        ledger: to ask what still lives.
        reader: reads creation records.
        settings: returns severities and strictness; a marker may change them for one test.
        fixtures: returns the wider fixtures that are alive.
        in_c: knows which singletons of C extensions are new.
    """

    def __init__(
        self,
        ledger: Ledger,
        reader: StackReader,
        settings: Callable[[], EngineSettings],
        fixtures: Callable[[], Iterable[Owner]],
        in_c: SingletonsInC,
    ) -> None:
        """Remember nothing yet."""
        self._in_c = in_c
        self._ledger = ledger
        self._reader = reader
        self._settings = settings
        self._fixtures = fixtures
        self._made_once: dict[tuple[object, ...], list[Entry]] = {}
        # To look for a holder costs some hundred milliseconds where there are many objects.
        self._kept_by_none: set[tuple[object, ...]] = set()

    def judge(self, suspects: Iterable[Entry], window: Owner) -> list[Group]:
        """Return the groups that are worth a word."""
        own = [
            entry
            for entry in suspects
            # A listener on an emitter that the collector took away was no resource at all.
            if not self._is_foreign(entry) and (entry.tracker.settles or not entry.by_collector)
        ]
        groups = [group for group in self._group(own) if self._severity(group) != "off"]
        for group in groups:
            self._sort(group)
        groups = _gather_loose(groups)
        self._look_for_singleton_in_c(groups, window)
        return groups

    # --- whose ---

    def _is_foreign(self, entry: Entry) -> bool:
        foreign = self._reader.is_foreign(entry.creation) or entry.tracker.is_ours(
            entry.key, entry.value
        )
        if foreign and entry.owner is not None:
            entry.owner.held.pop(entry, None)
        return foreign

    def hand_over(self, suspects: list[Entry], window: Owner) -> list[Entry]:
        """Give to the live wider fixtures what can be reached from their values.

        Returns:
            The rest.
        """
        suspects = [entry for entry in suspects if not self._joins_pool(entry, window)]
        taken_over: set[Entry] = set()
        fixtures = [one for one in self._fixtures() if one is not window and one.value is not None]
        if not fixtures or not suspects:
            return suspects
        objects: dict[int, Entry] = {}
        numbers: dict[int, Entry] = {}
        anchors = []  # keeps the objects alive, so that their ids stay theirs
        for entry in suspects:
            if not entry.tracker.settles:  # that a function can be reached says nothing
                continue
            anchor = self._ledger.anchor_of(entry)
            if anchor is not None:
                anchors.append(anchor)
                objects[id(anchor)] = entry
            elif (number := _number(entry)) is not None:
                numbers[number] = entry
        for fixture in fixtures:
            kept = list(fixture.value()) if fixture.value is not None else []
            loops = {*map(id, kept), *self._loops_of(fixture)}
            for found in reachable(kept, objects, numbers, loops=loops):
                taken = objects.get(found) or numbers.get(found)
                # The first to be set up is the last to be torn down: it outlives what shares its
                # value, and nothing of it is judged too early.
                if taken is None or taken in taken_over:
                    continue
                if self._may_take(fixture, taken):
                    _give(taken, fixture)
                    taken_over.add(taken)
        return [entry for entry in suspects if entry not in taken_over]

    def _joins_pool(self, entry: Entry, window: Owner) -> bool:
        """Give a worker to whoever owns the pool that it has joined, by the first worker's owner."""
        queue = _queue_of(entry)
        if queue is None:
            return False
        for shelf in self._ledger.shelves:
            if shelf.tracker is not entry.tracker:
                continue
            for other in shelf.entries.values():
                owner = other.owner
                lives = owner is None or not owner.closed
                if lives and owner is not window and _queue_of(other) is queue:
                    _give(entry, owner)
                    return True
        return False

    def _loops_of(self, owner: Owner) -> set[int]:
        """Return the ids of the event loops that an owner has made and that still live."""
        return {
            id(entry.value)
            for shelf in self._ledger.shelves
            if shelf.tracker.kind == "loops"
            for entry in shelf.entries.values()
            if entry.owner is owner
        }

    def _may_take(self, fixture: Owner, entry: Entry) -> bool:
        """Return whether reaching something from a fixture's value means that it is the fixture's.

        A test runner's own fixture holds the loop, which reaches everything that runs on it. Only
        what the loop itself keeps for its tests, the workers of its executor, is the loop's.
        """
        if entry.owner is fixture:
            return False
        files = {code.co_filename for code in fixture.codes}
        if "tool" not in map(self._reader.places.of, files):
            return True
        from_test = entry.owner is not None and entry.owner.info.type == "test"
        return from_test and entry.tracker.kind == "threads"

    def deserves_wait(self, entry: Entry) -> bool:
        """Return whether a suspect may turn out to be a failure, so that it is worth waiting for."""
        kind = entry.tracker.kind
        if self._settings().severity.get(kind, entry.tracker.severity) != "fail":
            return False
        site = self._reader.habit_site(entry.creation)
        return habit_of(site) is None and self._reader.importing(entry.creation) is None

    # --- what belongs together ---

    def _group(self, entries: list[Entry]) -> list[Group]:
        groups: dict[object, list[Entry]] = {}
        for entry in entries:
            groups.setdefault(self._together(entry), []).append(entry)
        result = []
        for members in groups.values():
            members.sort(key=_rank, reverse=True)
            result += [
                Group(part, site=self._reader.library_site(part[0].creation))
                for part in _split_slots(members)
            ]
        return self._absorb(result)

    def _absorb(self, groups: list[Group]) -> list[Group]:
        """Add what nobody saw being made to the group whose object holds it, e.g. a loop's epoll."""
        loose = {
            number: group
            for group in groups
            if group.primary.creation is None and (number := _number(group.primary)) is not None
        }
        if not loose:
            return groups
        absorbed: list[Group] = []
        for group in groups:
            if group.primary.creation is None or not loose:
                continue
            anchor = self._ledger.anchor_of(group.primary)
            found = reachable([anchor], (), loose, _NEAR)
            for number in found:
                part = loose.pop(number)
                group.entries += part.entries
                absorbed.append(part)
        return [group for group in groups if group not in absorbed]

    def _together(self, entry: Entry) -> object:
        describe(entry, self._ledger)
        call = self._reader.call(entry.creation)
        if call is None:
            target = entry.description.target if entry.description else ""
            return entry.tracker.kind, entry.change, target
        if call[2] is None or entry.by_collector or entry.change == "exceeded":
            # made by the user's own hand, or apart from what one call makes
            event = entry.key if entry.change == "exceeded" else None
            return entry.tracker.kind, entry.by_collector, event, call
        # The first shared memory of a process starts the resource tracker: one call, two things.
        return call, habit_of(self._reader.habit_site(entry.creation))

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
        elif primary.owner is not None and primary.owner.closed and not primary.was_caught:
            group.severity, group.why = "note", "made by what an earlier owner left behind"
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
        if group.site and group.primary.tracker.is_default(group.primary.key, group.primary.value):
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
        grown = any(self._ledger.is_live(one) for one in self._made_once.get(key, ()))
        for group in unseen:
            group.holder = new[0]
            self._made_once.setdefault(key, []).extend(group.entries)
            if grown:
                group.why = "made again for a singleton of a C extension: it grows"
            else:
                group.severity = "note"
                group.why = "opened by C code for a singleton, which its library keeps"

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
        if earlier and not self._have_seats(alike):
            group.why = "made again at a place that made one before: it grows"
        else:
            group.severity = "note"

    def _have_seats(self, entries: list[Entry]) -> bool:
        """Return whether each is a singleton of its own, e.g. one for each class of a library."""
        objects = [self._ledger.anchor_of(one) for one in entries]
        with self._ledger.recorder.mute():
            return all(one is not None and has_seat(one) for one in objects)

    def _is_held_by_library(self, group: Group) -> bool:
        unseen = group.primary.creation is None and group.primary.tracker.kind in MADE_IN_C
        if not group.site and not unseen:
            return False
        code = group.primary.tracker.code(group.primary.key, group.primary.value)
        if code is not None and self._reader.places.of(code.co_filename) in {"user", "generated"}:
            return False
        kept_in = group.primary.tracker.kept_in(group.primary.key, group.primary.value)
        if kept_in is not None:
            return self._is_librarys_own(group, kept_in)
        call = group.primary.tracker.kind, self._reader.call(group.primary.creation)
        if call in self._kept_by_none:
            return False
        by_library = self._look_for_holder(group)
        if not by_library and call[1] is not None:
            self._kept_by_none.add(call)
        return by_library

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
        by_package = any(places.of(file) == "library" for file, _ in group.site)
        return by_package and (not module or places.is_library_module(module.partition(".")[0]))

    def _may_hold(self, module: str, group: Group) -> bool:
        """Return whether it says something that a module has it: the user's, or one that made it.

        What another library only happens to refer to, such as a built-in function that listens, or
        what the user has put into its logger, that library does not keep.
        """
        if not group.site or not self._reader.places.is_library_module(module):
            return True
        return self._reader.places.is_part_of(module, (file for file, _ in group.site))


def _rank(entry: Entry) -> int:
    # Of the signal changes that one call of a loop makes, the loop's own handler names them.
    return entry.tracker.rank + (1 if isinstance(entry.key, tuple) and entry.tracker.slots else 0)


def _gather_loose(groups: list[Group]) -> list[Group]:
    """Bring together what C code made in one window: nobody saw it, but it has one cause.

    A library's engine opens descriptors and starts threads of its own. If the library keeps the
    object behind them, they are a note like that object; if a Python thread came with them, they
    are part of its finding.
    """
    loose = [group for group in groups if is_unseen(group.primary)]
    native = any(group.primary.tracker.kind == "native_threads" for group in loose)
    if not loose or not native:
        return groups
    rest = [group for group in groups if group not in loose]
    homes = [group for group in rest if group.severity == "note" and group.holder is not None]
    homes += [group for group in rest if group.primary.tracker.kind == "threads"]
    loose.sort(key=lambda group: _rank(group.primary), reverse=True)
    home = homes[0] if homes else loose[0]
    for group in loose:
        if group is not home:
            home.entries += group.entries
    return rest if homes else [*rest, home]


def _split_slots(members: list[Entry]) -> list[list[Entry]]:
    """Keep two signals apart that one line sets; what a loop sets for one signal stays together."""
    if not members[0].tracker.slots or isinstance(members[0].key, tuple):
        return [members]
    slots: dict[object, list[Entry]] = {}
    for entry in members:
        slots.setdefault(entry.key, []).append(entry)
    return list(slots.values())


def _queue_of(entry: Entry) -> Any:
    """Return the queue from which a worker of ``concurrent.futures`` takes its work, if it is one.

    A worker refers to its executor weakly, so the queue is what the workers of a pool share:
    ``Thread(target=_worker, args=(executor, queue, ...))``, CPython's Lib/concurrent/futures.
    """
    if entry.tracker.kind != "threads":
        return None
    worker = getattr(entry.value, "_target", None)
    arguments = getattr(entry.value, "_args", None)
    if getattr(worker, "__module__", "") != _EXECUTOR or not isinstance(arguments, tuple):
        return None
    return next((one for one in arguments if type(one) is SimpleQueue), None)


def _number(entry: Entry) -> int | None:
    value = entry.value
    if entry.change == "exceeded":
        return None
    if isinstance(value, int):
        return value if entry.tracker.kind in {"fds", "sockets"} else None
    pid = getattr(value, "pid", None)
    return pid if isinstance(pid, int) else None


def _give(entry: Entry, owner: Owner | None) -> None:
    if entry.owner is not None:
        entry.owner.held.pop(entry, None)
    entry.owner = owner
    if owner is not None:
        owner.held[entry] = None
