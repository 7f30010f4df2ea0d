"""The identity of a finding: what stays over runs, machines and lines, and what does not."""

from __future__ import annotations

import os
import socket
import sys
import sysconfig
from pathlib import Path

import pytest

from pytest_resource_hygiene.engine.known import fingerprint as fingerprints
from pytest_resource_hygiene.engine.known.fingerprint import (
    fingerprint,
    place_words,
    relative,
    without_parameters,
)
from pytest_resource_hygiene.model import Origin, OwnerInfo

_anew = fingerprints._folders_of_this_machine.__wrapped__
_PACKAGES = sysconfig.get_path("purelib")


def _of(
    target: str = "", *, owner: str = "test_it.py::test_it", file: str = "", root: str = "/p"
) -> str:
    origin = Origin(file, 7, "test_it", "recorded", "open(path)") if file else None
    return fingerprint("fds", "added", OwnerInfo("test", owner, "function"), origin, target, root)


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        pytest.param("/p/tests/test_it.py", "tests/test_it.py", id="project"),
        pytest.param("/project/test_it.py", "/project/test_it.py", id="only-begins-like-it"),
        pytest.param("/v/lib/site-packages/lib/pool.py", "lib/pool.py", id="installed"),
        pytest.param("/usr/dist-packages/lib/pool.py", "lib/pool.py", id="debian"),
        pytest.param("/p/.venv/site-packages/a.py", ".venv/site-packages/a.py", id="in-project"),
        pytest.param(socket.__file__, "socket.py", id="stdlib"),
    ],
)
def test_a_path_begins_where_machines_agree(file: str, shown: str) -> None:
    assert relative(file, "/p") == relative(file, "/p/") == shown


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("/p/data/a.txt", "data/a.txt", id="project"),
        pytest.param(f"{_PACKAGES}/lib/a.so", "packages/lib/a.so", id="packages-in-the-prefix"),
        pytest.param(f"{sys.prefix}/share/a", "prefix/share/a", id="prefix"),
        pytest.param(str(Path("~").expanduser() / "a"), "home/a", id="home"),
        pytest.param("/tmp/pytest-of-me/a b", "/tmp/pytest-of-you/z b", id="temporary"),
        pytest.param("port 8080", "port 9", id="number"),
        pytest.param("<Pool at 0x7f01>", "<Pool at 0xab>", id="address"),
    ],
)
def test_the_target_forgets_this_machine_and_this_run(one: str, other: str) -> None:
    assert _of(one) == _of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("/p/data/a.txt", "/p/data/b.txt", id="another-file"),
        pytest.param("/path/a.txt", "ath/a.txt", id="a-folder-that-begins-like-the-root"),
        pytest.param("/srv/p/a.txt", "/srva.txt", id="a-folder-that-ends-like-the-root"),
    ],
)
def test_the_target_keeps_what_tells_two_apart(one: str, other: str) -> None:
    assert _of(one) != _of(other)


@pytest.mark.parametrize("name", ["HOME", "TMPDIR"])
def test_a_machine_whose_home_or_temporary_folder_is_the_root_counts_as_any(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As in containers: every path begins with it, so it says nothing, and nothing is cut away."""
    usual = _of("file /etc/hosts, open for read")
    monkeypatch.setenv(name, "/")
    monkeypatch.setattr(fingerprints, "_folders_of_this_machine", _anew)

    assert _of("file /etc/hosts, open for read") == usual


def test_the_place_counts_by_its_text_and_not_by_its_machine() -> None:
    here, there = _of(file="/p/lib/a.py"), _of(file="/q/lib/a.py", root="/q")
    assert here == there
    assert here != _of(file="/p/lib/b.py")


def test_parameters_are_left_out_and_folders_with_brackets_are_not() -> None:
    assert without_parameters("a[1]/t.py::test[x[y]]") == "a[1]/t.py::test"
    assert _of(owner="t.py::test[1]") == _of(owner="t.py::test[2]")
    assert _of(owner="t.py::test_1") != _of(owner="t.py::test_2")


def test_names_that_are_no_text_have_a_fingerprint_all_the_same() -> None:
    name = os.fsdecode(b"\xff.txt")

    assert len(_of(f"/p/{name}", file=f"/p/{name}")) == 16


def test_code_that_a_test_writes_for_itself_is_the_same_in_each_run() -> None:
    """A generated module, or a plugin's file, in `tmp_path`: a baseline is to know its leak."""
    folder = "/tmp/pytest-of-me/pytest-7/test_it0"
    one, other = f"{folder}/plugin.py", f"{folder.replace('-7', '-81')}/plugin.py"

    assert _of(file=one) == _of(file=other)
    assert _of(file=one) != _of(file=one.replace("plugin.py", "other.py"))
    assert place_words(one, "load") == place_words(other, "load") == "/test_it0/plugin.py in load"
