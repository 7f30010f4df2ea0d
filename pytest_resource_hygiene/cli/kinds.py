"""``kinds``: what is tracked, and what this machine cannot see."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_resource_hygiene.cli.canaries import Trial, try_all
from pytest_resource_hygiene.cli.exits import Exit
from pytest_resource_hygiene.pages import kind_sentence

if TYPE_CHECKING:
    import argparse

__all__ = ["add_to"]

_WORDS = {"fail": "fails", "note": "a note", "off": "off by default"}


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "kinds", help="what is tracked, and what this machine cannot see",
        description="Lists the built-in kinds, what a leak of each does by default, and the blind "
        "spots of this machine. Kinds that a project's conftest adds are known to its own runs only.",
        allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="the same for machines")
    parser.set_defaults(act=_act)


def _act(arguments: argparse.Namespace) -> Exit:
    trials = try_all()
    if arguments.json:
        print(json.dumps([_row(trial) for trial in trials], indent=1))
        return Exit.CLEAN
    for trial in trials:
        kind = trial.tracker.kind
        print(f"{kind:<15} {_WORDS[trial.tracker.severity]:<15} {kind_sentence(kind)}")
        for spot in _spots(trial):
            print(f"{'':<15} blind spot: {spot}")
    if not any(map(_spots, trials)):
        print("No blind spots on this machine are known.")
    print("`resource-hygiene explain KIND` tells more of each.")
    return Exit.CLEAN


def _spots(trial: Trial) -> list[str]:
    return [*trial.limits, *([trial.problem] if trial.problem else [])]


def _row(trial: Trial) -> dict[str, object]:
    kind = trial.tracker.kind
    return {
        "kind": kind,
        "default": trial.tracker.severity,
        "what": kind_sentence(kind),
        "blind_spots": _spots(trial),
    }
