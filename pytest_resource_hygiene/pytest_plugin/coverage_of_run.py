"""What a run has covered: only what ran whole can prove that a known leak is gone."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.engine.canary import means_blind
from pytest_resource_hygiene.engine.known.fingerprint import without_parameters
from pytest_resource_hygiene.pytest_plugin.fixture_names import name_and_functions
from pytest_resource_hygiene.pytest_plugin.options import value_of
from pytest_resource_hygiene.pytest_plugin.outcome import ATTRIBUTE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_resource_hygiene.engine.known.baseline import KnownLeak
    from pytest_resource_hygiene.pytest_plugin.results import Results

__all__ = ["RunCoverage", "why_narrowed"]

_OUTPUT = "resource_hygiene_run"
# Owners by these names have no fixture of that name, or one that no run is without.
_XUNIT = ("setup", "teardown", "setUp", "tearDown", "asyncSetUp", "asyncTearDown")
# What makes pytest run less than there is: destination of the option, and how people know it.
_NARROWING = (
    ("keyword", "-k"), ("markexpr", "-m"), ("lf", "--lf"), ("stepwise", "--stepwise"),
    ("deselect", "--deselect"), ("ignore", "--ignore"), ("ignore_glob", "--ignore-glob"),
    ("pyargs", "--pyargs"), ("collectonly", "--collect-only"),
)  # fmt: skip
_ENDED = {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}


def why_narrowed(session: pytest.Session) -> str:
    """Return why less ran than there is below the folders that were named; empty if all did."""
    config = session.config
    for name, flag in _NARROWING:
        if config.getoption(name, default=None):
            return f"the run was narrowed by {flag}"
    if session.shouldstop or session.shouldfail:
        return "the run was stopped early"
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        for arg in config.args:
            if "::" in arg or not Path(config.invocation_params.dir, arg).is_dir():
                more = f" and {len(config.args) - 1} more" if len(config.args) > 1 else ""
                return f"only {arg}{more} was run"
    return ""


class RunCoverage:
    """Listens to a run: in the process that reports, and in xdist's workers for the controller.

    Attributes:
        why_not_full: why the run was not full, in words; empty if it was.
        trouble: why nothing at all can be concluded from it, in words; empty if something can.
        was_cut: whether pytest itself says that the run did not come to its end.
    """

    def __init__(self, config: pytest.Config) -> None:
        """Have seen nothing yet."""
        self._config = config
        self._whole: set[str] = set()
        self._cut: set[str] = set()
        self._fixtures: set[tuple[str, str]] = set()
        self._kinds: set[str] = set()
        self._blind: set[str] = set()
        self._deselected = 0
        self._failed = False
        self._crashed = ""
        self.why_not_full = "the run has not ended"
        self.trouble = ""
        self.was_cut = False

    @property
    def is_full(self) -> bool:
        """Whether everything ran that there is below the folders that were named."""
        return not self.why_not_full

    def has_judged(self, entry: KnownLeak) -> bool:
        """Return whether this run would have shown the leak if it were still there."""
        if self.trouble or entry.kind not in self._kinds - self._blind:
            return False
        if entry.owner == "test":
            if entry.name in self._whole | self._cut:
                return entry.name not in self._cut
            file, _, path = entry.name.partition("::")
            is_covered = self.is_full and self._is_below(file)
            return is_covered and self._has_run(file, path.rpartition("::")[2])
        if not self.is_full or self._folders() or self._failed:
            return False
        if self._is_test_file(entry.defined) and not self._has_run(entry.defined, entry.name):
            return False
        return self._has_set_up(entry) or self._is_gone(entry)

    def _has_run(self, file: str, name: str) -> bool:
        """Return whether tests of a file ran, or it is gone, or what it had by that name is.

        A module that is skipped as a whole, or left out by its conftest, proves nothing.
        """
        if any(one.partition("::")[0] == file for one in self._whole | self._cut):
            return True
        text = self._text(file)
        return text is None or name not in text

    def _is_test_file(self, file: str) -> bool:
        patterns = self._config.getini("python_files")
        return any(fnmatch(Path(file).name, pattern) for pattern in patterns)

    def _text(self, file: str) -> str | None:
        """Return what is in a file of the project; None if there is no such file."""
        path = Path(self._config.rootpath, file)
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeError):
            return "" if path.exists() else None

    def _has_set_up(self, entry: KnownLeak) -> bool:
        if entry.owner != "fixture" or entry.name.startswith(_XUNIT):
            return True
        return (entry.scope, entry.name) in self._fixtures

    def _is_gone(self, entry: KnownLeak) -> bool:
        """Return whether the line that made it is no longer written where it was."""
        if not entry.file or not entry.line:
            return False
        text = self._text(entry.file)
        return text is None or (bool(text) and entry.line not in text)

    def _is_below(self, file: str) -> bool:
        folders = self._folders()
        path = Path(self._config.rootpath, file)
        return not folders or any(path.is_relative_to(folder) for folder in folders)

    def _folders(self) -> list[Path]:
        """Return the folders that were named, unless they are all that there is."""
        if self._config.args_source is pytest.Config.ArgsSource.TESTPATHS:
            return []
        base = self._config.invocation_params.dir
        named = [Path(base, arg).resolve() for arg in self._config.args]
        usual = self._config.getini("testpaths") or ["."]
        root = self._config.rootpath.resolve()
        if all(any(Path(root, one).is_relative_to(folder) for folder in named) for one in usual):
            return []
        return named

    # --- the end ---

    def conclude(self, session: pytest.Session, results: Results) -> None:
        """Say whether the run was full, and if not, why."""
        self._take_kinds()
        self._blind |= {one["kind"] for one in results.blind_spots if means_blind(one["why"])}
        self.was_cut = session.exitstatus not in {*_ENDED, pytest.ExitCode.NO_TESTS_COLLECTED}
        if results.failures:
            self.trouble = "the plugin itself failed"
        elif self.was_cut:
            self.trouble = "the run did not come to its end"
        elif not self._whole | self._cut:
            self.trouble = "no test was run"
        else:
            self.trouble = self._crashed
        self.why_not_full = self.trouble or self._why_narrow(session)

    def _why_narrow(self, session: pytest.Session) -> str:
        narrowed = why_narrowed(session)
        if narrowed:
            return narrowed
        if value_of(self._config, "repeat"):
            return "each test was repeated: only what every repetition leaks is seen"
        return f"{self._deselected} tests were deselected" if self._deselected else ""

    def _take_kinds(self) -> None:
        watcher: Any = self._config.pluginmanager.get_plugin("resource_hygiene_watcher")
        checker = watcher.checker if watcher is not None else None
        if checker is not None:
            self._kinds |= {tracker.kind for tracker in checker.trackers}

    # --- listening ---

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember whether each test, with all its parameters, ran to its end."""
        if report.outcome not in {"passed", "failed", "skipped"}:
            return  # a rerun
        name = without_parameters(report.nodeid)
        if report.passed:
            if report.when == "call":
                self._whole.add(name)
            return
        carried = getattr(report, ATTRIBUTE, None)
        if report.when == "teardown" and carried is not None and carried["leaked"]:
            return
        self._cut.add(name)
        self._failed |= report.failed

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember that something could not be collected."""
        if report.failed:
            self._crashed = "not everything could be collected"

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count what will not run."""
        self._deselected += len(items)

    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any], request: Any) -> None:
        """Remember which fixtures were set up at all."""
        name = fixturedef.argname
        if name.startswith("_"):
            name, _ = name_and_functions(fixturedef, request)
        self._fixtures.add((fixturedef.scope, name))

    # --- xdist ---

    def pytest_sessionfinish(self) -> None:
        """Tell the controller what only a worker can know."""
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            self._take_kinds()
            output[_OUTPUT] = {
                "deselected": self._deselected,
                "fixtures": sorted(self._fixtures),
                "kinds": sorted(self._kinds),
            }

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take what a worker has told."""
        told = getattr(node, "workeroutput", {}).get(_OUTPUT)
        if told is None:
            self._crashed = f"a worker of xdist crashed ({error})"
            return
        self._deselected = max(self._deselected, told["deselected"])  # each deselects the same
        self._fixtures |= {(scope, name) for scope, name in told["fixtures"]}
        self._kinds |= set(told["kinds"])
