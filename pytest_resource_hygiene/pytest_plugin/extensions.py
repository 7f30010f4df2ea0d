"""What a project adds to the plugin: kinds and emitters of its own, by hooks and settings."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pytest

from pytest_resource_hygiene.errors import SettingsError
from pytest_resource_hygiene.pytest_plugin.options import SEVERITIES, value_of
from pytest_resource_hygiene.tracker import Tracker
from pytest_resource_hygiene.trackers import kind_names

if TYPE_CHECKING:
    from pytest_resource_hygiene.trackers.listeners import ListenerTracker

__all__ = ["declare_emitters", "extra_trackers"]

_KIND = r"[A-Za-z_][\w.-]*"
_RESERVED = ("all", "default")


def extra_trackers(config: pytest.Config) -> list[Tracker]:
    """Return the trackers of conftest files and plugins, in the order in which pluggy calls them.

    Raises:
        pytest.UsageError: something else was returned, or a kind has no name or another's.
    """
    extra: list[Tracker] = []
    for batch in config.hook.pytest_resource_hygiene_trackers():
        if not isinstance(batch, Iterable):
            raise _no_trackers(batch)
        for tracker in batch:
            if not isinstance(tracker, Tracker):
                raise _no_trackers(tracker)
            _check_kind(tracker, [*kind_names(), *(one.kind for one in extra)])
            extra.append(tracker)
    return extra


def _no_trackers(value: object) -> pytest.UsageError:
    return pytest.UsageError(
        f"resource hygiene: pytest_resource_hygiene_trackers returned {value!r}. Return a list of "
        "trackers: instances of subclasses of pytest_resource_hygiene.Tracker."
    )


def _check_kind(tracker: Tracker, taken: list[str]) -> None:
    kind: object = tracker.kind  # anybody's class may say anything
    name = type(tracker).__qualname__
    if not isinstance(kind, str) or not re.fullmatch(_KIND, kind) or kind in _RESERVED:
        raise pytest.UsageError(
            f"resource hygiene: {name}.kind is {kind!r}. Give it a name of letters, digits, "
            f"underscores, dots and hyphens, such as 'sessions', and none of {', '.join(_RESERVED)}."
        )
    if kind in taken:
        raise pytest.UsageError(
            f"resource hygiene: two trackers of the kind {kind!r}. Give yours another name."
        )
    severity: object = tracker.severity
    if severity not in SEVERITIES:
        raise pytest.UsageError(
            f"resource hygiene: {name}.severity is {severity!r}. Valid are {', '.join(SEVERITIES)}."
        )


def declare_emitters(tracker: ListenerTracker, config: pytest.Config) -> None:
    """Tell the tracker of listeners about the project's registries.

    Raises:
        pytest.UsageError: a declared emitter cannot be used.
    """
    lines = value_of(config, "emitters")
    declared = config.hook.pytest_resource_hygiene_emitters()
    if not lines and not declared:
        return
    from pytest_resource_hygiene.trackers._emitter_specs import emitter_from, load_emitter

    try:
        for line, source in lines:
            try:
                name, emitter = load_emitter(line)
            except SettingsError as error:
                raise SettingsError(f"{source}: {error}") from None
            _require_package(line, source)
            tracker.declare(name, emitter)
        for batch in declared:
            for key, registry in _by_name(batch).items():
                tracker.declare(str(key), emitter_from(registry))
    except SettingsError as error:
        raise pytest.UsageError(str(error)) from None


def _by_name(declared: object) -> Mapping[object, object]:
    if not isinstance(declared, Mapping):
        raise SettingsError(
            f"resource hygiene: pytest_resource_hygiene_emitters returned {declared!r}. "
            "Return a dict of names to registries."
        )
    return declared


def _require_package(line: str, source: str) -> None:
    """Refuse a package that is not there: its emitter would be waited for in vain, and in silence."""
    package = line.partition("=")[2].strip().partition(":")[0].partition(".")[0]
    if package and package not in sys.modules and importlib.util.find_spec(package) is None:
        raise SettingsError(
            f"{source}: {line!r}: there is no module {package!r} here. "
            "Write 'name = package.module:attribute' of a module that can be imported."
        )
