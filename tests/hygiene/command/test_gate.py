"""``resource-hygiene gate``: what passes, what fails, and with which words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.reports import document, finding

from pytest_resource_hygiene.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


def save(path: Path, *findings: dict[str, Any], **fields: Any) -> str:
    path.write_text(json.dumps(document(*findings, **fields)), encoding="utf-8")
    return str(path)


@pytest.fixture
def old(tmp_path: Path) -> str:
    """A report with two leaks, one of them shown by two tests, and one that is known."""
    return save(
        tmp_path / "old.json", finding(1), finding(2), finding(2, nodeid="t.py::other"),
        finding(3, severity="known"), finding(4, severity="note"), finding(5, severity="allowed"),
    )  # fmt: skip


def test_a_clean_report_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is noted, allowed or known fails nothing."""
    quiet = [finding(n, severity=word) for n, word in enumerate(("note", "allowed", "known"))]

    assert main(["gate", save(tmp_path / "r.json", *quiet)]) == 0
    assert capsys.readouterr().out == "0 leaks in 0 findings, 100 tests\n"


def test_leaks_fail_and_are_counted_by_fingerprint(
    old: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two findings of one leak count once, and are told."""
    assert main(["gate", old]) == 1
    out, err = capsys.readouterr()

    assert "2 leaks in 3 findings, 100 tests" in out
    assert "(2 times)" in out
    assert err == "failed: 2 leaks, more than 0\n"


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        (["2"], 0), (["1"], 1), (["fds=2"], 0), (["fds=1", "7"], 1), (["sockets=9"], 1),
        (["fds=2", "0"], 0),
    ],
)  # fmt: skip
def test_limits(old: str, limits: list[str], status: int) -> None:
    """N is for all kinds without a limit of their own; KIND=N is for one."""
    arguments = [word for limit in limits for word in ("--max", limit)]

    assert main(["gate", old, *arguments]) == status


def test_against_another_report_only_what_is_new_counts(
    old: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """New, gone and unchanged; what was known there is not new here, what was only noted is."""
    same = save(tmp_path / "same.json", finding(2), finding(3), finding(1, severity="known"))
    assert main(["gate", same, "--against", old]) == 0
    assert capsys.readouterr().out == "0 new, 0 gone, 3 unchanged\n"

    known = finding(6, severity="known")  # by a baseline of today
    new = save(tmp_path / "new.json", finding(1), finding(4), finding(9), known)
    assert main(["gate", new, "--against", old]) == 1
    out, err = capsys.readouterr()
    assert "2 new, 2 gone, 1 unchanged" in out
    assert out.index("new:") < out.index("pipe fd 4") < out.index("gone, or not run:")
    assert err == "failed: 2 leaks, more than 0\n"
    assert main(["gate", new, "--against", old, "--max", "2", "-q"]) == 0
    assert capsys.readouterr().out == "2 new, 2 gone, 1 unchanged\n"


def test_stale_entries_of_the_baseline_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A report that names stale entries does not pass, however many leaks may be."""
    entry = {"fingerprint": "0" * 16, "kind": "fds", "name": "t.py::test_x", "summary": "pipe"}
    baseline = {"file": "k", "entries": 1, "known": 0, "stale": [entry], "full_run": True}

    assert main(["gate", save(tmp_path / "r.json", baseline=baseline), "--max", "9"]) == 1
    assert "1 stale entry" in capsys.readouterr().err


def test_a_pass_that_means_little_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run without tests and blind spots are warned of."""
    report = document()
    report["summary"]["tests"] = 0
    report["environment"]["blind_spots"] = [{"kind": "tasks", "why": "the canary was not seen"}]
    path = tmp_path / "r.json"
    path.write_text(json.dumps(report), encoding="utf-8")

    assert main(["gate", str(path)]) == 0
    err = capsys.readouterr().err
    assert "without any test" in err
    assert "blind spot: tasks" in err


_DAMAGED: dict[str, Any] = {
    "no file": None,
    "not JSON": "{",
    "not text": b"\xff\xfe\x00",
    "deep": "[" * 200_000,
    "list": "[]",
    "null": "null",
    "foreign": '{"version": "2.1.0"}',
    "newer": '{"schema": "resource-hygiene/2"}',
    "no findings": {"findings": None},
    "finding": {"findings": [1]},
    "field": {"findings": [{**finding(), "hint": 3}]},
    "truth": {"findings": [{**finding(), "count": True}]},
    "severity": {"findings": [{**finding(), "severity": "bad"}]},
    "owner": {"findings": [{**finding(), "owner": {}}]},
    "origin": {"findings": [{**finding(), "origin": 1}]},
    "no origin": {"findings": [{k: v for k, v in finding().items() if k != "origin"}]},
    "stack": {"findings": [{**finding(), "stack": [[]]}]},
    "held": {"findings": [{**finding(), "held_by": [1]}]},
    "parts": {"findings": [{**finding(), "details": {"parts": {}}}]},
    "reason": {"findings": [{**finding(), "reason": ["x"]}]},
    "spots": {"environment": {**document()["environment"], "blind_spots": [1]}},
    "stale": {"baseline": {"stale": [1]}},
    "summary": {"summary": {**document()["summary"], "tests": "many"}},
}


@pytest.mark.parametrize("name", _DAMAGED)
@pytest.mark.parametrize("command", ["gate", "report"])
def test_a_file_that_is_no_report_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, command: str
) -> None:
    """Damaged and foreign files end with 2 and one line that names the file."""
    content, path = _DAMAGED[name], tmp_path / "r.json"
    if isinstance(content, dict):
        content = json.dumps({**document(), **content})
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    assert main([command, str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("resource-hygiene: ")
    assert str(path) in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("limit", ["x", "-1", "=3", "fds=", "fds=x", "1.5"])
def test_a_limit_that_is_none_is_told(
    old: str, capsys: pytest.CaptureFixture[str], limit: str
) -> None:
    """What is no limit is named, with what is one."""
    assert main(["gate", old, f"--max={limit}"]) == 2
    assert f"--max: {limit!r} is no limit" in capsys.readouterr().err
    assert main(["gate", old, "--max", "1", "--max", "2"]) == 2


def test_a_limit_for_a_kind_that_is_not_there_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A project may have kinds of its own, so it is no error; a typo must not pass in silence."""
    report = save(tmp_path / "r.json")
    main(["gate", report, "--max", "thrads=1", "--max", "sockets=1"])
    err = capsys.readouterr().err

    assert "warning: --max thrads=N: no such kind is built in, or in the report" in err
    assert "did you mean 'threads'?" in err
    assert "sockets" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe whose reader has gone is needed")
def test_a_reader_that_leaves_does_not_make_it_pass(old: str) -> None:
    """``gate … | head -1`` fails as ``gate …`` does: nobody's pipe decides what passes."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as stream:
        done = subprocess.run(
            [sys.executable, "-m", "pytest_resource_hygiene", "gate", old],
            stdout=stream, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr == "failed: 2 leaks, more than 0\n"


def test_of_many_leaks_twenty_are_shown_and_of_none_with_quiet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the number of the others. A limit for all kinds is no kind that could be misspelt."""
    many = save(tmp_path / "many.json", *map(finding, range(23)))

    assert main(["gate", many, "--max", "23"]) == 0
    out, err = capsys.readouterr()
    assert out.count("    made ") == 20
    assert "\n  and 3 more\n" in out
    assert err == ""
    assert main(["gate", many, "--max", "23", "--quiet"]) == 0
    assert capsys.readouterr().out == "23 leaks in 23 findings, 100 tests\n"
