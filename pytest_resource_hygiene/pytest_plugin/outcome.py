"""The outcome of its own: LEAKED, a failure for everybody, counted and shown apart."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.outcomes import Failed

from pytest_resource_hygiene.reports.terminal_report import finding_lines, summary_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_resource_hygiene.leak import Leak
    from pytest_resource_hygiene.pytest_plugin.results import Results

__all__ = ["ATTRIBUTE", "LETTER", "LeakedError", "Outcome", "Status", "failing_text"]

ATTRIBUTE = "resource_hygiene"
LETTER = "K"  # of leaK: L and M belong to plugins that look for leaks, too


class LeakedError(Failed):
    """The failure of a test that left something behind; shown as text, without a traceback."""

    def __init__(self, text: str) -> None:
        """Say what was left."""
        super().__init__(text, pytrace=False)


def failing_text(leaks: list[Leak], config: pytest.Config) -> str:
    """Return the findings that fail a test, as plain text."""
    lines: list[str] = []
    verbose = config.get_verbosity() > 0
    for leak in leaks:
        if leak.severity == "fail":
            lines += finding_lines(leak.to_dict(), str(config.rootpath), verbose=verbose)
    return "\n".join(lines)


class Outcome:
    """Puts findings on the report of the teardown; registered when the first finding comes."""

    def __init__(self, results: Results) -> None:
        """Wait for findings."""
        self._results = results
        self._pending: dict[pytest.Item, dict[str, Any]] = {}

    def attach(self, item: pytest.Item, leaks: list[Leak], *, fails: bool) -> None:
        """Have the next teardown report of the item carry its findings, through xdist as well."""
        manager = item.config.pluginmanager
        if not manager.is_registered(self):
            manager.register(self, "resource_hygiene_outcome")
            status = Status()
            if not manager.has_plugin("resource_hygiene_status"):
                manager.register(status, "resource_hygiene_status")
        findings = [leak.to_dict() for leak in leaks]
        self._pending[item] = {"leaked": fails, "findings": findings, "pid": os.getpid()}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put the findings on the report."""
        report = yield
        if call.when == "teardown" and item in self._pending:
            if call.excinfo is not None and not isinstance(call.excinfo.value, LeakedError):
                self._pending[item]["leaked"] = False  # it failed by itself, and keeps that name
            elif call.excinfo is not None and report.skipped:
                # An expected failure covers the test's own exception, and no leak.
                report.outcome, report.longrepr = "failed", str(call.excinfo.value)
                vars(report).pop("wasxfail", None)
            self.put_on(report, item)
        return report

    def put_on(self, report: pytest.TestReport, item: pytest.Item) -> None:
        """Put the findings of an item on a report."""
        carried = self._pending.pop(item, None)
        if carried is not None:
            setattr(report, ATTRIBUTE, carried)
            report.user_properties += [  # what JUnit XML shows as properties of the test
                (f"resource_hygiene_{one['severity']}", f"{summary_of(one)} ({one['fingerprint']})")
                for one in carried["findings"]
            ]


class Status:
    """Shows and counts LEAKED."""

    def __init__(self) -> None:
        """Have seen no report."""
        self._uncounted: set[int] = set()  # the reporter keeps the reports, so that ids stay theirs

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport, config: pytest.Config
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Name the outcome of a teardown that found a leak."""
        carried = getattr(report, ATTRIBUTE, None)
        if carried is None or not carried["leaked"] or report.outcome not in {"failed", "rerun"}:
            return None
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and id(report) not in self._uncounted:
            self._uncounted.add(id(report))  # it is asked again for the summary
            _uncount_pass(reporter, report.nodeid)
        if not report.failed:
            return None  # another attempt follows
        if reporter is not None:
            _redden(reporter)
        return "leaked", LETTER, ("LEAKED", {"red": True, "bold": True})


def _uncount_pass(reporter: Any, nodeid: str) -> None:
    """Count a leaked test once: it has not passed."""
    passed = reporter.stats.get("passed", [])
    for position in range(len(passed) - 1, -1, -1):
        if getattr(passed[position], "nodeid", None) == nodeid:
            del passed[position]
            break
    if "passed" in reporter.stats and not passed:
        del reporter.stats["passed"]


def _redden(reporter: Any) -> None:
    """Have progress and last line red from here on: an outcome pytest does not know is yellow to it."""
    if hasattr(reporter, "_determine_main_color"):
        reporter._determine_main_color = lambda unknown: "red"  # noqa: SLF001
    counts = getattr(reporter, "build_summary_stats_line", None)
    if counts is not None and "build_summary_stats_line" not in vars(reporter):
        reporter.build_summary_stats_line = lambda: _with_red(*counts())


def _with_red(
    parts: list[tuple[str, dict[str, bool]]], colour: str
) -> tuple[list[tuple[str, dict[str, bool]]], str]:
    red = {"red": True, "bold": colour == "red"}
    return [(text, red if text.endswith(" leaked") else own) for text, own in parts], colour
