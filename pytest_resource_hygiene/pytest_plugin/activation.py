"""Switches the plugin on: validates the settings, chooses the trackers, registers what watches."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from pytest_resource_hygiene.engine.settings import EngineSettings
from pytest_resource_hygiene.errors import SettingsError
from pytest_resource_hygiene.kind_choice import choose_kinds
from pytest_resource_hygiene.pytest_plugin.options import SEVERITIES, source_of, value_of
from pytest_resource_hygiene.pytest_plugin.results import Results
from pytest_resource_hygiene.trackers import built_in_trackers, default_kinds, kind_names
from pytest_resource_hygiene.trackers.fds import FdTracker
from pytest_resource_hygiene.trackers.listeners import ListenerTracker
from pytest_resource_hygiene.trackers.processes import ProcessTracker

if TYPE_CHECKING:
    from pytest_resource_hygiene.engine.known.allowances import Allowance
    from pytest_resource_hygiene.tracker import Tracker

__all__ = [
    "activate",
    "early_trackers",
    "engine_settings",
    "make_trackers",
    "stop_files",
    "tool_files",
]

_NATIVE = "native_threads"
# All kinds that there are, once conftest files have been asked for theirs.
_KINDS = pytest.StashKey[list[str]]()


def activate(config: pytest.Config, mode: str) -> None:
    """Register the plugins of this process: the watcher, or under xdist the controller's half."""
    from pytest_resource_hygiene.pytest_plugin.protocol import Watcher
    from pytest_resource_hygiene.pytest_plugin.summary import Summary

    results = Results(config, mode)
    if any(value_of(config, f"{word}baseline") for word in ("", "write-", "prune-")):
        from pytest_resource_hygiene.pytest_plugin.baseline import make_keeper

        results.baseline = make_keeper(config)
        if results.baseline is not None:
            config.pluginmanager.register(results.baseline.run, "resource_hygiene_run")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Summary(config, results), "resource_hygiene_summary")
    if config.pluginmanager.has_plugin("dsession") or _is_controller(config):
        from pytest_resource_hygiene.pytest_plugin.distributed import Controller

        engine_settings(config, [])  # a worker's words would not be shown as such
        config.pluginmanager.register(Controller(results), "resource_hygiene_controller")
        return
    watcher = Watcher(config, results)
    config.pluginmanager.register(watcher, "resource_hygiene_watcher")
    if hasattr(config.option, "forked"):
        from pytest_resource_hygiene.pytest_plugin.forked import ForkedReports

        config.pluginmanager.register(ForkedReports(watcher), "resource_hygiene_status")
    if hasattr(config, "workeroutput"):
        from pytest_resource_hygiene.pytest_plugin.worker_errors import WorkerErrors

        errors = WorkerErrors(config.workeroutput)
        config.pluginmanager.register(errors, "resource_hygiene_worker_errors")
    if value_of(config, "json") or value_of(config, "html"):
        from pytest_resource_hygiene.pytest_plugin.timeline import Timeline

        timeline = Timeline(config, watcher, results)
        config.pluginmanager.register(timeline, "resource_hygiene_timeline")


def _is_controller(config: pytest.Config) -> bool:
    """Return whether xdist is going to give the tests to workers, by its own rule.

    ``--dist`` alone, as many projects have it in ``addopts``, says only how it would.
    """
    distributed = config.getoption("dist", default="no") not in {"no", None}
    has_workers = bool(config.getoption("tx", default=None))
    return distributed and has_workers and not hasattr(config, "workerinput")


def early_trackers(config: pytest.Config) -> list[Tracker]:
    """Make the built-in trackers that may be on, before any test module is imported.

    A module that says ``from signal import signal`` has to get the function that records. Which
    kinds there are is known only after collection: conftest files of folders may add some.
    """
    words = {word.strip().lstrip("+") for word in str(value_of(config, "kinds")).split(",")}
    chosen = default_kinds() | (words & set(kind_names()))
    trackers = built_in_trackers(frozenset(kind_names() if "all" in words else chosen))
    prepare_trackers(trackers, config)
    return trackers


def make_trackers(
    config: pytest.Config, early: list[Tracker], extra: list[Tracker]
) -> list[Tracker]:
    """Make the trackers of all kinds that are on: built in, and from conftest files and plugins.

    Args:
        config: asked for the kinds.
        early: what `early_trackers` has made.
        extra: what a project adds.

    Raises:
        pytest.UsageError: an unknown kind.
    """
    default = _default_kinds(extra)
    names = [*kind_names(), *(tracker.kind for tracker in extra)]
    config.stash[_KINDS] = names
    severities = _severities(config, names)
    try:
        chosen = choose_kinds(str(value_of(config, "kinds")), default, frozenset(names))
    except ValueError as error:
        raise pytest.UsageError(f"{source_of(config, 'kinds')}: {error}") from None
    chosen |= {kind for kind, severity in severities.items() if severity != "off"}
    chosen -= {kind for kind, severity in severities.items() if severity == "off"}
    if _has_watchdog(config) and severities.get(_NATIVE) != "fail":
        chosen -= {_NATIVE}  # pytest's own watchdog is a new native thread in every test
    made = [one for one in early if one.kind in chosen]
    late = built_in_trackers(chosen - {one.kind for one in early})
    prepare_trackers(late, config)
    trackers = [*made, *late, *(one for one in extra if one.kind in chosen)]
    return sorted(trackers, key=lambda one: one.kind)


