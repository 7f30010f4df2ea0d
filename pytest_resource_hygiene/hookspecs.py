"""Hooks for those who add kinds or emitters; a project's conftest.py implements them as any other.

The names begin with ``pytest_`` so that pytest's own plugin manager calls them. Nothing here needs
pytest, so the engine can be extended where there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytest_resource_hygiene.leak import Leak
    from pytest_resource_hygiene.tracker import Tracker

hookspec = pluggy.HookspecMarker("pytest")
hookimpl = pluggy.HookimplMarker("pytest")


@hookspec
def pytest_resource_hygiene_trackers() -> Iterable[Tracker]:
    """Return trackers of further kinds; each is a `Tracker` with a ``kind`` of its own."""
    raise NotImplementedError


@hookspec
def pytest_resource_hygiene_emitters() -> Mapping[str, object] | Mapping[str, Callable[[], object]]:
    """Return the project's registries of listeners, by name.

    Each is a mapping from event to listeners, a collection of listeners, an object with such an
    attribute, or a function that returns one of these.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def pytest_resource_hygiene_expected(item: object, leak: Leak) -> str | None:
    """Return why this leak of this test is expected, or None; the nearest conftest is asked first."""
