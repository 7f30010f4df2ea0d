"""What the HTML page shows, worked out from the JSON document: groups, counts, tables, charts' data."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.reports.terminal_report import group_by_site, shown_path, summary_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["make_model"]

SEVERITIES = ("fail", "known", "note", "allowed")
_LEVEL_NAMES = {"fds": "open descriptors", "sockets": "sockets", "threads": "threads",
                "tasks": "asyncio tasks", "children": "child processes",
                "rss_kib": "resident memory"}  # fmt: skip
_MAX_PLACES = 3_000  # as much as a browser opens within a few seconds
_MAX_TESTS = 500  # of one place; more would be most of the page, and nobody reads them
_MAX_OWNERS = 5
_MAX_MODULES = 60  # in the table beside the heat map
_NOWHERE = "(end of the session)"


def make_model(document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the template shows, and what the scripts need."""
    findings = list(document["findings"])
    every = _groups(findings)
    groups = every[:_MAX_PLACES]
    timeline = document.get("timeline")
    model = {
        "tool": document["tool"],
        "environment": document["environment"],
        "summary": document["summary"],
        "unused_allowances": document.get("unused_allowances", []),
        "groups": groups,
        "places": sum(1 for group in every if group["severity"] == "fail"),
        "left_out": len(every) - len(groups),
        "known": sum(1 for one in findings if one["severity"] == "known"),
        "kinds": _kinds(findings),
        "severities": [name for name in SEVERITIES if any(g["severity"] == name for g in groups)],
        "modules": sorted({module for group in groups for module in group["modules"]}),
        "owners": sorted({owner for group in groups for owner in group["owner_types"]}),
        "matrix": _matrix(findings),
        "levels": _levels(timeline),
        "has_timeline": bool(timeline and timeline["tests"]["name"]),
        "workers": len(timeline["workers"]) if timeline else 0,
        "max_tests": _MAX_TESTS,
    }
    return model, {"groups": _index(groups, timeline), "timeline": timeline}


# --- findings ---


