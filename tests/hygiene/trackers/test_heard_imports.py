"""How the end of a first import is heard, called directly: in an audit hook no tracer sees it."""

from __future__ import annotations

import importlib._bootstrap as bootstrap  # type: ignore[import-not-found]
import sys
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

import pytest

from pytest_resource_hygiene.recorder import Recorder
from pytest_resource_hygiene.trackers._imports import ImportWatch

_BODY = compile("VALUE = 1", "thing.py", "exec")


class Watched:
    """What was told of imports; nothing is hooked, the test tells of the events."""

    def __init__(self) -> None:
        self.ended: list[tuple[Any, Any]] = []
        recorder = Recorder()
        ImportWatch(recorder).add(lambda: "before", self._end)
        recorder.started = True
        self.note = recorder.events["exec"]

    def _end(self, before: Any, stack: Any, _owner: object, _window: object) -> None:
        self.ended.append((before, stack))

    def begin(self, code: CodeType, names: dict[str, Any]) -> None:
        """Tell that a body is about to run, from where the import system would run it."""
        bootstrap._call_with_frames_removed(lambda body, _names: self.note((body,)), code, names)


@pytest.fixture
def module() -> ModuleType:
    """A module that is being imported."""
    module = ModuleType("thing")
    module.__spec__ = ModuleSpec("thing", None)
    vars(module.__spec__)["_initializing"] = True
    return module


def test_the_end_is_told_once_and_leaves_no_trace(module: ModuleType) -> None:
    """With what was there before, and the module's body as the innermost frame."""
    watched = Watched()
    spec: Any = module.__spec__
    watched.begin(_BODY, vars(module))

    assert watched.ended == []
    assert spec._initializing
    assert type(spec).__name__ == "ModuleSpec"
    spec._initializing = False
    spec._initializing = False

    [(before, stack)] = watched.ended
    assert before == "before"
    assert stack[0] is _BODY
    assert type(spec) is ModuleSpec
    assert vars(spec)["_initializing"] is False


def test_a_module_that_is_executed_again_is_no_import(module: ModuleType) -> None:
    """As ``importlib.reload`` does, whose marks are long gone."""
    vars(module.__spec__)["_initializing"] = False
    watched = Watched()
    watched.begin(_BODY, vars(module))

    assert type(module.__spec__) is ModuleSpec


def test_other_code_is_no_import(module: ModuleType) -> None:
    """A function's body, a body that another caller runs, and names that are no module's."""
    watched = Watched()
    watched.begin(compile("1", "x.py", "eval").replace(co_name="work"), vars(module))
    watched.begin(_BODY, {})
    watched.note((_BODY,))
    bootstrap._call_with_frames_removed(lambda *_: watched.note((_BODY,)), "other", vars(module))

    assert type(module.__spec__) is ModuleSpec
    assert watched.ended == []


def test_where_a_function_in_python_follows_each_call_it_sees_none_of_ours(
    module: ModuleType,
) -> None:
    """As that of a debugger; the one of coverage looks away from other packages."""
    watched = Watched()
    names = vars(module)
    former = sys.gettrace()
    sys.settrace(lambda *_: None)
    try:
        watched.begin(_BODY, names)
    finally:
        sys.settrace(former)
    assert type(module.__spec__) is ModuleSpec
