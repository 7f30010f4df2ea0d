"""Whose code a file is, wherever pytest is started and whatever the project's folder holds."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.engine.origins.places import Places

if TYPE_CHECKING:
    from collections.abc import Callable

_STDLIB = os.path.dirname(os.__file__)  # noqa: PTH120 - without resolving links


@pytest.mark.parametrize(
    "root",
    [
        pytest.param("/", id="a-container-without-a-working-directory"),
        pytest.param(str(Path(_STDLIB).parent.parent), id="a-project-with-its-interpreter"),
        pytest.param(_STDLIB, id="the-standard-library-itself"),
    ],
)
def test_a_root_above_the_standard_library_does_not_take_it(root: str) -> None:
    """What socket.py makes is made by whoever called it, also if pytest was started in ``/``."""
    places = Places([root, "/project/tests"])

    assert places.of(socket.__file__) == "stdlib"
    assert places.of("/project/tests/test_it.py") == "user"


def test_a_folder_of_tests_within_the_standard_library_is_the_users() -> None:
    """CPython's own tests are run there; its modules stay the standard library's."""
    places = Places([_STDLIB])
    folder = f"{_STDLIB}/test"
    assert not places.has_in_a_root(folder)

    places.add_root(folder)

    assert places.of(f"{folder}/test_socket.py") == "user"
    assert places.of(socket.__file__) == "stdlib"


def test_a_source_compiled_by_cython_is_the_users_where_it_lies_in_a_folder_of_his(
    tmp_path: Path,
) -> None:
    """Its code names the file as it was called where it was compiled, relative to its project."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "fast.pyx").touch()
    places = Places([str(tmp_path)])

    assert places.of("mine/fast.pyx") == "user"
    assert places.of("uvloop/loop.pyx") == "library"


def test_a_folder_that_may_not_be_read_is_no_fault_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In ``/`` there are the homes of others; who runs the tests need not be root."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    (tmp_path / "others").mkdir()
    places = Places([str(tmp_path), str(tmp_path / "mine" / "__init__.py"), _STDLIB])
    monkeypatch.setattr(os, "stat", _as_a_stranger(os.stat))

    assert not places.is_library_module("mine.part")
    assert places.is_library_module("socket")


def _as_a_stranger(stat: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
    def refuse(path: Any, **options: Any) -> os.stat_result:
        if "others/" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    return refuse
