"""The pytest plugin's door: options always, everything else only when it is switched on.

This module is imported by every pytest run of an environment in which the distribution is merely
installed. It imports nothing of the engine before it is asked to watch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_resource_hygiene import plain_import

plain_import.install()  # before any other module of ours is imported

from pytest_resource_hygiene.pytest_plugin.options import (  # noqa: E402
    add_options,
    mode_of,
    refuse_misspelt_variables,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_resource_hygiene.pytest_plugin.fixtures import MidTest

__all__ = [
    "pytest_addhooks",
    "pytest_addoption",
    "pytest_configure",
    "pytest_unconfigure",
    "resource_hygiene",
]

_MARKERS = (
    (
        'allow_leak(*kinds, match="...", reason="...", issue="..."): '
        "this test may leave resources of these kinds (all without kinds); the reason is required."
    ),
    (
        'resource_hygiene(mode, *, grace=seconds, strict=bool): "fail", "report" or "off" '
        "for this test, class or module."
    ),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare every option as flag and as ini key."""
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks that conftest files and other plugins may implement."""
    from pytest_resource_hygiene import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; watch if switched on."""
    for line in _MARKERS:
        config.addinivalue_line("markers", line)
    mode = mode_of(config)
    if mode == "off":
        plain_import.remove()
    else:
        from pytest_resource_hygiene.objects import collector_paused

        refuse_misspelt_variables()
        with collector_paused():  # nothing of what is loaded could be freed
            from pytest_resource_hygiene.pytest_plugin.activation import activate

            activate(config, mode)


def pytest_unconfigure() -> None:
    """Leave nothing of our own behind: pytest may go on within a larger program."""
    plain_import.remove()


@pytest.fixture
def resource_hygiene(request: pytest.FixtureRequest) -> Iterator[MidTest]:
    """Check in the middle of a test: ``resource_hygiene.check()`` raises if something is left.

    With the plugin switched off, the checks of this fixture work all the same.
    """
    from pytest_resource_hygiene.pytest_plugin.fixtures import MidTest

    with MidTest(request.node) as checker:
        yield checker
