"""A document for a terminal, as the closing section of a run shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.reports.leaks import leaks_of
from pytest_resource_hygiene.reports.terminal_report import finding_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["render"]

_MAX_TESTS = 5


def render(document: Mapping[str, Any]) -> str:
    """Return all findings in words, one leak after the other, failing ones first."""
    lines = []
    for leak in leaks_of(document["findings"]):
        lead = "" if leak.severity == "fail" else f"[{leak.severity}] "
        first, *rest = finding_lines(dict(leak.first), "")
        lines += [lead + first, *rest]
        if len(leak.nodeids) > 1:
            more = len(leak.nodeids) - _MAX_TESTS
            tail = f" and {more} more" if more > 0 else ""
            shown = ", ".join(leak.nodeids[:_MAX_TESTS])
            lines.append(f"  in       {len(leak.nodeids)} tests: {shown}{tail}")
        lines.append("")
    summary = document["summary"]
    lines.append(
        f"{summary['tests']} tests, {summary['findings']} findings that fail, "
        f"{summary['notes']} notes, {summary['allowed']} allowed"
    )
    return "\n".join(lines) + "\n"
