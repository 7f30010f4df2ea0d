"""The file of known leaks, as the engine reads and writes it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pytest_resource_hygiene.engine.known.baseline import Baseline, KnownLeak
from pytest_resource_hygiene.model import OwnerInfo

if TYPE_CHECKING:
    from pathlib import Path


def _entry(name: str, **fields: str) -> KnownLeak:
    parts = {"owner": "test", "scope": "function", "kind": "fds", "made": "", "line": "",
             "summary": "a file", "fingerprint": "0123456789abcdef"}  # fmt: skip
    return KnownLeak(name=name, **{**parts, **fields})


def test_an_entry_that_is_there_keeps_what_somebody_wrote_into_it() -> None:
    """A run that finds the leak again knows no reason, and must not take it away."""
    kept = Baseline([_entry("test_it", reason="upstream", issue="#7")])

    (entry,) = kept.with_entries([_entry("test_it")])
    assert (entry.reason, entry.issue) == ("upstream", "#7")


def test_a_full_disk_leaves_the_file_as_it_was_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "leaks.jsonl"
    Baseline([_entry("test_it")]).write(file)
    before = file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Baseline([_entry("test_other")]).write(file)

    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_expected_of_a_test_is_not_of_another() -> None:
    """Nor of another fixture of that name; and always of one kind, and of one line."""
    known = Baseline(
        [
            _entry("a.py::test_it", made="a.py in f", line="x()"),
            _entry(
                "pool",
                owner="fixture",
                made="b.py in g",
                line="y()",
                fingerprint="f" * 16,
                defined="a.py",
            ),
        ]
    )
    test, other = (
        OwnerInfo("test", name, "function") for name in ("a.py::test_it[1]", "test_other")
    )
    pool, namesake = (
        OwnerInfo("fixture", "pool", "module", f"{file}:7") for file in ("a.py", "b.py")
    )

    assert known.expects("fds", "a.py in f", "x()", test)
    assert not known.expects("fds", "a.py in f", "x()", other)
    assert not known.expects("threads", "a.py in f", "x()", test)
    assert not known.expects("fds", "a.py in f", "z()", test)
    assert known.expects("fds", "b.py in g", "y()", pool)
    assert not known.expects("fds", "b.py in g", "y()", namesake)
    assert not known.expects("fds", "b.py in g", "y()", other)
