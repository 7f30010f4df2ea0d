"""The engine stands alone: a server uses it where no test runner is installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pytest_resource_hygiene
from pytest_resource_hygiene.trackers import built_in_trackers, default_kinds, kind_names

_IMPORT_ALL = """
import importlib, pkgutil, sys
for name in ("pytest", "_pytest"):
    sys.modules[name] = None
import pytest_resource_hygiene as package
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.startswith("pytest_resource_hygiene.pytest_plugin"):
        importlib.import_module(module.name)
for name in package.__all__:
    getattr(package, name)
print("imported")
"""

_COST = """
import sys
import pytest
before = set(sys.modules)
import pytest_resource_hygiene.pytest_plugin
new = {name for name in set(sys.modules) - before if name.startswith("pytest_resource_hygiene")}
print(sorted(new))
"""


def test_everything_but_the_plugin_imports_without_pytest() -> None:
    """With pytest blocked, every other module and every public name can be imported."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL], capture_output=True, text=True, check=False
    )

    assert done.stdout.strip() == "imported", done.stderr


def test_the_door_of_the_plugin_loads_only_its_options() -> None:
    """Merely installed, the plugin imports nothing of the engine, the trackers or the reports."""
    done = subprocess.run([sys.executable, "-c", _COST], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == str(
        [
            "pytest_resource_hygiene",
            "pytest_resource_hygiene._version",
            "pytest_resource_hygiene.grace",
            "pytest_resource_hygiene.plain_import",
            "pytest_resource_hygiene.pytest_plugin",
            "pytest_resource_hygiene.pytest_plugin.options",
        ]
    )


def test_every_public_name_exists() -> None:
    """``__all__`` names exactly what can be had from the package."""
    assert set(pytest_resource_hygiene.__all__) <= set(dir(pytest_resource_hygiene))
    for name in pytest_resource_hygiene.__all__:
        assert getattr(pytest_resource_hygiene, name) is not None

    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = pytest_resource_hygiene.nonsense


@pytest.mark.parametrize("kind", kind_names())
def test_a_kind_is_named_like_its_file(kind: str) -> None:
    """The file's name is the kind's, and it can be put in words."""
    (tracker,) = built_in_trackers(frozenset({kind}))

    assert tracker.kind == kind
    assert tracker.title
    assert tracker.severity in {"fail", "note", "off"}
    assert (tracker.severity == "off") == (tracker.kind not in default_kinds())
