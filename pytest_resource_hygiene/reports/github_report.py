"""GitHub Actions: workflow commands that annotate the lines of a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.reports.leaks import FoundLeak, leaks_of, location_of
from pytest_resource_hygiene.reports.plain_text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["render"]

_LEVEL = {"fail": "error", "known": "notice", "note": "notice"}
_MAX_TESTS = 5


def render(document: Mapping[str, Any]) -> str:
    """Return one command a line: failing leaks first, for a step shows ten of each level only."""
    lines = [_command(leak) for leak in leaks_of(document["findings"]) if leak.severity in _LEVEL]
    return "".join(f"{line}\n" for line in lines)


def _command(leak: FoundLeak) -> str:
    location = location_of(leak.first)
    fields = {
        "title": f"{'LEAKED' if leak.severity == 'fail' else leak.severity}: {leak.first['kind']}"
    }
    if location is not None:
        fields = {"file": location[0], "line": str(location[1]), **fields}
    properties = ",".join(f"{name}={_property(value)}" for name, value in fields.items())
    return f"::{_LEVEL[leak.severity]} {properties}::{_data(_message(leak))}"


def _message(leak: FoundLeak) -> str:
    rows = [leak.summary, f"made: {leak.place}", f"by: {leak.owner}"]
    if leak.first["hint"]:
        rows.append(f"fix: {one_line(leak.first['hint'])}")
    if len(leak.nodeids) > 1:
        more = ", ..." if len(leak.nodeids) > _MAX_TESTS else ""
        tests = ", ".join(map(one_line, leak.nodeids[:_MAX_TESTS]))
        rows.append(f"in {len(leak.nodeids)} tests: {tests}{more}")
    return "\n".join(rows)


def _data(text: str) -> str:
    """Escape a message, so that no text of a test can end it or begin another command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
