"""``selftest``: the canary of every kind, with timings."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_resource_hygiene.cli.canaries import Trial, try_all
from pytest_resource_hygiene.cli.exits import Exit
from pytest_resource_hygiene.compiled import speedups
from pytest_resource_hygiene.streams import reader_may_leave

if TYPE_CHECKING:
    import argparse

__all__ = ["add_to"]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "selftest", help="prove that each kind is seen on this machine",
        description="Makes one resource of each kind, checks that it is seen, and removes it. "
        "Ends with 3 if a kind is blind here: leaks of it would pass as clean.",
        allow_abbrev=False,
    )  # fmt: skip
    parser.set_defaults(act=_act)


def _act(_arguments: argparse.Namespace) -> Exit:
    trials = try_all()
    blind = [trial.tracker.kind for trial in trials if trial.problem]
    with reader_may_leave():
        _tell(trials)
    if blind:
        print(f"blind here: {', '.join(blind)}", file=sys.stderr)
        return Exit.TROUBLE
    return Exit.CLEAN


def _tell(trials: list[Trial]) -> None:
    for trial in trials:
        print(f"{trial.tracker.kind:<15} {trial.seconds * 1000:>8.2f} ms  {_verdict(trial)}")
        for limit in trial.limits:
            print(f"{'':<15} {'':>8}     not all of it: {limit}")
    total = sum(trial.seconds for trial in trials)
    means = "Python alone" if speedups is None else "the parts in C"
    print(f"{len(trials)} kinds in {total * 1000:.1f} ms, by {means}")


def _verdict(trial: Trial) -> str:
    if trial.problem:
        return f"BLIND: {trial.problem}"
    return "seen" if trial.is_tried else "not tried: one cannot be made here without harm"
