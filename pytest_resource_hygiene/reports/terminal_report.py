"""Findings for people: what, where it was made, by whom, who holds it, and how to close it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.reports.plain_text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "LABEL_WIDTH", "finding_lines", "finding_rows", "group_by_site", "place_of", "shown_path",
    "summary_of",
]  # fmt: skip

LABEL_WIDTH = 9
_MAX_LISTED = 5
_LONG_PATH = 8  # more steps than a line of a terminal has room for
_VARYING = re.compile(r"\d+|/tmp/\S+")


def shown_path(file: str, root: str) -> str:
    """Return a path as short as it can be understood from the project's folder."""
    try:
        return str(Path(file).relative_to(root))
    except ValueError:
        return file.rpartition("/site-packages/")[2]


def summary_of(finding: dict[str, Any]) -> str:
    """Return the first line of a finding: kind, count, the resource."""
    count = f"{finding['count']} x " if finding["count"] > 1 else ""
    return one_line(f"{finding['kind']}: {count}{finding['summary']}")


def finding_lines(
    finding: dict[str, Any], root: str, *, verbose: bool = False, tests: Sequence[str] = ()
) -> list[str]:
    """Return one finding in plain words.

    Args:
        finding: as `Leak.to_dict` makes it.
        root: the project's folder.
        verbose: add the whole stack and all parts.
        tests: node ids, where several tests show the same.
    """
    rows = finding_rows(finding, root, verbose=verbose, tests=tests)
    return [summary_of(finding), *(f"  {name:<{LABEL_WIDTH}}{text}" for name, text in rows)]


def finding_rows(
    finding: dict[str, Any],
    root: str,
    *,
    verbose: bool = False,
    tests: Sequence[str] = (),
    others: Sequence[dict[str, Any]] = (),
) -> list[tuple[str, str]]:
    """Return what follows the first line of a finding: labels, empty where a row goes on, and texts.

    Args:
        finding: as `Leak.to_dict` makes it.
        root: the project's folder.
        verbose: add the whole stack and all parts.
        tests: node ids, where several tests show the same.
        others: the findings of these tests, for somebody else may have leaked by the same line.
    """
    rows = [
        *_made(finding, root),
        *_owners([finding, *others], tests),
        *_parts(finding, verbose),
        ("held by", _holders(finding["held_by"], verbose)),
        *_now(finding, root, verbose),
        ("waited", _waited(finding)),
        ("why", str(finding["details"].get("why", ""))),
        ("known" if finding["severity"] == "known" else "allowed", _reason(finding)),
        ("fix", finding["hint"]),
        *_stack(finding, root, verbose),
    ]
    return [(name, one_line(text)) for name, text in rows if text]


def place_of(finding: dict[str, Any], root: str) -> str:
    """Return file and line of its making, or nothing if nobody saw it."""
    origin = finding["origin"]
    return f"{shown_path(origin['file'], root)}:{origin['line']}" if origin else ""


def _made(finding: dict[str, Any], root: str) -> Iterable[tuple[str, str]]:
    origin = finding["origin"]
    if origin is None:
        yield "made", "nobody saw where"
        return
    inferred = " (inferred)" if origin["source"] == "inferred" else ""
    yield "made", f"{place_of(finding, root)} in {origin['function']}{inferred}"
    text = finding["details"].get("source_line")
    if text:
        yield "", f"> {text}"


def _holders(path: Sequence[str], verbose: bool) -> str:
    if len(path) > _LONG_PATH and not verbose:
        path = [*path[:4], "...", *path[-3:]]
    return " -> ".join(path)


def _owners(findings: Sequence[dict[str, Any]], tests: Sequence[str]) -> Iterable[tuple[str, str]]:
    by_tests = [one for one in findings if one["owner"]["type"] == "test"]
    others = [one for one in findings if one["owner"]["type"] != "test"]
    owners = dict.fromkeys(_owner(one, when=len(tests) < 2) for one in others)
    if len(tests) < 2:
        owners.update(dict.fromkeys(map(_owner, by_tests)))
    elif owners and by_tests:
        names = list(dict.fromkeys(map(_owner, by_tests)))
        owners[names[0] if len(names) == 1 else f"{len(names)} of the tests themselves"] = None
    yield from _listed("by", list(owners))
    if len(tests) > 1:
        yield "in" if owners else "by", f"{len(tests)} tests:"
        yield from _listed("", tests)


def _listed(label: str, names: Sequence[str]) -> Iterable[tuple[str, str]]:
    for position, name in enumerate(names[:_MAX_LISTED]):
        yield label if position == 0 else "", name
    if len(names) > _MAX_LISTED:
        yield "", f"and {len(names) - _MAX_LISTED} more"


def _owner(finding: dict[str, Any], *, when: bool = True) -> str:
    owner = finding["owner"]
    if owner["type"] == "test":
        return f"test {owner['name']}"
    location = finding["details"].get("owner_location")
    where = f" at {location}" if location else ""
    during = f", during {finding['made_during']}" if when and finding["made_during"] else ""
    if owner["type"] == "fixture":
        return f"fixture '{owner['name']}' ({owner['scope']} scope){where}{during}"
    if owner["type"] == "session":
        who = "the session, and no test" if owner["name"] == "session" else f"code {owner['name']}"
        return f"{who}{where}{during}"
    return f"{owner['type']} {owner['name']}{where}{during}"


def _parts(finding: dict[str, Any], verbose: bool) -> Iterable[tuple[str, str]]:
    parts = finding["details"].get("parts", [])
    if finding["count"] > 1 and not verbose:  # more of the same says nothing new
        plain = _VARYING.sub("#", finding["summary"])
        parts = [part for part in parts if _VARYING.sub("#", part) != plain]
    if parts:
        shown = parts if verbose else parts[:4]
        for position, part in enumerate(shown):
            yield "with" if position == 0 else "", part
        if len(parts) > len(shown):
            yield "", f"and {len(parts) - len(shown)} more"


def _now(finding: dict[str, Any], root: str, verbose: bool) -> Iterable[tuple[str, str]]:
    stack = finding["details"].get("present_stack", [])
    shown = stack if verbose else stack[-1:]
    for position, line in enumerate(shown):
        file, _, rest = line.partition(":")
        yield "now at" if position == 0 else "", f"{shown_path(file, root)}:{rest}"


def _stack(finding: dict[str, Any], root: str, verbose: bool) -> Iterable[tuple[str, str]]:
    if not verbose or len(finding["stack"]) < 2:
        return
    for position, frame in enumerate(finding["stack"]):
        place = f"{shown_path(frame['file'], root)}:{frame['line']} in {frame['function']}"
        yield "stack" if position == 0 else "", place


def _waited(finding: dict[str, Any]) -> str:
    seconds = finding["waited_seconds"]
    return f"{seconds:g} s for it to go" if seconds else ""


def _reason(finding: dict[str, Any]) -> str:
    if not finding["reason"]:
        return ""
    return (
        f"{finding['reason']} ({finding['issue']})" if finding["issue"] else str(finding["reason"])
    )


def group_by_site(findings: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Group findings that were made at one place, the most frequent first."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for finding in findings:
        origin = finding["origin"] or {}
        key = (finding["kind"], finding["severity"], finding["change"], origin.get("file"),
               origin.get("line"), _VARYING.sub("#", finding["summary"]))  # fmt: skip
        groups.setdefault(key, []).append(finding)
    return sorted(groups.values(), key=len, reverse=True)
