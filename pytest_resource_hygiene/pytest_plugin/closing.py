"""The closing section: findings by the place that made them, then the leaked tests by name.

Where somebody watches, lines are fitted to the terminal. In a file or the log of a CI job they are
left whole: whoever searches for a node id or a path there has to find it.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.pytest_plugin.viewpoint import Viewpoint
from pytest_resource_hygiene.reports.plain_text import one_line
from pytest_resource_hygiene.reports.terminal_report import (
    LABEL_WIDTH,
    finding_rows,
    group_by_site,
    place_of,
    summary_of,
)

if TYPE_CHECKING:
    import pytest

__all__ = ["ClosingSection"]

_MAX_WHOLE = 20  # places shown whole; of further ones a line each, unless -v asks for more
_INDENT = " " * (LABEL_WIDTH + 2)
_COLOURS = {"fail": {"red": True}, "note": {"yellow": True}}
_ROW_COLOURS: dict[str, dict[str, bool]] = {"fix": {"green": True}, "source": {"cyan": True}}


class ClosingSection:
    """Writes to pytest's terminal reporter.

    Args:
        terminal: the terminal reporter.
        config: for the verbosity and the project's folder.
        mode: ``fail`` or ``report``.
    """

    def __init__(self, terminal: Any, config: pytest.Config, mode: str) -> None:
        """Find out whether somebody watches, and how wide the terminal is."""
        self._terminal = terminal
        self._root = str(config.rootpath)
        self._verbose = config.get_verbosity() > 0
        self._viewpoint = Viewpoint(config)
        self._mode = mode
        self._width: int | None = terminal._tw.fullwidth if terminal.isatty else None  # noqa: SLF001

    def show_findings(self, findings: list[dict[str, Any]]) -> None:
        """Show each place once."""
        groups = group_by_site(map(self._viewpoint.finding, findings))
        whole = len(groups) if self._verbose else _MAX_WHOLE
        for group in groups[:whole]:
            self._show_whole(group)
        if groups[whole:]:
            count = len(groups) - whole
            places = f"{count} more place{'' if count == 1 else 's'}"
            self._terminal.write_line(f"{places}, a line each (-v shows them whole)", bold=True)
            for group in groups[whole:]:
                self._show_short(group)
            self._terminal.write_line("")

    def _show_whole(self, group: list[dict[str, Any]]) -> None:
        first = group[0]
        self._title(first, summary_of(first))
        tests = list(dict.fromkeys(finding["nodeid"] for finding in group))
        rows = finding_rows(first, self._root, verbose=self._verbose, tests=tests, others=group[1:])
        for label, text in rows:
            self._row(label, text)
        self._terminal.write_line("")

    def _title(self, finding: dict[str, Any], text: str) -> None:
        colour = _COLOURS.get(finding["severity"], {"blue": True})
        lead = "" if finding["severity"] == "fail" else f"[{finding['severity']}] "
        for line in self._wrapped(f"{lead}{text}", "  "):
            self._terminal.write_line(line, bold=True, **colour)

    def _row(self, label: str, text: str) -> None:
        is_source = not label and text.startswith("> ")
        colour = _ROW_COLOURS.get("source" if is_source else label, {})
        lead = "> " if is_source else ""
        lines = self._wrapped(text.removeprefix(lead), " " * len(lead), len(_INDENT), lead)
        for position, line in enumerate(lines):
            shown = label if position == 0 else ""
            self._terminal.write(f"  {shown:<{LABEL_WIDTH}}", light=True)
            self._terminal.write_line(line, **colour)

    def _show_short(self, group: list[dict[str, Any]]) -> None:
        first = group[0]
        tests = len({finding["nodeid"] for finding in group})
        more = f" ({tests} tests)" if tests > 1 else ""
        place = one_line(place_of(first, self._root)) or "nobody saw where"
        self._terminal.write(f"  {place}  ")
        text = f"{self._cut(summary_of(first), len(place) + 4 + len(more))}{more}"
        self._terminal.write_line(text, **_COLOURS.get(first["severity"], {"blue": True}))

    def show_tests(self, findings: list[dict[str, Any]]) -> None:
        """Name each leaked test on a line of its own, as pytest does for the failed ones."""
        leaked: dict[tuple[str, str], list[str]] = {}
        for finding in map(self._viewpoint.finding, findings):
            if finding["severity"] == "fail":
                mode = finding["details"].get("marker_mode", self._mode)
                leaked.setdefault((finding["nodeid"], mode), []).append(summary_of(finding))
        for (nodeid, mode), summaries in leaked.items():
            word = "LEAKED" if mode == "fail" else "leaked (report only)"
            more = f" (and {len(summaries) - 1} more)" if len(summaries) > 1 else ""
            name = one_line(nodeid) or "(end of the session)"
            self._terminal.write(f"{word} ", red=mode == "fail")
            self._terminal.write(name, bold=True)
            taken = len(word) + len(name) + len(more) + 1
            self._terminal.write_line(f"{self._cut(f' - {summaries[0]}', taken)}{more}")

    def _cut(self, text: str, taken: int) -> str:
        """Shorten what would not fit into the line, as pytest does in its own summary."""
        if self._width is None:
            return text
        room = max(self._width - taken - 1, 0)
        if len(text) <= room:
            return text
        return f"{text[: room - 3]}..." if room > len(" - ...") else ""

    def _wrapped(self, text: str, indent: str, room: int = 0, lead: str = "") -> list[str]:
        """Break a text at spaces; what leads the first line stays with its first word."""
        if self._width is None or len(lead) + len(text) + room < self._width:
            return [f"{lead}{text}"]
        return textwrap.wrap(
            text,
            max(self._width - room - 1, 20),
            initial_indent=lead,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