def _has_watchdog(config: pytest.Config) -> bool:
    try:
        return float(config.getini("faulthandler_timeout") or 0) > 0
    except ValueError:  # unknown with ``-p no:faulthandler``
        return False


def prepare_trackers(trackers: list[Tracker], config: pytest.Config) -> None:
    """Tell trackers what only the test runner knows."""
    for tracker in trackers:
        if isinstance(tracker, ListenerTracker):
            # pytest itself puts the warning filters back after each test, unless told not to.
            tracker.watch_warnings = not config.pluginmanager.hasplugin("warnings")
        if isinstance(tracker, FdTracker) and config.getoption("capture", default="no") == "fd":
            tracker.ignored = frozenset({0, 1, 2})
        if isinstance(tracker, ProcessTracker):
            tracker.adopts = value_of(config, "orphans")
        ignore = getattr(tracker, "ignore_below", None)
        basetemp = config.getoption("basetemp", default=None)
        if ignore is not None and basetemp:
            ignore(str(basetemp))


def _default_kinds(extra: list[Tracker]) -> frozenset[str]:
    return default_kinds() | {one.kind for one in extra if one.severity != "off"}


def _severities(config: pytest.Config, kinds: list[str] | None) -> dict[str, str]:
    found = {}
    for line, source in reversed(value_of(config, "severity")):
        kind, _, severity = (part.strip() for part in line.partition(":"))
        is_kind = kinds is None or kind in kinds
        if not is_kind or severity not in SEVERITIES:
            raise pytest.UsageError(
                f"{source}: {line!r} is not valid. Write 'kind: severity' with a severity of "
                f"{', '.join(SEVERITIES)} and a kind of {', '.join(sorted(kinds or kind_names()))}."
            )
        found[kind] = severity
    return found


def engine_settings(config: pytest.Config, trackers: list[Tracker]) -> EngineSettings:
    """Validate everything that the engine is told; names of kinds only after `make_trackers`.

    Raises:
        pytest.UsageError: says which setting, which value, and what is valid.
    """
    kinds = config.stash.get(_KINDS, None)
    severity: dict[str, str] = {
        tracker.kind: "fail" for tracker in trackers if tracker.severity == "off"
    }
    severity.update(_severities(config, kinds))
    return EngineSettings(
        severity=severity,
        grace=value_of(config, "grace"),
        strict=value_of(config, "strict"),
        restore=value_of(config, "restore"),
        max_listeners=value_of(config, "max-listeners"),
        allowances=_allowances(config, kinds),
        root=str(config.rootpath),
        scratch=lambda: _folder_of_tests(config),
    )


def _allowances(config: pytest.Config, kinds: list[str] | None) -> tuple[Allowance, ...]:
    lines = value_of(config, "allow")
    if not lines:
        return ()
    from pytest_resource_hygiene.engine.known.allowances import (
        parse_allowance,  # few suites have any
    )

    try:
        return tuple(parse_allowance(line, kinds, source) for line, source in lines)
    except SettingsError as error:
        raise pytest.UsageError(str(error)) from None


def _folder_of_tests(config: pytest.Config) -> str:
    """Return the folder in which each ``tmp_path`` lies, without making it; there is no public way."""
    factory = getattr(config, "_tmp_path_factory", None)
    return str(getattr(factory, "_basetemp", None) or "")


def stop_files() -> list[str]:
    """Return the files at whose first frame a creation stack ends: the runner of tests."""
    names = ["_pytest.python", "_pytest.fixtures", "_pytest.runner", "_pytest.unittest",
             "_pytest.main", "_pytest.doctest"]  # fmt: skip
    names += [name for name in list(sys.modules) if name.startswith("pluggy.")]
    found = [sys.modules[name] for name in names if name in sys.modules]
    return [str(module.__file__) for module in found if getattr(module, "__file__", None)]


def tool_files(config: pytest.Config) -> list[str]:
    """Return the files of installed plugins: what they make is theirs."""
    files = []
    for plugin, _ in config.pluginmanager.list_plugin_distinfo():
        module = plugin if isinstance(plugin, ModuleType) else sys.modules.get(plugin.__module__)
        file = getattr(module, "__file__", None)
        if file and "/site-packages/" in file:
            files.append(file)
    return files
