"""Objects written in C that open things when they are used: engines of wider fixtures.

A ``zmq.Context`` opens nothing when it is made; its first socket opens five eventfds, two epolls and
two threads, in whichever test that is. No reference leads to them. But if a wider fixture has such
an object, and the test has left none of its own, they are the fixture's.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.references.landmarks import LoopClasses
from pytest_resource_hygiene.engine.references.made_in_c import (
    OwnerClasses,
    is_unseen,
    is_written_in_c,
)
from pytest_resource_hygiene.engine.references.reachable import reachable
from pytest_resource_hygiene.engine.suspects.settle import describe
from pytest_resource_hygiene.objects import attribute_of, module_name
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from pytest_resource_hygiene.engine.handover.case import Case
    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.engine.inventory.owners import Owner

__all__ = ["without_unseen"]

_SHARING = frozenset({"grpc"})
_FORMS_FOR_TURNS = frozenset({"eventpoll", "eventfd", "pipe"})
_OWN = __name__.partition(".")[0]


def without_unseen(suspects: list[Entry], case: Case) -> list[Entry]:
    """Give what C code has opened to the fixture that has the engine for which it did.

    Returns:
        The rest.
    """
    unseen = [entry for entry in suspects if is_unseen(entry) and not case.is_asked_for(entry)]
    is_fixture = case.window.info.type == "fixture"
    if is_fixture:
        unseen += _pollers(suspects, case)
    if not unseen:
        return suspects
    owner = _owner_of_engines(case)
    if owner is None:
        return _without_shared(suspects, unseen, case) if is_fixture else suspects
    for entry in unseen:
        case.ledger.hand_over(entry, owner)
    return [entry for entry in suspects if entry not in unseen]


def _pollers(suspects: list[Entry], case: Case) -> list[Entry]:
    """Return the threads that a package runs for all of its objects, with what they have opened.

    As grpc.aio does: its poller begins with the first channel or server, and ends with the last.
    """
    threads = [entry for entry in suspects if entry.tracker.kind == "threads"]
    targets = {entry: describe(entry, case.ledger).target for entry in threads}
    calls = {
        case.reader.call(entry.creation)
        for entry, target in targets.items()
        if target.partition(".")[0] in _SHARING
    } - {None}
    if not calls:
        return []
    return [entry for entry in suspects if case.reader.call(entry.creation) in calls]


def _without_shared(suspects: list[Entry], unseen: list[Entry], case: Case) -> list[Entry]:
    """Leave out what all objects of a package share, if any of them goes on.

    gRPC opens its epolls and eventfds with the first server or channel, and closes them with the last.
    What connects or listens is of one object, and is not left out.
    """
    if not any(_package_of(obj) in _SHARING for obj in _engines()):
        return suspects
    shared = [entry for entry in unseen if not is_unseen(entry) or _is_for_turns(entry, case)]
    for entry in shared:
        entry.release()
    return [entry for entry in suspects if entry not in shared]


def _is_for_turns(entry: Entry, case: Case) -> bool:
    """Return whether an engine waits for events by it, and not a peer or a file of somebody's."""
    return entry.tracker.kind == "native_threads" or (
        entry.tracker.kind == "fds"
        and describe(entry, case.ledger).details.get("form") in _FORMS_FOR_TURNS
    )


def _owner_of_engines(case: Case) -> Owner | None:
    """Return the fixture whose objects are all that could have opened something, if there is one."""
    engines = {id(obj): obj for obj in _engines()}
    for obj in case.known_in_c():
        engines.pop(id(obj), None)
    found: list[Owner] = []
    packages: set[str] = set()
    for fixture in case.fixtures if engines else ():
        kept = list(fixture.value()) if fixture.value is not None else []
        held = reachable(kept, engines, ())
        if held:
            found.append(fixture)
        packages |= {_package_of(engines.pop(one)) for one in held}
    left = {_package_of(obj) for obj in engines.values()}
    if not found or not packages.isdisjoint(left):
        return None
    return next(filter(case.window.uses, found), found[0])


def _engines() -> list[Any]:
    """Return what there is of objects that C code of an installed package may have opened things for."""
    may_own, is_loop = OwnerClasses(weak=False), LoopClasses()
    return [
        obj
        for obj in System.get_objects()
        if may_own[type(obj)]
        and not is_loop[type(obj)]  # what is open on it is somebody's; see `loops_in_c`
        and _package_of(obj)
        and attribute_of(obj, "closed") is not True
    ]


def _package_of(obj: Any) -> str:
    """Return the package that has the C part of an object's class; nothing for Python's own."""
    for cls in type(obj).__mro__[-2::-1]:
        package = module_name(cls).partition(".")[0]
        if is_written_in_c(cls) and package not in sys.stdlib_module_names | {_OWN}:
            return package
    return ""
