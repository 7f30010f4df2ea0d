"""Being called when somebody else has imported a module, whatever loads it."""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.post_import import PostImport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_NAME = "hygiene_example_loaded"


class Loader:
    """Runs a body that leaves a mark."""

    def create_module(self, _spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["MARK"] = "executed"


class Sealed(Loader):
    """As one written in C: it takes no attributes."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


class Finder:
    """Finds that one module."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def find_spec(self, name: str, _path: object, _target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self.loader) if name == _NAME else None  # type: ignore[arg-type]


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostImport]:
    """One that waits for nothing yet; other finders stay as they are."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    waiting = PostImport()
    yield waiting
    waiting.stop()
    sys.modules.pop(_NAME, None)


def test_it_calls_back_when_the_module_has_been_executed(waiting: PostImport) -> None:
    """Each callback once, in turn; who comes later is called at once."""
    loader = Loader()
    sys.meta_path.insert(0, Finder(loader))
    heard: list[Any] = []
    for _ in range(2):
        waiting.when_imported(_NAME, lambda: heard.append(vars(sys.modules[_NAME]).get("MARK")))
    assert heard == []
    module = importlib.import_module(_NAME)
    assert heard == ["executed"] * 2
    importlib.reload(module)
    assert heard == ["executed"] * 2
    assert vars(loader) == {}, "nothing of ours stays on it"

    waiting.when_imported(_NAME, lambda: heard.append("at once"))
    assert heard[2:] == ["at once"]


def test_two_that_wait_for_one_module_are_both_called(waiting: PostImport) -> None:
    """As those of a run within a run: each asks the other, and both hang on one loader."""
    loader = Loader()
    sys.meta_path.insert(0, Finder(loader))
    heard: list[str] = []
    another = PostImport()
    for name, one in (("one", waiting), ("another", another)):
        one.when_imported(_NAME, lambda name=name: heard.append(name))
    importlib.import_module(_NAME)

    assert sorted(heard) == ["another", "one"]
    assert vars(loader) == {}, "nothing of ours stays on it"


def test_a_loader_that_takes_no_attributes_loads_all_the_same(waiting: PostImport) -> None:
    """The kind stays blind to the module, and nobody is disturbed."""
    sys.meta_path.insert(0, Finder(Sealed()))
    heard: list[str] = []
    waiting.when_imported(_NAME, lambda: heard.append("called"))
    module = importlib.import_module(_NAME)

    assert vars(module)["MARK"] == "executed"
    assert heard == []


def test_a_module_that_nobody_finds_is_not_found(waiting: PostImport) -> None:
    """Asking the others from within must not ask ourselves for ever."""
    waiting.when_imported(_NAME, lambda: None)
    with pytest.raises(ModuleNotFoundError, match=_NAME):
        importlib.import_module(_NAME)


def test_whoever_has_stopped_waits_no_longer(waiting: PostImport) -> None:
    """It leaves the list of finders, and calls nobody."""
    sys.meta_path.insert(0, Finder(Loader()))
    heard: list[str] = []
    waiting.when_imported(_NAME, lambda: heard.append("called"))
    assert waiting in sys.meta_path
    waiting.stop()
    importlib.import_module(_NAME)

    assert waiting not in sys.meta_path
    assert heard == []
