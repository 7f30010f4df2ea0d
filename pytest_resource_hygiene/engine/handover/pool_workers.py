"""Workers that a test has made a pool begin: they belong to whoever owns the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.references.reachable import reachable
from pytest_resource_hygiene.engine.suspects.pools import queue_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_resource_hygiene.engine.handover.case import Case
    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.engine.inventory.owners import Owner

__all__ = ["without_pool_workers"]


def without_pool_workers(suspects: list[Entry], case: Case) -> list[Entry]:
    """Give each worker to whoever owns the pool that it has joined: the first worker's owner.

    Returns:
        The rest.
    """
    queues = {entry: queue for entry in suspects if (queue := queue_of(entry)) is not None}
    if not queues:
        return suspects
    owners = _owners_of_pools(case)
    of_loops = _workers_of_loops(queues, case)
    rest = []
    for entry in suspects:
        if entry in of_loops:
            entry.release()
        elif queues.get(entry) in owners:
            entry.give_to(owners[queues[entry]])
        else:
            rest.append(entry)
    return rest


def _workers_of_loops(workers: Iterable[Entry], case: Case) -> set[Entry]:
    """Return which are workers that a loop keeps which was there before: it ends them."""
    loops = [
        entry.value
        for entry in case.loops()
        if entry.owner is not case.window and entry.value is not None
    ]
    if not loops:
        return set()
    threads = {id(entry.value): entry for entry in workers}
    kept = reachable(loops, threads, (), loops=set(map(id, loops)))
    return {threads[one] for one in kept}


def _owners_of_pools(case: Case) -> dict[Any, Owner | None]:
    """Return who owns the pools that others than the window have begun, by their queues."""
    owners: dict[Any, Owner | None] = {}
    for shelf in case.ledger.shelves:
        for entry in shelf.entries.values():
            queue, owner = queue_of(entry), entry.owner
            lives = owner is None or not owner.closed
            if queue is not None and lives and owner is not case.window:
                owners.setdefault(queue, owner)
    return owners
