"""The command as a whole: help, kinds, selftest, explain, completion, progress."""

from __future__ import annotations

import io
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_resource_hygiene import __version__
from pytest_resource_hygiene.cli import gate
from pytest_resource_hygiene.cli.main import main, make_parser
from pytest_resource_hygiene.cli.progress import progress
from pytest_resource_hygiene.pages import documented_kinds, kind_page, kind_sentence
from pytest_resource_hygiene.trackers import kind_names

COMMANDS = ("run", "gate", "report", "kinds", "selftest", "explain")


def command(*args: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run it in a process of its own, after some code where that is wanted."""
    start = ["-m", "pytest_resource_hygiene"]
    if code:
        start = ["-c", (f"{code}\nimport sys\nfrom pytest_resource_hygiene.cli.main import main\n"
                 "sys.exit(main(sys.argv[1:]))")]  # fmt: skip
    strict = [sys.executable, "-bb", "-W", "error"]
    return subprocess.run([*strict, *start, *args], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_worth_reading(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each says what it does, and every option of it says what it is for."""
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    out = capsys.readouterr().out

    assert end.value.code == 0
    assert len(out.split()) > 30
    parser = make_parser()._subparsers._group_actions[0].choices[name]  # type: ignore[union-attr,index]
    assert [one.dest for one in parser._actions if not one.help] == []


def test_the_first_help_names_commands_statuses_and_examples(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whoever types ``--help`` sees all commands, what the statuses mean, and lines to copy."""
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out

    for name in COMMANDS:
        assert f"    {name} " in out
    assert "exit status:" in out
    for line in out.partition("examples:")[2].strip().splitlines():
        make_parser().parse_args(line.split()[1:])
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"resource-hygiene {__version__}\n"


@pytest.mark.parametrize(
    "words", [[], ["gates"], ["gate"], ["gate", "a", "b"], ["explain", "thread"], ["--verison"],
              ["report", "x", "-f", "pdf"], ["report", "x", "--form", "sarif"]]
)  # fmt: skip
def test_typos_are_usage_errors(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2 and a sentence."""
    with pytest.raises(SystemExit) as end:
        main(words)

    assert end.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_every_kind_is_seen_on_a_linux_machine() -> None:
    """The self test tries all kinds, with a time for each, and leaves no warning behind."""
    done = command("selftest")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    lines = {line.split()[0]: line for line in done.stdout.splitlines()[:-1]}
    if sys.platform == "linux":
        assert {kind for kind, line in lines.items() if line.endswith("seen")} == set(kind_names())
    assert done.stdout.splitlines()[-1].startswith(f"{len(kind_names())} kinds in ")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("fds", ("from pytest_resource_hygiene.trackers.fds import FdTracker as T\n"
         "T.list_resources = lambda self, moment: {}")),
        ("tasks", ("from pytest_resource_hygiene.trackers.tasks import TaskTracker as T\n"
         "T.list_resources = lambda self, moment: {}; T.drain = lambda self: ()")),
        ("memory", "import sys\nsys.getallocatedblocks = lambda: 7"),
    ],
)  # fmt: skip
def test_a_blind_kind_fails_the_self_test(kind: str, code: str) -> None:
    """A tracker that sees nothing is found out: status 3, and the kind by name."""
    done = command("selftest", code=code)

    assert done.returncode == 3, done.stdout + done.stderr
    assert f"blind here: {kind}\n" in done.stderr
    kinds = command("kinds", "--json", code=code)
    assert [one["kind"] for one in json.loads(kinds.stdout) if one["blind_spots"]] == [kind]


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is needed")
@pytest.mark.parametrize("name", ["kinds", "selftest", "explain"])
def test_output_that_cannot_be_written_is_no_fault_of_ours(name: str) -> None:
    """A full disk is one sentence and status 2; a closed stream takes all, and changes nothing."""
    words = [name, "fds"] if name == "explain" else [name]
    line = [sys.executable, "-m", "pytest_resource_hygiene", *words]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *line], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (
        2,
        "resource-hygiene: no space left for the output.\n",
    )
    assert (closed.returncode, closed.stderr) == (0, "")


