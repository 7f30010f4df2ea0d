"""A document for a terminal, as the closing section of a run shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.reports.leaks import leaks_of, plural
from pytest_resource_hygiene.reports.terminal_report import finding_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["render"]


def render(document: Mapping[str, Any]) -> str:
    """Return all findings in words, one leak after the other, failing ones first."""
    lines = []
    for leak in leaks_of(document["findings"]):
        lead = "" if leak.severity == "fail" else f"[{leak.severity}] "
        first, *rest = finding_lines(dict(leak.first), "", tests=leak.nodeids)
        lines += [lead + first, *rest, ""]
    summary = document["summary"]
    lines.append(
        f"{plural(summary['tests'], 'test')}, {plural(summary['findings'], 'failing finding')}, "
        f"{plural(summary['notes'], 'note')}, {summary['allowed']} allowed"
    )
    return "\n".join(lines) + "\n"
