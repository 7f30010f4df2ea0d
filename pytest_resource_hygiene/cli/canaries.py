"""Tries every kind on this machine: makes one resource of each, and sees whether it is seen."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from pytest_resource_hygiene.cli.specimens import SPECIMENS, is_memory_seen, is_seen
from pytest_resource_hygiene.engine.canary import (
    UNSEEN,
    blind_spots,
    means_blind,
    words_of_failure,
)
from pytest_resource_hygiene.engine.checker import LeakChecker
from pytest_resource_hygiene.trackers import built_in_trackers

if TYPE_CHECKING:
    from pytest_resource_hygiene.tracker import Tracker

__all__ = ["Trial", "try_all"]


class Trial(NamedTuple):
    """What came of one kind.

    Attributes:
        tracker: of the kind.
        seconds: how long it took.
        limits: what it cannot see here, in words; empty if nothing is known.
        problem: why its own specimen was not seen; empty if it was.
        is_tried: whether it has a specimen that can be made without harm.
    """

    tracker: Tracker
    seconds: float
    limits: tuple[str, ...]
    problem: str
    is_tried: bool


def try_all() -> list[Trial]:
    """Try every built-in kind, one after the other, and leave nothing behind."""
    trackers = built_in_trackers()
    checker = LeakChecker(trackers)
    checker.start(canary=False)
    try:
        trials = [_try(tracker) for tracker in trackers]
    finally:
        checker.stop()
    return [trial if trial.is_tried else _try_otherwise(trial) for trial in trials]


def _try(tracker: Tracker) -> Trial:
    began = time.perf_counter()
    spots = [why for _, why in blind_spots([tracker])]
    seconds = time.perf_counter() - began
    return Trial(
        tracker,
        seconds,
        limits=tuple(why for why in spots if not means_blind(why)),
        problem=next(filter(means_blind, spots), ""),
        is_tried=tracker.specimen() is not None,
    )


def _try_otherwise(trial: Trial) -> Trial:
    """Try a kind whose tracker makes no specimen, as it must not in somebody's test run."""
    kind = trial.tracker.kind
    if kind != "memory" and kind not in SPECIMENS:
        return trial
    began = time.perf_counter()
    try:
        problem = "" if (is_memory_seen() if kind == "memory" else is_seen(kind)) else UNSEEN
    except Exception as error:  # noqa: BLE001 - whatever it is, the kind is not proved to see
        problem = words_of_failure(error)
    return trial._replace(seconds=time.perf_counter() - began, problem=problem, is_tried=True)
