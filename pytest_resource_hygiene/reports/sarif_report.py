"""SARIF 2.1.0, for code scanning.

The standard: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pytest_resource_hygiene.pages import documented_kinds, kind_page, kind_sentence
from pytest_resource_hygiene.reports.encoding import json_text
from pytest_resource_hygiene.reports.leaks import FoundLeak, leaks_of, location_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["render"]

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_ROOT = "%SRCROOT%"
_LEVEL = {"fail": "error", "known": "error", "note": "note", "allowed": "error"}
_MAX_TESTS = 20


def render(document: Mapping[str, Any]) -> str:
    """Return a log with one run: a rule for each kind, a result for each leak.

    What is allowed or known stays, as a suppressed result: services show it as dismissed.
    """
    leaks = leaks_of(document["findings"])
    kinds = sorted({*documented_kinds(), *(leak.first["kind"] for leak in leaks)})
    run = {
        "tool": {"driver": _driver(document, kinds)},
        "invocations": [_invocation(document)],
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The project's folder."}}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(leak, kinds) for leak in leaks],
    }
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json_text(log, len(leaks))


def _driver(document: Mapping[str, Any], kinds: list[str]) -> dict[str, Any]:
    version = document["tool"]["version"]
    return {
        "name": "pytest-resource-hygiene",
        "version": version,
        "rules": [_rule(kind) for kind in kinds],
    }


def _rule(kind: str) -> dict[str, Any]:
    sentence = (
        kind_sentence(kind) or f"A resource of the kind {kind}, which this project has added."
    )
    rule: dict[str, Any] = {
        "id": kind,
        "name": "".join(word.capitalize() for word in kind.split("_")),
        "shortDescription": {"text": f"{kind} left behind by a test or fixture"},
        "fullDescription": {"text": sentence},
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": ["leak", "resource", "tests"]},
    }
    page = kind_page(kind)
    if page:
        rule["help"] = {"text": page, "markdown": page}
    return rule


def _invocation(document: Mapping[str, Any]) -> dict[str, Any]:
    spots = document["environment"]["blind_spots"]
    return {
        "executionSuccessful": True,
        "toolExecutionNotifications": [
            {"level": "warning", "message": {"text": f"blind spot: {one['kind']}: {one['why']}"}}
            for one in spots
        ],
    }


def _result(leak: FoundLeak, kinds: list[str]) -> dict[str, Any]:
    finding = leak.first
    result: dict[str, Any] = {
        "ruleId": finding["kind"],
        "ruleIndex": kinds.index(finding["kind"]),
        "level": _LEVEL[leak.severity],
        "message": {"text": _message(leak)},
        "occurrenceCount": leak.findings,
        "partialFingerprints": {"resourceHygiene/v1": finding["fingerprint"]},
        "locations": [_location(finding)],
        "properties": {
            "severity": leak.severity, "change": finding["change"], "owner": dict(finding["owner"]),
            "tests": list(leak.nodeids[:_MAX_TESTS]), "heldBy": list(finding["held_by"]),
        },
    }  # fmt: skip
    if finding["stack"]:
        result["stacks"] = [_stack(finding)]
    suppression = _suppression(leak)
    # An empty list says that suppressions were looked for and there is none.
    result["suppressions"] = [suppression] if suppression else []
    return result


def _message(leak: FoundLeak) -> str:
    rows = [f"{leak.summary}, left by {leak.owner}."]
    if leak.first["hint"]:
        rows.append(f"Fix: {leak.first['hint']}.")
    if len(leak.nodeids) > 1:
        rows.append(f"Reported at {len(leak.nodeids)} tests.")
    return " ".join(rows)


def _location(finding: Mapping[str, Any]) -> dict[str, Any]:
    nodeid = finding["nodeid"] or finding["owner"]["name"]
    location: dict[str, Any] = {
        "logicalLocations": [
            {"name": nodeid.rpartition("::")[2], "fullyQualifiedName": nodeid, "kind": "function"}
        ]
    }
    place = location_of(finding)
    if place is not None:
        location["physicalLocation"] = _physical(*place, finding["details"].get("source_line", ""))
    return location


def _physical(file: str, line: int, text: str = "") -> dict[str, Any]:
    region: dict[str, Any] = {"startLine": line}
    if text:
        region["snippet"] = {"text": text}
    return {"artifactLocation": {"uri": _uri(file), "uriBaseId": _ROOT}, "region": region}


@cache
def _uri(file: str) -> str:
    uri = quote(file, safe="/~!$&'()*+,;=:@-._", errors="backslashreplace")
    head, slash, tail = uri.partition("/")
    return head.replace(":", "%3A") + slash + tail  # else the first segment would be a scheme


def _stack(finding: Mapping[str, Any]) -> dict[str, Any]:
    frames = []
    for frame in finding["stack"]:
        location: dict[str, Any] = {
            "logicalLocations": [{"fullyQualifiedName": frame["function"] or "?"}],
            "message": {"text": f"{frame['file']}:{frame['line']} in {frame['function']}"},
        }
        place = location_of({"origin": frame, "nodeid": ""})
        if place is not None:
            location["physicalLocation"] = _physical(*place)
        frames.append({"location": location})
    return {"message": {"text": "where it was made, innermost first"}, "frames": frames}


def _suppression(leak: FoundLeak) -> dict[str, Any] | None:
    if leak.severity not in {"known", "allowed"}:
        return None
    words = [leak.first.get("reason") or "", leak.first.get("issue") or ""]
    text = " ".join(word for word in words if word)
    suppression = {"kind": "external", "status": "accepted"}
    if text or leak.severity == "known":
        suppression["justification"] = text or "in the baseline of known leaks"
    return suppression