def _groups(findings: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Group by the place that made them: what fails first, then the most frequent."""
    used: set[str] = set()
    rank = {name: number for number, name in enumerate(SEVERITIES)}
    groups = [_group(found, used) for found in group_by_site(findings)]
    return sorted(groups, key=lambda group: (rank.get(group["severity"], 9), -len(group["tests"])))


def _group(found: list[dict[str, Any]], used: set[str]) -> dict[str, Any]:
    first = found[0]
    details = dict(first["details"])
    origin = first["origin"]
    modules = Counter(module_of(one["nodeid"]) for one in found)
    tests = list(dict.fromkeys(one["nodeid"] for one in found if one["nodeid"]))
    return {
        "id": _unique(f"f-{first['fingerprint']}", used),
        "fingerprint": first["fingerprint"],
        "kind": first["kind"],
        "severity": first["severity"],
        "change": first["change"],
        "times": len(found),
        "summary": summary_of(first).partition(": ")[2],
        "place": f"{shown_path(origin['file'], '')}:{origin['line']}" if origin else "",
        "function": origin["function"] if origin else "",
        "inferred": bool(origin) and origin["source"] == "inferred",
        "source_line": details.pop("source_line", ""),
        "owners": list(dict.fromkeys(map(_owner, found)))[:_MAX_OWNERS],
        "owner_types": sorted({one["owner"]["type"] for one in found}),
        "held_by": next((one["held_by"] for one in found if one["held_by"]), []),
        "stack": max((one["stack"] for one in found), key=len),
        "now": details.pop("present_stack", []),
        "parts": _counted(details.pop("parts", [])),
        "why": details.pop("why", ""),
        "details": _facts(details),
        "waited": max(one["waited_seconds"] for one in found),
        "hint": first["hint"],
        "reasons": list(dict.fromkeys(_reason(one) for one in found if one["reason"])),
        "tests": tests,
        "modules": dict(modules),
    }


def _unique(name: str, used: set[str]) -> str:
    """Return an anchor that is the same in the next run, unless two places share a fingerprint."""
    number, unique = 1, name
    while unique in used:
        number += 1
        unique = f"{name}-{number}"
    used.add(unique)
    return unique


def module_of(nodeid: str) -> str:
    """Return the module of a test, or words for what was found when all tests were over."""
    return nodeid.partition("::")[0] or _NOWHERE


def _counted(parts: Iterable[str]) -> list[str]:
    """Write what is there several times once, with its number."""
    return [f"{count} x {part}" if count > 1 else part for part, count in Counter(parts).items()]


def _owner(finding: Mapping[str, Any]) -> str:
    owner = finding["owner"]
    if owner["type"] == "test" and owner["name"] == finding["nodeid"]:
        return "the test itself"
    if owner["type"] == "fixture":
        place = finding["details"].get("owner_location")
        where = f" at {place}" if place else ""
        return f"fixture '{owner['name']}' ({owner['scope']} scope){where}"
    return f"{owner['type']} {owner['name']}"


def _reason(finding: Mapping[str, Any]) -> tuple[str, str, bool]:
    """Return reason, issue, and whether the issue is an address that a reader can follow."""
    issue = finding["issue"] or ""
    return finding["reason"], issue, issue.startswith(("https://", "http://"))


def _facts(details: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name.replace("_", " "), str(value))
        for name, value in details.items()
        if name != "owner_location" and value not in ("", None, [])
    ]


# --- figures ---


def _kinds(findings: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Count by kind: what fails, and everything."""
    failing: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for finding in findings:
        total[finding["kind"]] += 1
        failing[finding["kind"]] += finding["severity"] == "fail"
    order = sorted(total, key=lambda kind: (-failing[kind], -total[kind], kind))
    return [{"name": kind, "failing": failing[kind], "total": total[kind]} for kind in order]


def _matrix(findings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Count failing findings by module and kind: the heat map as a table."""
    cells: dict[str, Counter[str]] = {}
    for finding in findings:
        if finding["severity"] == "fail":
            cells.setdefault(module_of(finding["nodeid"]), Counter())[finding["kind"]] += 1
    rows = sorted(cells.items(), key=lambda row: (-row[1].total(), row[0]))
    kinds = sorted({kind for _, counts in rows for kind in counts})
    return {
        "kinds": kinds,
        "rows": [
            {"module": module, "counts": [counts[kind] for kind in kinds], "total": counts.total()}
            for module, counts in rows[:_MAX_MODULES]
        ],
        "left_out": max(0, len(rows) - _MAX_MODULES),
    }


def _levels(timeline: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Say of each level where it began, ended and was highest: the timeline as a table."""
    rows: list[dict[str, Any]] = []
    for name, values in (timeline["levels"] if timeline else {}).items():
        known = [(value, at) for at, value in enumerate(values or ()) if value is not None]
        if timeline is None or not known:
            continue
        highest, at = max(known, key=lambda one: one[0])
        rows.append(
            {
                "name": _LEVEL_NAMES.get(name, name),
                "memory": name == "rss_kib",
                "first": known[0][0],
                "last": known[-1][0],
                "highest": highest,
                "at": _nodeid(timeline, at) if highest > min(known)[0] else "",
            }
        )
    return rows


def _nodeid(timeline: Mapping[str, Any], position: int) -> str:
    module = timeline["modules"][timeline["tests"]["module"][position]]
    name = timeline["tests"]["name"][position]
    return f"{module}::{name}" if name else str(module)


# --- for the scripts ---


def _index(
    groups: Iterable[Mapping[str, Any]], timeline: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """Return what filters and charts have to know of each group, in the order of the page."""
    positions: dict[str, int] = {}
    if timeline:
        for position in range(len(timeline["tests"]["name"])):
            positions[_nodeid(timeline, position)] = position
    return [
        {
            "id": group["id"],
            "kind": group["kind"],
            "severity": group["severity"],
            "owners": group["owner_types"],
            "modules": group["modules"],
            "tests": [positions[nodeid] for nodeid in group["tests"] if nodeid in positions],
        }
        for group in groups
    ]
