"""Our modules are found past pytest's finder, and just where the interpreter finds them."""

from __future__ import annotations

from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

import pytest

import pytest_resource_hygiene
from pytest_resource_hygiene.compiled import speedups
from pytest_resource_hygiene.plain_import import PlainFinder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["leak", "engine", "_speedups", "nowhere"])
def test_a_module_of_ours_is_found_where_the_interpreter_finds_it(name: str) -> None:
    """A source, a package, what was compiled, and what is not there."""
    full, path = f"pytest_resource_hygiene.{name}", list(pytest_resource_hygiene.__path__)
    found, expected = PlainFinder().find_spec(full, path), PathFinder.find_spec(full, path)

    if name == "nowhere" or (name == "_speedups" and speedups is None):
        assert found is expected is None
        return
    assert found is not None
    assert expected is not None
    assert found.origin == expected.origin
    assert type(found.loader) is type(expected.loader)
    assert found.submodule_search_locations == expected.submodule_search_locations


def test_a_folder_without_source_is_left_to_the_interpreter(tmp_path: Path) -> None:
    """A namespace has no loader; it is no module of ours that could be passed on as it is."""
    (tmp_path / "empty").mkdir()
    finder = PlainFinder()
    found = finder.find_spec("pytest_resource_hygiene.empty", [str(tmp_path)])
    expected = PathFinder.find_spec("pytest_resource_hygiene.empty", [str(tmp_path)])

    assert found is not None
    assert expected is not None
    assert found.loader is expected.loader


def test_modules_of_others_are_left_alone() -> None:
    """Also those whose names merely begin like ours."""
    assert PlainFinder().find_spec("json", None) is None
    assert PlainFinder().find_spec("pytest_resource_hygiene_of_others", None) is None
