"""A page in Markdown: GitHub's job summary, or a comment on a merge request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.reports.leaks import FoundLeak, leaks_of, plural

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["render"]

_MAX_ROWS = 50  # GitHub cuts a summary at 1 MiB, and nobody reads the hundredth row
_MAX_TEXT = 300
_TITLES = (
    ("fail", "Leaks", False),
    ("known", "Known leaks, from the baseline", True),
    ("note", "Notes", True),
    ("allowed", "Allowed", True),
)


def render(document: Mapping[str, Any]) -> str:
    """Return figures, then a table of each severity; all but the failing ones are folded."""
    leaks = leaks_of(document["findings"])
    blocks = [_head(document, leaks)]
    for severity, title, folded in _TITLES:
        rows = [leak for leak in leaks if leak.severity == severity]
        if rows:
            blocks.append(_section(title, rows, folded=folded))
    blocks += _baseline(document)
    spots = document["environment"]["blind_spots"]
    if spots:
        blocks.append(
            "Blind spots: " + "; ".join(f"{_code(s['kind'])}: {_text(s['why'])}" for s in spots)
        )
    return "\n\n".join(blocks) + "\n"


def _head(document: Mapping[str, Any], leaks: list[FoundLeak]) -> str:
    summary = document["summary"]
    failing = sum(1 for leak in leaks if leak.severity == "fail")
    known = sum(1 for leak in leaks if leak.severity == "known")
    figures = [
        plural(summary["tests"], "test"), f"{summary['leaked_tests']} leaked",
        plural(known, "known leak"), plural(summary["notes"], "note"),
        f"{summary['allowed']} allowed",
    ]  # fmt: skip
    return f"## Resource hygiene: {plural(failing, 'leak') if failing else 'clean'}\n\n{', '.join(figures)}"


def _section(title: str, leaks: list[FoundLeak], *, folded: bool) -> str:
    rows = ["| kind | what | made | by | tests | fix |", "| --- | --- | --- | --- | ---: | --- |"]
    rows += [_row(leak) for leak in leaks[:_MAX_ROWS]]
    if len(leaks) > _MAX_ROWS:
        rows += ["", f"and {len(leaks) - _MAX_ROWS} more"]
    table = "\n".join(rows)
    if folded:
        return f"<details><summary>{title} ({len(leaks)})</summary>\n\n{table}\n\n</details>"
    return f"### {title}\n\n{table}"


def _row(leak: FoundLeak) -> str:
    reason = leak.first.get("reason")
    fix = f"{leak.first['hint']} ({reason})" if reason else leak.first["hint"]
    what = leak.summary.partition(": ")[2]
    cells = [
        _code(leak.first["kind"]), _text(what), _code(leak.place), _text(leak.owner),
        str(len(leak.nodeids)), _text(fix),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _baseline(document: Mapping[str, Any]) -> list[str]:
    stale = document.get("baseline", {}).get("stale", [])
    if not stale:
        return []
    rows = [
        f"- {_code(one['kind'])} {_text(one['summary'])}, {_text(one['name'])}" for one in stale
    ]
    more = [f"- and {len(rows) - _MAX_ROWS} more"] if len(rows) > _MAX_ROWS else []
    head = f"### Stale entries of the baseline ({len(stale)})"
    return [head, "\n".join([*rows[:_MAX_ROWS], *more])]


def _plain(text: str) -> str:
    text = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"


def _text(text: str) -> str:
    """Escape what Markdown and HTML would take for their own."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&@])", r"\\\1", _plain(text))


def _code(text: str) -> str:
    """Return a code span that holds any text, in a table as well."""
    text = _plain(text).replace("|", "\\|")
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{fence}{space}{text}{space}{fence}"
