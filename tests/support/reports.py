"""Reports made by hand: for what a real run would take too long, or never, to bring about."""

from __future__ import annotations

from typing import Any

__all__ = ["document", "finding"]


def finding(number: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a finding as a real run writes it; ``number`` makes its fingerprint."""
    nodeid = f"tests/test_{number % 50}.py::test_{number}"
    made = {
        "kind": "fds",
        "severity": "fail",
        "change": "added",
        "count": 1,
        "summary": f"pipe fd {number}, open for read",
        "details": {"fd": number, "source_line": "os.pipe()"},
        "nodeid": nodeid,
        "made_during": nodeid,
        "owner": {"type": "test", "name": nodeid, "scope": "function"},
        "origin": {"file": nodeid.partition("::")[0], "line": 3 + number % 90,
                   "function": f"test_{number}", "source": "recorded"},
        "stack": [{"file": nodeid.partition("::")[0], "line": 3, "function": f"test_{number}"}] * 8,
        "held_by": ["module app", "app.POOL", "list"],
        "waited_seconds": 0.5,
        "hint": "close both ends with os.close()",
        "fingerprint": f"{number:016x}",
        "reason": None,
        "issue": None,
    }  # fmt: skip
    return {**made, **fields}


def document(*findings: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a report with these findings."""
    severities = [one["severity"] for one in findings]
    made = {
        "schema": "resource-hygiene/1",
        "tool": {"name": "pytest-resource-hygiene", "version": "0.1.0"},
        "environment": {
            "python": "3.11.7", "platform": "linux", "pytest": "9.0.0", "blind_spots": []},
        "summary": {
            "tests": 100,
            "leaked_tests": len({f["nodeid"] for f in findings if f["severity"] == "fail"}),
            "findings": severities.count("fail"),
            "notes": severities.count("note"),
            "allowed": severities.count("allowed"),
            "overhead_seconds": 0.1,
            "gc_collections": 0,
        },
        "findings": list(findings),
        "unused_allowances": [],
    }  # fmt: skip
    return {**made, **fields}
