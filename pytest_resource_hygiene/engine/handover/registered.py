"""A listener that a fixture's object has registered with an emitter is the fixture's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_resource_hygiene.objects import attribute_of, attributes_of

if TYPE_CHECKING:
    from pytest_resource_hygiene.engine.handover.case import Case
    from pytest_resource_hygiene.engine.inventory.entries import Entry

__all__ = ["without_registered"]


def without_registered(suspects: list[Entry], case: Case) -> list[Entry]:
    """Give a listener to the fixture whose value, or what this has, has registered its method.

    No walk along references tells: an emitter leads to all that listen to it.

    Returns:
        The rest.
    """
    listening = {
        entry: attribute_of(case.ledger.anchor_of(entry), "__self__")
        for entry in suspects
        if entry.tracker.kind == "listeners" and not case.is_made_by_test(entry)
    }
    for fixture in case.fixtures if listening else ():
        values = list(fixture.value()) if fixture.value is not None else []
        near = [*values, *(one for value in values for one in attributes_of(value).values())]
        for entry, listener in list(listening.items()):
            if any(one is listener for one in near if one is not None):
                case.ledger.hand_over(entry, fixture)
                del listening[entry]
                suspects = [one for one in suspects if one is not entry]
    return suspects
