"""Which suspects belong together: what one call made, and what one object holds."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_resource_hygiene.engine.origins.singletons import habit_of
from pytest_resource_hygiene.engine.references.held_numbers import of_process
from pytest_resource_hygiene.engine.references.made_in_c import is_unseen
from pytest_resource_hygiene.engine.references.reachable import reachable
from pytest_resource_hygiene.engine.suspects.pools import Pools
from pytest_resource_hygiene.engine.suspects.settle import describe
from pytest_resource_hygiene.objects import attribute_of, is_a

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.engine.inventory.ledger import Ledger
    from pytest_resource_hygiene.engine.origins.stacks import StackReader
    from pytest_resource_hygiene.model import Holder

__all__ = ["Group", "Grouper", "gather_loose", "number_of"]

_RANK_OF_LOOP_TIMERS = 15  # between descriptors and sockets
_WRITTEN_TO = frozenset({"fds", "sockets"})
_NEAR = 2_000  # objects within which something counts as part of another


@dataclass(slots=True, eq=False)
class Group:
    """Suspects that belong together.

    Attributes:
        entries: the one that names them first.
        severity: ``fail`` or ``note``, as far as it is judged.
        why: the reason for that, in words; empty if the kind says it all.
        module: the file of the module during whose import they were made, if it was.
        holder: who keeps them, if that was looked for and found.
        site: files and functions of libraries that made them, the innermost first.
    """

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


class Grouper:
    """Groups suspects by the call that made them, and by the object that holds them.

    Args:
        ledger: to ask for the objects behind entries.
        reader: reads creation records.
    """

    def __init__(self, ledger: Ledger, reader: StackReader) -> None:
        """Know nothing of any suspect yet."""
        self._ledger = ledger
        self._reader = reader
        self._pools = Pools(reader, number_of)

    def group(self, entries: Iterable[Entry]) -> list[Group]:
        """Return the groups, none of them judged yet."""
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
        return self._with_streams(self._pools.join(_with_pidfds(self._absorb(result))))

    def _with_streams(self, groups: list[Group]) -> list[Group]:
        """Add to a log handler the file or connection that it writes to: closing it ends both."""
        handlers = [
            (group, handler)
            for group in groups
            if group.primary.tracker.kind == "listeners"
            and is_a(handler := self._ledger.anchor_of(group.primary), logging.Handler)
        ]
        joined: set[Group] = set()
        for group, handler in handlers:
            streams = {
                id(anchor): one
                for one in groups
                if one.primary.tracker.kind in _WRITTEN_TO
                and one not in joined
                and one.primary.owner is group.primary.owner
                and one.primary.by_collector == group.primary.by_collector
                and (anchor := self._ledger.anchor_of(one.primary)) is not None
            }
            for found in reachable([handler], streams, (), _NEAR) if streams else ():
                group.entries += streams[found].entries
                joined.add(streams[found])
        return [group for group in groups if group not in joined]

    def _absorb(self, groups: list[Group]) -> list[Group]:
        """Add what nobody saw being made to the group whose object holds it, e.g. a loop's epoll."""
        loose = {
            number: group
            for group in groups
            if group.primary.creation is None and (number := number_of(group.primary)) is not None
        }
        if not loose:
            return groups
        absorbed: set[Group] = set()
        for group in groups:
            if group.primary.creation is None or not loose:
                continue
            anchor = self._ledger.anchor_of(group.primary)
            found = reachable([anchor], (), loose, _NEAR)
            for number in found:
                part = loose.pop(number)
                group.entries += part.entries
                absorbed.add(part)
        return [group for group in groups if group not in absorbed]

    def _together(self, entry: Entry) -> object:
        describe(entry, self._ledger)
        call = self._reader.call(entry.creation)
        if call is None:
            target = entry.description.target if entry.description else ""
            return entry.tracker.kind, entry.by_collector, entry.change, target
        if call[2] is None or entry.change == "exceeded":  # made by the user's own hand
            event = entry.key if entry.change == "exceeded" else None
            # A dropped thing is told of who made it, which may be a test of long ago.
            maker = id(entry.owner) if entry.tracker.kind == "unclosed" else 0
            return entry.tracker.kind, entry.by_collector, event, call, maker
        # The first shared memory of a process starts the resource tracker: one call, two things.
        # What a module makes while the call imports it, goes with the module.
        module = self._reader.importing(entry.creation)
        dropped = entry.by_collector or entry.tracker.kind == "unclosed"
        return (
            call,
            habit_of(self._reader.habit_site(entry.creation), entry.tracker.kind),
            module,
            dropped,
        )