def test_kinds_are_listed_with_what_they_do() -> None:
    """Each kind, what a leak of it does by default, and its sentence; the same for machines."""
    done = command("kinds")
    rows = json.loads(command("kinds", "--json").stdout)

    assert done.returncode == 0, done.stderr
    assert [row["kind"] for row in rows] == list(kind_names())
    for row in rows:
        line = next(line for line in done.stdout.splitlines() if line.startswith(row["kind"]))
        assert line.endswith(row["what"])
        assert row["what"]


@pytest.mark.parametrize("kind", kind_names())
def test_every_kind_is_explained(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The page of the docs, without what only a browser could use."""
    assert main(["explain", kind]) == 0
    out = capsys.readouterr().out

    assert out.startswith(f"# {kind}\n")
    assert "## A leak, and how to close it" in out
    assert "<!--" not in out
    assert "](" not in out
    assert kind_sentence(kind) in " ".join(out.split())
    assert out == kind_page(kind)


def test_pages_and_kinds_are_the_same() -> None:
    """Every built-in kind has its page in the package."""
    assert documented_kinds() == kind_names()


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_is_a_script_of_the_shell(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shell itself accepts it, where it is installed; it knows our commands and formats."""
    with pytest.raises(SystemExit) as end:
        main(["--print-completion", shell])
    script = capsys.readouterr().out

    assert end.value.code == 0
    for word in (*COMMANDS, "sarif"):
        assert word in script
    if shell != "tcsh" and shutil.which(shell):
        done = subprocess.run(
            [shell, "-n"], input=script, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_without_its_library_completion_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The extra is named; nothing else needs it."""
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as end:
        main(["--print-completion", "bash"])

    assert end.value.code == 2
    assert "pytest-resource-hygiene[completion]" in capsys.readouterr().err


def test_a_fault_of_ours_is_one_line_and_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What nobody thought of is told as ours; Ctrl-C is no fault."""

    def broken(_path: Any) -> Any:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(gate, "load", broken)
    assert main(["gate", "x.json"]) == 3
    assert "own fault: ZeroDivisionError: oops" in capsys.readouterr().err

    def interrupted(_path: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(gate, "load", interrupted)
    assert main(["gate", "x.json"]) == 130


@pytest.mark.skipif(sys.platform == "win32", reason="a shell is needed")
def test_a_reader_that_leaves_is_no_error() -> None:
    """``... | head`` ends quietly."""
    line = f"{sys.executable} -m pytest_resource_hygiene explain fds | head -n 1"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("# fds\n", "")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_appears_after_two_seconds_on_a_terminal_only() -> None:
    """Quick work and pipes see nothing; slow work on a terminal a bar that is wiped at the end."""
    ticks = itertools.count(0, 0.3)
    terminal, pipe = _Terminal(), io.StringIO()

    assert list(progress(range(20), "reading", stream=terminal, clock=lambda: next(ticks)))
    assert "reading [##" in terminal.getvalue()
    assert terminal.getvalue().endswith(" \r")
    assert list(progress(range(20), "reading", stream=pipe, clock=lambda: next(ticks))) == [
        *range(20)
    ]
    assert pipe.getvalue() == ""
    quick = _Terminal()
    assert list(progress([1], "reading", stream=quick, clock=lambda: 0.0)) == [1]
    assert quick.getvalue() == ""


def test_explain_is_readable_in_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Headings are bold, code is indented, and no mark of Markdown is left; a pipe gets the page."""
    assert main(["explain", "signals"]) == 0
    page = capsys.readouterr().out
    assert page == kind_page("signals")

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["explain", "signals"]) == 0
    assert capsys.readouterr().out == page

    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm")
    assert main(["explain", "signals"]) == 0
    shown = capsys.readouterr().out

    assert shown.startswith("\033[1m")
    assert "```" not in shown
    assert "\n#" not in shown
    assert "    \033[2m" in shown
    code = page.split("```")[1].splitlines()[1]
    assert f"    \033[2m{code}\033[0m\n" in shown
