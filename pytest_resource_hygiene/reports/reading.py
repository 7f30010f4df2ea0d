"""Reads a JSON document back, and says what is wrong with one that is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_finding", "check_head", "read_json"]

_SCHEMA = "resource-hygiene/1"
# What reports rely on. The whole schema is checked by tests, where a validator is installed.
_TOP: dict[str, Any] = {"tool": dict, "environment": dict, "summary": dict, "findings": list}
_SUMMARY: dict[str, Any] = {
    "tests": int, "leaked_tests": int, "findings": int, "notes": int, "allowed": int,
    "overhead_seconds": (int, float), "gc_collections": int,
}  # fmt: skip
_STALE: dict[str, Any] = {"kind": str, "name": str, "summary": str}
_FINDING: dict[str, Any] = {
    "kind": str, "severity": str, "change": str, "count": int, "summary": str, "details": dict,
    "nodeid": str, "made_during": str, "owner": dict, "stack": list, "held_by": list,
    "waited_seconds": (int, float), "hint": str, "fingerprint": str,
}  # fmt: skip
_OWNER: dict[str, Any] = {"type": str, "name": str, "scope": str}
_PLACE: dict[str, Any] = {"file": str, "line": int, "function": str}
_ENVIRONMENT: dict[str, Any] = {"python": str, "platform": str, "pytest": str, "blind_spots": list}
_TIMELINE: dict[str, Any] = {
    "started_at": (int, float), "workers": list, "modules": list, "tests": dict, "leaked": list,
    "levels": dict,
}  # fmt: skip
_COLUMNS: dict[str, Any] = {
    "name": list, "module": list, "worker": list, "start_ms": list, "duration_us": list,
}  # fmt: skip
_NAMES = {str: "text", int: "whole number", dict: "object", list: "list", (int, float): "number"}
_SEVERITIES = ("fail", "note", "allowed", "known")


def read_json(path: Path) -> Any:
    """Read a file.

    Raises:
        SettingsError: it cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(
            f"{path}: is not JSON ({error}). Give a file that --resource-hygiene-json has written."
        ) from None


def check_head(document: Any) -> None:
    """Check everything that reports rely on, the findings aside.

    Raises:
        SettingsError: says what is missing, and where.
    """
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != _SCHEMA:
        found = f"its schema is {schema!r}" if schema else "it has no schema"
        raise SettingsError(
            f"is no report: {found}, and {_SCHEMA!r} is needed. "
            "Give a file that --resource-hygiene-json has written."
        )
    _check(document, _TOP, "the report")
    _check(document["summary"], _SUMMARY, "summary")
    _check(document["tool"], {"name": str, "version": str}, "tool")
    _check(document["environment"], _ENVIRONMENT, "environment")
    for number, spot in enumerate(document["environment"]["blind_spots"]):
        _check(spot, {"kind": str, "why": str}, f"environment.blind_spots[{number}]")
    _check_texts(document.get("unused_allowances", []), "unused_allowances")
    if document.get("timeline") is not None:
        _check_timeline(document["timeline"])
    if "baseline" in document:
        _check(document["baseline"], {"stale": list}, "baseline")
        for number, entry in enumerate(document["baseline"]["stale"]):
            _check(entry, _STALE, f"baseline.stale[{number}]")


def _check_timeline(timeline: Any) -> None:
    """Check the columns: a row is looked up in each of them, and in the lists that they point to."""
    _check(timeline, _TIMELINE, "timeline")
    tests = timeline["tests"]
    _check(tests, _COLUMNS, "timeline.tests")
    count = len(tests["name"])
    for name in ("workers", "modules"):
        _check_texts(timeline[name], f"timeline.{name}")
    _check_texts(tests["name"], "timeline.tests.name")
    ends = {"module": len(timeline["modules"]), "worker": len(timeline["workers"])}
    for name in ("module", "worker", "start_ms", "duration_us"):
        _check_numbers(tests[name], count, f"timeline.tests.{name}", end=ends.get(name))
    _check_numbers(timeline["leaked"], len(timeline["leaked"]), "timeline.leaked", end=count)
    for name, level in timeline["levels"].items():
        if level is not None:
            _check_numbers(level, count, f"timeline.levels.{name}", may_lack=True)


def _check_texts(value: Any, where: str) -> None:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise SettingsError(f"is damaged: {where} is no list of texts.")


def _check_numbers(
    value: Any, count: int, where: str, *, end: int | None = None, may_lack: bool = False
) -> None:
    """Check a column of whole numbers, below an end if they are positions in a list."""
    if not isinstance(value, list) or len(value) != count:
        raise SettingsError(f"is damaged: {where} is no list of {count} numbers.")
    for number in value:
        if number is None and may_lack:
            continue
        if type(number) is not int or number < 0 or (end is not None and number >= end):
            raise SettingsError(f"is damaged: {where} holds {number!r}.")


def check_finding(finding: Any, where: str) -> None:
    """Check one finding.

    Args:
        finding: one of the document's ``findings``.
        where: its place, for the message.

    Raises:
        SettingsError: says what is missing, and where.
    """
    _check(finding, _FINDING, where)
    _check(finding["owner"], _OWNER, f"{where}.owner")
    if finding["severity"] not in _SEVERITIES:
        raise SettingsError(
            f"is damaged: {where}.severity is {finding['severity']!r}, "
            f"and must be one of {', '.join(_SEVERITIES)}."
        )
    if finding.get("origin", "") is not None:
        _check(finding.get("origin"), {**_PLACE, "source": str}, f"{where}.origin")
    for frame in finding["stack"]:
        _check(frame, _PLACE, f"{where}.stack")
    for name in ("reason", "issue"):
        if name not in finding:
            raise SettingsError(f"is damaged: {where}.{name} is missing.")
    texts = [*finding["held_by"], *_list_of(finding, "parts", where)]
    texts += [*_list_of(finding, "present_stack", where), finding["reason"] or ""]
    if not all(isinstance(text, str) for text in [*texts, finding["issue"] or ""]):
        raise SettingsError(f"is damaged: {where} holds something that is not text.")


def _list_of(finding: dict[str, Any], name: str, where: str) -> list[Any]:
    found = finding["details"].get(name, [])
    if not isinstance(found, list):
        raise SettingsError(f"is damaged: {where}.details.{name} is no list.")
    return found


def _check(value: Any, fields: dict[str, Any], where: str) -> None:
    if not isinstance(value, dict):
        raise SettingsError(f"is damaged: {where} is not an object.")
    for name, kind in fields.items():
        if not isinstance(value.get(name), kind) or isinstance(value[name], bool):
            raise SettingsError(f"is damaged: {where}.{name} is missing or no {_NAMES[kind]}.")
