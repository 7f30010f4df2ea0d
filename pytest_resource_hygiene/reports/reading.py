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
}  # fmt: skip
_STALE: dict[str, Any] = {"kind": str, "name": str, "summary": str}
_FINDING: dict[str, Any] = {
    "kind": str, "severity": str, "change": str, "count": int, "summary": str, "details": dict,
    "nodeid": str, "made_during": str, "owner": dict, "stack": list, "held_by": list,
    "waited_seconds": (int, float), "hint": str, "fingerprint": str,
}  # fmt: skip
_OWNER: dict[str, Any] = {"type": str, "name": str, "scope": str}
_PLACE: dict[str, Any] = {"file": str, "line": int, "function": str}
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
    _check(document["tool"], {"version": str}, "tool")
    _check(document["environment"], {"blind_spots": list}, "environment")
    for number, spot in enumerate(document["environment"]["blind_spots"]):
        _check(spot, {"kind": str, "why": str}, f"environment.blind_spots[{number}]")
    if "baseline" in document:
        _check(document["baseline"], {"stale": list}, "baseline")
        for number, entry in enumerate(document["baseline"]["stale"]):
            _check(entry, _STALE, f"baseline.stale[{number}]")


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
    texts = [*finding["held_by"], *_list_of(finding, "parts", where)]
    texts += [*_list_of(finding, "present_stack", where), finding.get("reason") or ""]
    if not all(isinstance(text, str) for text in [*texts, finding.get("issue") or ""]):
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
        if not isinstance(value.get(name), kind):
            raise SettingsError(f"is damaged: {where}.{name} is missing or no {_NAMES[kind]}.")
