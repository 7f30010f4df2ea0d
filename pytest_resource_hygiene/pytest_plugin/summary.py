"""The end of the run: the closing section, the JSON file, and the exit status."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.errors import SettingsError
from pytest_resource_hygiene.pytest_plugin.options import path_of, source_of, value_of
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from pytest_resource_hygiene.pytest_plugin.results import Results

__all__ = ["Summary"]

_OWN_FAULT = 3


def _problem_with(path: Path) -> str:
    """Say what is known to be in the way of a file before the run, or nothing."""
    if path.is_dir():
        return "it is a folder"
    if path.exists():
        return "" if os.access(path, os.W_OK) else "it is read-only"
    folder = next((one for one in path.parents if one.exists()), path)
    if not folder.is_dir():
        return f"{folder.name} is a file, and no folder"
    return "" if os.access(folder, os.W_OK) else f"nothing can be written in {folder}"


class Summary:
    """Speaks once, when all is over."""

    def __init__(self, config: pytest.Config, results: Results) -> None:
        """Read where to write, so that a mistake is told at the start."""
        self._config = config
        self._results = results
        self._pid = System.getpid()
        self._file = path_of(config, "json")
        self._page = path_of(config, "html")
        for option, path in (("json", self._file), ("html", self._page)):
            if path is not None and (problem := _problem_with(path)):
                raise pytest.UsageError(
                    f"{source_of(config, option)}: cannot write {value_of(config, option)}: "
                    f"{problem}. Give a file in a folder that can be written."
                )
        if self._page is not None:
            from pytest_resource_hygiene.reports.html_report import require_engine

            try:
                require_engine()
            except SettingsError as error:
                raise pytest.UsageError(f"{source_of(config, 'html')}: {error}") from None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Write the files, and set the exit status if we or an allowance are at fault."""
        results = self._results
        if System.getpid() != self._pid:  # a child that a test forked and that came back here
            return (yield)
        try:
            if results.unused_allowances:
                from pytest_resource_hygiene.pytest_plugin.coverage_of_run import why_narrowed

                results.is_narrow = bool(why_narrowed(session))
            if results.baseline is not None:
                results.baseline.conclude(session, results)
            self._write_files()
            _tell_junit(self._config, results)
        except Exception as error:  # noqa: BLE001 - ours, and said so
            results.fail(error, "at the end of the run")
        if results.failures:
            session.exitstatus = _OWN_FAULT
        elif session.exitstatus == pytest.ExitCode.OK and self._is_late_failure():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return (yield)

    def _is_late_failure(self) -> bool:
        stale = bool(self._results.idle_allowances) and value_of(self._config, "strict")
        stale |= bool(self._results.baseline and self._results.baseline.stale)
        return self._results.mode == "fail" and (self._results.late_failure or stale)

    def _write_files(self) -> None:
        if self._file is None and self._page is None:
            return
        document = self._document()
        if self._file is not None:
            from pytest_resource_hygiene.reports.document import write_document

            self._write("json", self._file, lambda path: write_document(document, path))
        if self._page is not None:
            from pytest_resource_hygiene.reports.html_report import write_page

            self._write("html", self._page, lambda path: write_page(document, path))

    def _document(self) -> dict[str, Any]:
        from pytest_resource_hygiene.engine.inventory.samples import make_timeline
        from pytest_resource_hygiene.reports.document import make_document

        results = self._results
        keeper = results.baseline
        return make_document(
            results.findings,
            tests=results.tests,
            seconds=results.seconds,
            collections=results.collections,
            blind_spots=results.blind_spots,
            unused_allowances=results.idle_allowances,
            pytest_version=pytest.__version__,
            baseline=keeper.to_dict(results.findings) if keeper is not None else None,
            timeline=make_timeline(results.samples, results.leaked_tests()),
        )

    def _write(self, option: str, path: Path, write: Callable[[Path], None]) -> None:
        try:
            write(path)
        except OSError as error:
            written = value_of(self._config, option)
            self._results.failures.append(
                f"resource hygiene: cannot write --resource-hygiene-{option}={written}: "
                f"{error.strerror}. Give a file in a folder that can be written."
            )

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show what was found, grouped by the place that made it, and what it cost."""
        shown = [finding for finding in self._results.findings if self._is_shown(finding)]
        if shown or self._has_news():
            # Loaded with the first thing to say: a clean run never needs it.
            from pytest_resource_hygiene.pytest_plugin.closing import ClosingSection

            terminalreporter.write_sep("=", "resource hygiene")
            section = ClosingSection(terminalreporter, self._config, self._results.mode)
            section.show_findings(shown)
            section.show_tests(shown)
        if self._results.baseline is not None:
            self._results.baseline.show(
                terminalreporter, self._results.findings, brief=not self._shows_notes()
            )
        for line in self._results.failures:
            terminalreporter.write_line(line, red=True)
        for line in self._results.idle_allowances:
            terminalreporter.write_line(f"allowance that matched nothing: {line}", yellow=True)
        if self._config.get_verbosity() > 0:
            for spot in self._results.blind_spots:
                terminalreporter.write_line(f"blind spot: {spot['kind']}: {spot['why']}")
        if self._results.tests and (self._config.get_verbosity() >= 0 or shown):
            terminalreporter.write_line(self._cost())

    def _has_news(self) -> bool:
        return bool(self._results.failures or self._results.idle_allowances)

    def _is_shown(self, finding: dict[str, Any]) -> bool:
        if finding["severity"] == "fail":
            return True
        return self._shows_notes()

    def _shows_notes(self) -> bool:
        chars = str(getattr(self._config.option, "reportchars", ""))
        return self._config.get_verbosity() > 0 or "A" in chars

    def _cost(self) -> str:
        results = self._results
        each = max(results.seconds - results.waited, 0.0) / results.tests * 1e6
        waiting = f"{results.waited:.2f} s of it waiting, else " if results.waited else ""
        notes = sum(1 for finding in results.findings if finding["severity"] == "note")
        hint = "" if self._shows_notes() else f" (-v shows {'it' if notes == 1 else 'them'})"
        noted = f"; {_plural(notes, 'note')}{hint}" if notes else ""
        return (
            f"resource hygiene: {_plural(results.tests, 'test')}, {results.seconds:.2f} s of our "
            f"own ({waiting}{each:.0f} us per test), collector run "
            f"{_plural(results.collections, 'time')}{noted}"
        )


def _tell_junit(config: pytest.Config, results: Results) -> None:
    """Put our figures on the suite of pytest's own JUnit XML, where one is being written."""
    from _pytest.junitxml import xml_key

    report = config.stash.get(xml_key, None)
    if report is not None:
        severities = [finding["severity"] for finding in results.findings]
        for severity in ("fail", "known", "note", "allowed"):
            report.add_global_property(f"resource_hygiene_{severity}", severities.count(severity))


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
