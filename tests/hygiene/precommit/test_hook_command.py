"""The hook's command within this process: mistakes, verdicts, ranges, and what it says of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.repository import Repository

from pytest_resource_hygiene.precommit import cli, staged
from pytest_resource_hygiene.precommit.running import Outcome
from pytest_resource_hygiene.precommit.staged import Change, changed_lines, staged_changes

if TYPE_CHECKING:
    from pathlib import Path

_PASSES = "def test_passes():\n    pass\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A project with a staged test file, in which we stand."""
    repository = Repository(tmp_path / "project")
    repository.write("shop.py", "ONE = 1\nTWO = 2\n")
    repository.commit()
    repository.write("test_it.py", _PASSES)
    monkeypatch.chdir(repository.path)
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "COVERAGE_FILE"):
        monkeypatch.delenv(name, raising=False)
    return repository


def judged(monkeypatch: pytest.MonkeyPatch, outcome: Outcome, *arguments: str) -> int:
    """Run the command, with this as the outcome of pytest."""
    monkeypatch.setattr(cli, "run_tests", lambda *_given, **_more: outcome)
    return cli.main(list(arguments))


@pytest.mark.parametrize(("status", "expected"), [(0, 0), (1, 1), (2, 1), (3, 3), (4, 2), (5, 0)])
def test_what_pytest_says_is_passed_on(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, status: int, expected: int
) -> None:
    """Failures, an interrupt, an internal error, a usage error, and no tests at all."""
    outcome = Outcome(status, False, status == 1, True, [])
    assert judged(monkeypatch, outcome) == expected


def test_tests_that_were_not_run_are_named_up_to_a_number(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of hundreds not all, and the number of the others."""
    names = [f"test_it.py::test_{number}" for number in range(cli._SHOWN + 3)]
    late = Outcome(2, True, False, True, names)

    assert judged(monkeypatch, late, "--time-box=1") == 0
    out = capsys.readouterr().out
    assert f"the time box of 1 s is used up, {len(names)} tests not run:" in out
    assert f"  {names[cli._SHOWN - 1]}\n  … and 3 more\n" in out
    assert names[cli._SHOWN] not in out

    assert judged(monkeypatch, late, "--on-timeout=fail") == 1
    assert judged(monkeypatch, replace(late, failed=True)) == 1
    capsys.readouterr()
    judged(monkeypatch, Outcome(2, True, False, False, []), "--time-box=1")
    assert "used up before pytest knew its tests: none was run" in capsys.readouterr().out


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan", "86401"])
def test_a_time_box_that_is_none(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, with what is valid."""
    with pytest.raises(SystemExit) as ended:
        cli.main([f"--time-box={seconds}"])

    assert ended.value.code == 2
    assert "is no number of seconds above 0, up to 86400" in capsys.readouterr().err


def test_a_record_that_was_named_must_be_there(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """The default one may be missing."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--coverage-file=none.db"])

    assert ended.value.code == 2
    assert "--coverage-file: there is no file 'none.db'" in capsys.readouterr().err


def test_a_record_that_is_none_is_told_and_left_out(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The changed test files are run all the same."""
    (repository.path / "notes.db").write_text("no record")
    clean = Outcome(0, False, False, True, [])

    assert judged(monkeypatch, clean, "--coverage-file", "notes.db") == 0
    out = capsys.readouterr().out
    assert "; only changed test files are run\n" in out
    assert "running test_it.py" in out


def test_without_git_it_says_so(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 3: trouble of the machine, not of the commit."""
    monkeypatch.setenv("PATH", str(repository.path))

    assert cli.main([]) == 3
    assert "resource-hygiene: git cannot be run: No such file" in capsys.readouterr().err


def test_an_interrupt_has_the_status_of_a_shell(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no traceback."""

    def interrupted(*_given: object, **_more: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run_tests", interrupted)
    assert cli.main([]) == 130


def test_many_files_are_not_all_named(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five, and an ellipsis."""
    for number in range(7):
        repository.write(f"test_{number}.py", _PASSES)

    judged(monkeypatch, Outcome(0, False, False, True, []))
    line = capsys.readouterr().out.splitlines()[0]
    assert line.endswith(" …")
    assert line.count(".py") == 5


def test_a_copy_is_a_new_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Git tells of copies where it is configured to; the original has not changed."""
    told = b"C100\0a.py\0b.py\0R100\0c.py\0d.py\0"
    monkeypatch.setattr(staged, "_git", lambda *_arguments, **_more: told)

    assert staged_changes(tmp_path) == [Change(None, "b.py"), Change("c.py", "d.py")]


def test_every_kind_of_change_is_read(repository: Repository) -> None:
    """Added, changed, deleted, renamed; and the lines as the last commit numbers them."""
    repository.write("gone.py", "GONE = 1\n")
    repository.write("old.py", "A = 1\nB = 2\nC = 3\nD = 4\n")
    repository.commit()
    repository.write("new.py", "NEW = 1\n")
    repository.write("shop.py", "ONE = 1\nTWO = 3\n")
    repository.git("rm", "--quiet", "gone.py")
    repository.git("mv", "old.py", "moved.py")
    repository.write("moved.py", "A = 1\nB = 2\nMORE = 0\nC = 3\nD = 4\n")

    changes = staged_changes(repository.path)
    assert set(changes) == {
        Change(None, "new.py"),
        Change("shop.py", "shop.py"),
        Change("gone.py", None),
        Change("old.py", "moved.py"),
    }
    lines = {change: changed_lines(change, repository.path) for change in changes}
    assert lines[Change(None, "new.py")] == set()
    assert lines[Change("shop.py", "shop.py")] == {2}
    assert lines[Change("gone.py", None)] == {1}
    assert lines[Change("old.py", "moved.py")] == {2, 3}


def test_a_range_of_commits_is_compared_instead(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``pre-commit run --from-ref … --to-ref …`` asks for."""
    first = repository.git("rev-parse", "HEAD").strip()
    second = repository.commit()
    repository.write("test_staged.py", _PASSES)
    monkeypatch.setenv("PRE_COMMIT_FROM_REF", first)
    monkeypatch.setenv("PRE_COMMIT_TO_REF", second)

    assert staged_changes(repository.path) == [Change(None, "test_it.py")]