def _with_pidfds(groups: list[Group]) -> list[Group]:
    """Add the descriptors by which a library knows a child to the child's group.

    If the collector has ended the child, they are what is left: the child is a part of theirs.
    """
    children = {
        number_of(entry): group
        for group in groups
        for entry in group.entries
        if entry.tracker.kind == "processes"
    }
    joined: set[Group] = set()
    for group in groups if children else ():
        words, creation = group.primary.description, group.primary.creation
        pid = words.details.get("pid") if words is not None else None
        child = children.get(of_process(pid)) if isinstance(pid, int) else None
        by_library = creation is None or bool(group.site)
        if child is not None and by_library and group.primary.tracker.kind == "fds":
            outlives = child.primary.by_collector and not group.primary.by_collector
            whole, part = (group, child) if outlives else (child, group)
            whole.entries += part.entries
            joined.add(part)
    return [group for group in groups if group not in joined]


def gather_loose(groups: list[Group]) -> list[Group]:
    """Bring together what C code made in one window: nobody saw it, but it has one cause.

    A library's engine opens descriptors and starts threads of its own. If the library keeps the
    object behind them, they are a note like that object; if a loop written in C or a Python thread
    came with them, they are part of its finding.
    """
    loose = [group for group in groups if is_unseen(group.primary)]
    unseen = set(loose)
    rest = [group for group in groups if group not in unseen]
    loops = [group for group in rest if _is_loop_in_c(group.primary)]
    native = any(group.primary.tracker.kind == "native_threads" for group in loose)
    if not loose or not (native or loops):
        return groups
    homes = [group for group in rest if group.severity == "note" and group.holder is not None]
    homes += loops
    homes += [group for group in rest if group.primary.tracker.kind == "threads"]
    loose.sort(key=lambda group: _rank(group.primary), reverse=True)
    home = homes[0] if homes else loose[0]
    for group in loose:
        if group is not home:
            home.entries += group.entries
    return rest if homes else [*rest, home]


def number_of(entry: Entry) -> int | None:
    """Return the number of a descriptor, or what stands for that of a process; None of others."""
    value = entry.value
    if isinstance(value, int):
        return value if entry.tracker.kind in {"fds", "sockets"} else None
    pid = attribute_of(value, "pid")
    return of_process(pid) if isinstance(pid, int) else None


def _is_loop_in_c(entry: Entry) -> bool:
    """Return whether an entry is an event loop such as uvloop's, whose C code opens what it needs."""
    classes = type(entry.value).__mro__
    is_loop = entry.tracker.kind == "loops" and entry.value is not None
    return is_loop and all(one.__module__ != "asyncio.base_events" for one in classes)


def _rank(entry: Entry) -> int:
    kind = entry.tracker.kind
    if kind == "timers" and type(entry.value).__module__ == "asyncio.events":
        # A library's connection has a timer, e.g. for how long it may be idle: closing one ends both.
        return _RANK_OF_LOOP_TIMERS
    # Of the signal changes that one call of a loop makes, the loop's own handler names them.
    return entry.tracker.rank + (1 if isinstance(entry.key, tuple) and entry.tracker.slots else 0)


def _split_slots(members: list[Entry]) -> list[list[Entry]]:
    """Keep two signals apart that one line sets; what a loop sets for one signal stays together."""
    if not members[0].tracker.slots or isinstance(members[0].key, tuple):
        return [members]
    slots: dict[object, list[Entry]] = {}
    for entry in members:
        slots.setdefault(entry.key, []).append(entry)
    return list(slots.values())
