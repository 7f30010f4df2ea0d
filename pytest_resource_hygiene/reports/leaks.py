"""What reports have in common: findings of one leak together, and where to point."""

from __future__ import annotations

from functools import cache
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_resource_hygiene.reports.plain_text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["FoundLeak", "leaks_of", "location_of", "plural"]

_ORDER = {"fail": 0, "known": 1, "note": 2, "allowed": 3}


class FoundLeak(NamedTuple):
    """Findings with one fingerprint and one severity: one line that leaks for one owner.

    Its words are fit to be shown: a thread's name may hold anything, and logs are terminals too.

    Attributes:
        first: the finding that stands for all.
        nodeids: the tests at which they were reported, each once.
        findings: how many there are.
        resources: how many resources they left in all.
    """

    first: Mapping[str, Any]
    nodeids: tuple[str, ...]
    findings: int
    resources: int

    @property
    def severity(self) -> str:
        """The severity of all of them."""
        return str(self.first["severity"])

    @property
    def summary(self) -> str:
        """Kind, count and resource in one clause."""
        count = f"{self.first['count']} x " if self.first["count"] > 1 else ""
        return one_line(f"{self.first['kind']}: {count}{self.first['summary']}")

    @property
    def owner(self) -> str:
        """Who answers, in words."""
        owner = self.first["owner"]
        scope = f" ({owner['scope']} scope)" if owner["type"] == "fixture" else ""
        return one_line(f"{owner['type']} {owner['name']}{scope}")

    @property
    def place(self) -> str:
        """File, line and function of the making, in words."""
        origin = self.first["origin"]
        if not origin:
            return "nobody saw where"
        return one_line(f"{origin['file']}:{origin['line']} in {origin['function']}")


def leaks_of(findings: Iterable[Mapping[str, Any]]) -> list[FoundLeak]:
    """Group findings by fingerprint and severity: failing ones first, the most frequent first."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for finding in findings:
        groups.setdefault((finding["fingerprint"], finding["severity"]), []).append(finding)
    leaks = [
        FoundLeak(
            group[0],
            tuple(dict.fromkeys(one["nodeid"] for one in group)),
            len(group),
            sum(one["count"] for one in group),
        )
        for group in groups.values()
    ]
    leaks.sort(key=lambda leak: (_ORDER[leak.severity], -leak.findings, leak.place, leak.summary))
    return leaks


def location_of(finding: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return the file of the project, and the line, at which a service should point.

    That is the making line; for what was made outside the project, or by nobody knows whom, the
    test's file. None where there is no file at all, as for the end of a session.
    """
    origin = finding["origin"]
    if origin and _is_in_project(origin["file"]):
        return origin["file"].replace("\\", "/"), max(1, origin["line"])
    file = finding["nodeid"].partition("::")[0]
    return (file.replace("\\", "/"), 1) if file and _is_in_project(file) else None


def plural(count: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


@cache  # a report names the same few files over and over
def _is_in_project(file: str) -> bool:
    if file.startswith("<") or ".." in PurePosixPath(file).parts:
        return False
    return not (PurePosixPath(file).is_absolute() or PureWindowsPath(file).is_absolute())
