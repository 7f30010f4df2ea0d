"""Whose doing something is, by the frames that were at work, and by those that were not."""

from __future__ import annotations

import pytest

from pytest_resource_hygiene.engine.inventory.owners import Owner
from pytest_resource_hygiene.engine.origins.places import Places
from pytest_resource_hygiene.engine.origins.stacks import StackReader
from pytest_resource_hygiene.model import OwnerInfo
from pytest_resource_hygiene.recorder import Creation

_LIBRARY = "/venv/site-packages/twisted/internet/base.py"
_OTHER = "/venv/site-packages/eventlet/greenthread.py"
_USER = "/project/tests/test_it.py"
_TEST = Owner(OwnerInfo("test", "test_it", "function"))


def _made(file: str, owner: Owner | None, window: Owner, *, in_thread: bool = False) -> Creation:
    code = compile("", file, "exec").replace(co_name="startRunning")
    stack = (code, 0)
    parent = Creation(stack, owner, window, None, None) if in_thread else None
    return Creation(stack, owner, window, parent, None)


@pytest.mark.parametrize(
    ("made", "is_foreign"),
    [
        pytest.param(_made(_LIBRARY, None, _TEST), True, id="reactor"),
        pytest.param(_made(_LIBRARY, _TEST, _TEST), False, id="greenlet-of-the-test"),
        pytest.param(_made(_USER, None, _TEST), False, id="function-of-the-user"),
        pytest.param(_made(_OTHER, None, _TEST), False, id="greenlet-of-another-library"),
        pytest.param(_made(_LIBRARY, None, _TEST, in_thread=True), False, id="thread"),
    ],
)
def test_what_a_reactor_makes_that_a_plugin_runs_is_the_plugins(
    made: Creation, *, is_foreign: bool
) -> None:
    """That of pytest-twisted runs in a greenlet, which has the context of no test."""
    reader = StackReader(Places(["/project"]))

    assert reader.is_foreign(made) == is_foreign
