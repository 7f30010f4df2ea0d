"""GitLab's code-quality report: a list of issues in the form that its documentation describes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.reports.encoding import json_text
from pytest_resource_hygiene.reports.leaks import leaks_of, location_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["render"]

_SEVERITY = {"fail": "major", "known": "minor", "note": "info"}


def render(document: Mapping[str, Any]) -> str:
    """Return one issue for each leak that is not allowed.

    GitLab compares the fingerprints of two branches, so each is unique; of one leak that both
    fails and is noted, the failure stays. A leak without any file has no place in its form.
    """
    issues: dict[str, dict[str, Any]] = {}
    for leak in leaks_of(document["findings"]):
        location = location_of(leak.first)
        if leak.severity not in _SEVERITY or location is None:
            continue
        fix = f" Fix: {leak.first['hint']}." if leak.first["hint"] else ""
        issues.setdefault(
            leak.first["fingerprint"],
            {
                "description": f"{leak.summary}, left by {leak.owner}.{fix}",
                "check_name": f"resource-hygiene/{leak.first['kind']}",
                "fingerprint": leak.first["fingerprint"],
                "severity": _SEVERITY[leak.severity],
                "location": {"path": location[0], "lines": {"begin": location[1]}},
            },
        )
    return json_text(list(issues.values()), len(issues))
