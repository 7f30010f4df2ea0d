"""Findings in plain words."""

from __future__ import annotations

import pytest
from support.reports import finding

from pytest_resource_hygiene.reports.terminal_report import finding_rows


@pytest.mark.parametrize("severity", ["allowed", "known"])
def test_a_reason_stands_behind_what_it_is_a_reason_for(severity: str) -> None:
    """What a baseline knows is not allowed by that: it has to go."""
    rows = finding_rows(finding(severity=severity, reason="no close()", issue="SHOP-7"), "")

    assert (severity, "no close() (SHOP-7)") in rows
