"""What one pool or queue of the standard library has made, when more than one line made it begin.

A `ProcessPoolExecutor` opens its pipes when it is made and forks its workers at the first task;
another task may begin another worker. Whoever ends the object ends all of it: one finding.
"""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.origins.singletons import habit_of
from pytest_resource_hygiene.engine.references.reachable import reachable
from pytest_resource_hygiene.engine.suspects.hints import hint_of_maker
from pytest_resource_hygiene.objects import attribute_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.engine.origins.stacks import StackReader
    from pytest_resource_hygiene.engine.suspects.groups import Group

__all__ = ["Pools", "queue_of"]

_EXECUTOR = "concurrent.futures.thread"
_NEAR = 2_000  # objects within which something counts as part of another


class Pools:
    """Brings the groups of one pool together.

    Args:
        reader: reads creation records.
        number_of: returns the descriptor number of a resource, or what stands for its process id.
    """

    def __init__(self, reader: StackReader, number_of: Callable[[Entry], int | None]) -> None:
        """Know no pool yet."""
        self._reader = reader
        self._number_of = number_of

    def join(self, groups: list[Group]) -> list[Group]:
        """Return the groups, those of one pool as one, in the order of their first lines."""
        alike: dict[object, list[Group]] = {}
        for group in groups:
            if group.primary.tracker.kind in {"threads", "processes", "fds"} and group.site:
                alike.setdefault(self._traits(group), []).append(group)
        joined: set[Group] = set()
        for some in alike.values():
            if len(some) > 1:
                joined |= self._join_workers(some)
                joined |= self._join_parts([one for one in some if one not in joined])
        return [group for group in groups if group not in joined] if joined else groups

    def _traits(self, group: Group) -> object:
        """Return what two groups have in common if they may be of one pool."""
        first = group.primary
        habit = habit_of(self._reader.habit_site(first.creation), first.tracker.kind)
        module = self._reader.importing(first.creation)
        return first.owner, first.by_collector, first.change, habit, module, hint_of_maker(group)

    def _join_workers(self, groups: list[Group]) -> set[Group]:
        """Join those whose workers take their work from one queue."""
        homes: dict[Any, Group] = {}
        joined: set[Group] = set()
        for group in groups:
            queue = queue_of(group.primary)
            home = homes.setdefault(queue, group) if queue is not None else group
            if home is not group:
                home.entries += group.entries
                joined.add(group)
        return joined

    def _join_parts(self, groups: list[Group]) -> set[Group]:
        """Join pipes and children to the thread that manages or feeds them and so knows of them."""
        if hint_of_maker(groups[0]) is None:
            return set()
        homes: dict[Group, list[Any]] = {}
        parts: dict[int, Group] = {}
        for group in groups:
            threads = [one.value for one in group.entries if one.tracker.kind == "threads"]
            if threads:
                homes[group] = threads
                continue
            for entry in group.entries:
                number = self._number_of(entry)
                if number is not None:
                    parts[number] = group
        joined: set[Group] = set()
        for home, threads in homes.items():
            for number in reachable(threads, (), parts, _NEAR) if parts else ():
                part = parts[number]
                if part not in joined:
                    home.entries += part.entries
                    joined.add(part)
        return joined


def queue_of(entry: Entry) -> Any:
    """Return the queue from which a worker of ``concurrent.futures`` takes its work, if it is one.

    A worker refers to its executor weakly, so the queue is what the workers of a pool share:
    ``Thread(target=_worker, args=(executor, queue, ...))``, CPython's Lib/concurrent/futures.
    """
    if entry.tracker.kind != "threads":
        return None
    thread = entry.value
    arguments = attribute_of(thread, "_args")
    module = attribute_of(attribute_of(thread, "_target"), "__module__")
    if type(arguments) is not tuple or type(module) is not str or module != _EXECUTOR:
        return None
    return next((one for one in arguments if type(one) is SimpleQueue), None)
