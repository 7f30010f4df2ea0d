"""Limits of listeners: which numbers are told, and in what words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pytest_resource_hygiene.engine.inventory.limits import Limits
from pytest_resource_hygiene.engine.inventory.owners import Owner
from pytest_resource_hygiene.model import OwnerInfo


def _summaries(limits: Limits, *counts: tuple[str, int]) -> list[str]:
    """Return what is told of so many listeners for each event."""
    tracker = SimpleNamespace(
        kind="listeners",
        iter_limits=lambda: [("box", event, count, None) for event, count in counts],
    )
    ledger: Any = SimpleNamespace(changed=[SimpleNamespace(tracker=tracker, broken=False)])
    owner = Owner(OwnerInfo("test", "test_it", "function"))
    found = limits.exceeded(ledger, owner, "test_it")
    return [entry.description.summary for entry in found if entry.description is not None]


def test_a_registry_without_events_has_listeners_of_none() -> None:
    """The words have no gap where the event would be."""
    limits = Limits(10)
    assert _summaries(limits, ("", 11), ("tick", 12), ("tock", 10)) == [
        "11 listeners added to [box], limit 10",
        "12 tick listeners added to [box], limit 10",
    ]


def test_a_crossing_is_told_once_and_again_when_the_number_has_doubled() -> None:
    """And anew, if it has been below in between."""
    limits = Limits(10)
    told = [bool(_summaries(limits, ("tick", count))) for count in (11, 12, 21, 22, 3, 11)]

    assert told == [True, False, False, True, False, True]
