"""``gate``: passes or fails a report, by itself or against another one."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_resource_hygiene.cli.completion import complete_files
from pytest_resource_hygiene.cli.exits import Exit
from pytest_resource_hygiene.cli.files import load
from pytest_resource_hygiene.errors import SettingsError
from pytest_resource_hygiene.objects import collector_paused
from pytest_resource_hygiene.pages import documented_kinds
from pytest_resource_hygiene.reports.leaks import FoundLeak, leaks_of, plural
from pytest_resource_hygiene.streams import reader_may_leave

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

__all__ = ["Comparison", "add_to", "compare"]

_SHOWN = 20
_ABOUT = """\
Passes if a report has no leak that fails, or, with --against, none that the other report does not
have. A leak is one kind made by one line for one test or fixture (one fingerprint), however many
parameters, workers or repetitions have shown it.
"""


class Comparison(NamedTuple):
    """Two reports beside each other, by fingerprint.

    Attributes:
        new: failing leaks that the other report does not have, failing or known.
        gone: leaks of the other report, failing or known, that are not in this one.
        same: leaks that are in both.
    """

    new: tuple[FoundLeak, ...]
    gone: tuple[FoundLeak, ...]
    same: tuple[FoundLeak, ...]


def compare(report: dict[str, Any], other: dict[str, Any]) -> Comparison:
    """Compare a report with an older one."""
    mine, theirs = _leaks(report), _leaks(other)
    return Comparison(
        new=tuple(
            one for mark, one in mine.items() if mark not in theirs and one.severity == "fail"
        ),
        gone=tuple(one for mark, one in theirs.items() if mark not in mine),
        same=tuple(one for mark, one in mine.items() if mark in theirs),
    )


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "gate", help="pass or fail a report, by itself or against another one",
        description=_ABOUT, allow_abbrev=False,
    )  # fmt: skip
    complete_files(
        parser.add_argument("report", metavar="REPORT.json", help="from --resource-hygiene-json")
    )
    complete_files(
        parser.add_argument(
            "--against", metavar="OTHER.json", help="only what this older report lacks counts"
        )
    )
    parser.add_argument(
        "--max", metavar="N|KIND=N", action="append", default=[],
        help="how many leaks may count; N for all kinds that have no limit of their own, KIND=N "
        "for one kind; may be given several times (default: 0)",
    )  # fmt: skip
    parser.add_argument("-q", "--quiet", action="store_true", help="print the verdict only")
    parser.set_defaults(act=_act)


def _act(arguments: argparse.Namespace) -> Exit:
    limits = _limits(arguments.max)
    with collector_paused():
        return _judge(arguments, limits)


def _judge(arguments: argparse.Namespace, limits: dict[str, int]) -> Exit:
    report = load(Path(arguments.report))
    comparison = compare(report, load(Path(arguments.against))) if arguments.against else None
    counted = _failing(report) if comparison is None else comparison.new
    over = _over(counted, limits)
    stale = report.get("baseline", {}).get("stale", [])
    with reader_may_leave():  # what is worked out by now stands, whoever reads how much of it
        if comparison is None:
            _show_report(counted, report, quiet=arguments.quiet)
        else:
            _show_comparison(comparison, quiet=arguments.quiet)
    for kind, count in over:
        what = f"{plural(count, 'leak')} of {kind}" if kind else plural(count, "leak")
        print(f"failed: {what}, more than {limits.get(kind, 0)}", file=sys.stderr)
    if stale:
        _tell_stale(len(stale))
    _warn(report)
    _warn_of_kinds(limits, report)
    return Exit.LEAKS if over or stale else Exit.CLEAN


def _failing(report: dict[str, Any]) -> tuple[FoundLeak, ...]:
    return tuple(one for one in leaks_of(report["findings"]) if one.severity == "fail")


def _over(counted: Iterable[FoundLeak], limits: dict[str, int]) -> list[tuple[str, int]]:
    """Return the kinds with more leaks than their limit; empty for all without one of their own."""
    numbers: dict[str, int] = {}
    for leak in counted:
        kind = leak.first["kind"] if leak.first["kind"] in limits else ""
        numbers[kind] = numbers.get(kind, 0) + 1
    return [(kind, count) for kind, count in numbers.items() if count > limits.get(kind, 0)]


def _show_report(counted: tuple[FoundLeak, ...], report: dict[str, Any], *, quiet: bool) -> None:
    if not quiet:
        _show("leaks", counted)
    findings = sum(leak.findings for leak in counted)
    tests = plural(report["summary"]["tests"], "test")
    print(f"{plural(len(counted), 'leak')} in {plural(findings, 'finding')}, {tests}")


def _show_comparison(comparison: Comparison, *, quiet: bool) -> None:
    if not quiet:
        _show("new", comparison.new)
        _show("gone, or not run", comparison.gone)
    print(
        f"{len(comparison.new)} new, {len(comparison.gone)} gone, {len(comparison.same)} unchanged"
    )


def _tell_stale(count: int) -> None:
    entries = "1 stale entry" if count == 1 else f"{count} stale entries"
    print(
        f"failed: {entries} in the baseline; the run that wrote the report says how to remove "
        "what is stale",
        file=sys.stderr,
    )


def _warn(report: dict[str, Any]) -> None:
    """Say where a pass means less than it seems."""
    if not report["summary"]["tests"]:
        print("warning: the report is of a run without any test", file=sys.stderr)
    for spot in report["environment"]["blind_spots"]:
        print(f"warning: blind spot: {spot['kind']}: {spot['why']}", file=sys.stderr)


def _warn_of_kinds(limits: dict[str, int], report: dict[str, Any]) -> None:
    """Say that a limit is for nothing: misspelt, or for a project's kind that does not leak."""
    known = {*documented_kinds(), *(finding["kind"] for finding in report["findings"])}
    for kind in sorted(set(limits) - known - {""}):
        near = difflib.get_close_matches(kind, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        print(
            f"warning: --max {kind}=N: no such kind is built in, or in the report{hint}",
            file=sys.stderr,
        )


def _leaks(report: dict[str, Any]) -> dict[str, FoundLeak]:
    counting = (one for one in report["findings"] if one["severity"] in {"fail", "known"})
    found: dict[str, FoundLeak] = {}
    for leak in leaks_of(counting):
        found.setdefault(leak.first["fingerprint"], leak)  # failing ones come first
    return found


def _limits(texts: list[str]) -> dict[str, int]:
    """Read limits; the empty kind stands for all that are not named.

    Raises:
        SettingsError: a limit that is none, or one kind twice.
    """
    limits: dict[str, int] = {}
    for text in texts:
        kind, _, number = text.rpartition("=")
        if not number.isdecimal() or ("=" in text and not kind):
            raise SettingsError(
                f"--max: {text!r} is no limit. Write a number such as 10, or KIND=N such as sockets=3."
            )
        if kind in limits:
            raise SettingsError(f"--max: there are two limits for {kind or 'all kinds'}; keep one.")
        limits[kind] = int(number)
    return limits


def _show(title: str, leaks: tuple[FoundLeak, ...]) -> None:
    if not leaks:
        return
    print(f"{title}:")
    for leak in leaks[:_SHOWN]:
        times = f" ({leak.findings} times)" if leak.findings > 1 else ""
        print(f"  {leak.summary}\n    made {leak.place}, by {leak.owner}{times}")
    if len(leaks) > _SHOWN:
        print(f"  and {len(leaks) - _SHOWN} more")
