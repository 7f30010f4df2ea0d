"""Find what tests, fixtures and servers leave behind.

Importing this package imports neither pytest nor the engine; names are loaded at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene._version import __version__

if TYPE_CHECKING:
    from pytest_resource_hygiene.api import Snapshot, leaks_since, no_leaks, snapshot
    from pytest_resource_hygiene.errors import (
        HygieneError,
        LeaksFoundError,
        SettingsError,
        TrackerError,
    )
    from pytest_resource_hygiene.hookspecs import hookimpl
    from pytest_resource_hygiene.leak import Leak
    from pytest_resource_hygiene.model import Origin, OwnerInfo
    from pytest_resource_hygiene.tracker import Description, IdentityKey, Moment, Tracker

__all__ = [
    "Description",
    "HygieneError",
    "IdentityKey",
    "Leak",
    "LeaksFoundError",
    "Moment",
    "Origin",
    "OwnerInfo",
    "SettingsError",
    "Snapshot",
    "Tracker",
    "TrackerError",
    "__version__",
    "hookimpl",
    "leaks_since",
    "no_leaks",
    "snapshot",
]

_HOMES = {
    "api": ("Snapshot", "leaks_since", "no_leaks", "snapshot"),
    "errors": ("HygieneError", "LeaksFoundError", "SettingsError", "TrackerError"),
    "hookspecs": ("hookimpl",),
    "leak": ("Leak",),
    "model": ("Origin", "OwnerInfo"),
    "tracker": ("Description", "IdentityKey", "Moment", "Tracker"),
}


def __dir__() -> list[str]:
    """Name what can be loaded, for whoever explores the package with Tab."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: an idle plugin must cost nothing."""
    for module, names in _HOMES.items():
        if name in names:
            import importlib

            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
