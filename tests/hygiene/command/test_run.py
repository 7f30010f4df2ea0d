"""``resource-hygiene run``: pytest, programs, and commands that are neither."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_resource_hygiene.cli.commands import sort_command
from pytest_resource_hygiene.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = sys.executable
LEAKS = "import os\nos.pipe()\n"


def run(folder: Path, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, with nothing of our own run in its environment."""
    strangers = ("PYTEST_", "RESOURCE_HYGIENE")
    env = {name: value for name, value in os.environ.items() if not name.startswith(strangers)}
    env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "NO_COLOR": "1", "PYTHONSAFEPATH": "", **more}
    return subprocess.run(
        [PYTHON, "-m", "pytest_resource_hygiene", "run", *args], cwd=folder, env=env,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with programs, a package and tests."""
    files = {
        "leaks.py": "import socket, sys\nKEPT = socket.socket()\nprint(sys.argv)\nsys.exit(0)\n",
        "clean.py": "import atexit, signal, sys\natexit.register(print, 'bye')\n"
        "signal.signal(signal.SIGTERM, print)\nprint(sys.argv, __name__, __file__, sys.path[0])\n",
        "fails.py": "import os\nos.pipe()\nraise SystemExit(7)\n",
        "wraps.py": "import os\nos.pipe()\nraise SystemExit(256)\n",
        "raises.py": "def inner():\n    raise ValueError('mine')\ninner()\n",
        "pkg/__init__.py": "",
        "pkg/__main__.py": "import sys\nfrom . import other\nprint(sys.argv[1:], __package__)\n",
        "pkg/other.py": LEAKS,
        "test_leaks.py": "import os\ndef test_leaks(): os.pipe()\ndef test_clean(): pass\n",
        "test_clean.py": "def test_clean(): pass\n",
        "pytest.ini": "[pytest]\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_a_program_that_leaks_is_judged_when_its_code_has_ended(folder: Path) -> None:
    """Status 1, the finding on standard error, the program's own output as it is, a valid report."""
    done = run(folder, "--grace", "0", "--json", "r.json", "--", "leaks.py", "a", "--b")
    report = json.loads((folder / "r.json").read_text(encoding="utf-8"))

    assert done.returncode == 1, done.stderr
    assert done.stdout == "['leaks.py', 'a', '--b']\n"
    assert "made     leaks.py:2 in <module>" in done.stderr
    assert "resource hygiene: 1 leak" in done.stderr
    assert [one["kind"] for one in report["findings"] if one["severity"] == "fail"] == ["sockets"]


@pytest.mark.parametrize("safe_path", ["", "1"])
def test_a_clean_program_runs_as_it_would_alone(folder: Path, safe_path: str) -> None:
    """Its name, arguments, file and path are those of a plain run; what ends at exit is no leak."""
    env = os.environ | {"PYTHONSAFEPATH": safe_path}
    alone = subprocess.run(
        [PYTHON, "clean.py", "x"], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    done = run(folder, "--", PYTHON, "-X", "dev", "clean.py", "x", PYTHONSAFEPATH=safe_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout == alone.stdout
    assert "0 leaks, 2 notes" in done.stderr
    assert run(folder, "--kinds", "atexit", "--", "clean.py").returncode == 1


def test_modules_and_code_run_too(folder: Path) -> None:
    """``-m`` and ``-c`` are judged as files are."""
    module = run(folder, "--grace", "0", "--", PYTHON, "-m", "pkg", "x")
    code = run(folder, "--grace", "0", "--", PYTHON, "-c", LEAKS)

    assert module.stdout == "['x'] pkg\n"
    assert module.returncode == 0  # what a module makes while it is imported is its own
    assert "1 note" in module.stderr
    assert code.returncode == 1
    assert "fds: 2 x pipe" in code.stderr


def test_a_program_that_fails_keeps_its_status_and_its_traceback(folder: Path) -> None:
    """Its own failure comes first, leaks are told all the same, and no frame of ours is shown."""
    fails = run(folder, "--grace", "0", "--", "fails.py")
    raises = run(folder, "--", "raises.py")
    wraps = run(folder, "--grace", "0", "--", "wraps.py")  # of which the system keeps a byte: 0

    assert fails.returncode == 7
    assert "fds: 2 x pipe" in fails.stderr
    assert wraps.returncode == 1
    assert raises.returncode == 1
    assert "ValueError: mine" in raises.stderr
    assert "pytest_resource_hygiene" not in raises.stderr


def test_no_frame_of_ours_is_shown_of_a_program_that_does_not_compile(folder: Path) -> None:
    """A mistake in the program's syntax is shown as Python alone shows it."""
    (folder / "broken.py").write_text("x = (\n", encoding="utf-8")
    done = run(folder, "--", "broken.py")

    assert done.returncode == 1
    assert "SyntaxError" in done.stderr
    assert "cli/script" not in done.stderr


@pytest.mark.parametrize("words", [("sub/clean.py",), (PYTHON, "-m", "pkg"), ("pkg",)])
def test_what_we_set_up_for_a_program_is_none_of_its_leaks(
    folder: Path, words: tuple[str, ...]
) -> None:
    """``__main__`` and the first entry of ``sys.path`` are as the interpreter would have made them."""
    (folder / "sub").mkdir()
    (folder / "sub/clean.py").write_text("", encoding="utf-8")
    (folder / "pkg/__main__.py").write_text("", encoding="utf-8")
    done = run(folder, "--grace", "0", "--kinds", "environment", "--", *words)

    assert done.returncode == 0, done.stderr
    assert "0 leaks\n" in done.stderr


def test_a_program_may_remove_the_folder_that_it_is_in(folder: Path) -> None:
    """Paths are shown from where it was started."""
    (folder / "moves.py").write_text(
        "import os, tempfile\nos.chdir(tempfile.mkdtemp())\nos.rmdir(os.getcwd())\nos.pipe()\n",
        encoding="utf-8",
    )
    done = run(folder, "--grace", "0", "--", "moves.py")

    assert done.returncode == 1
    assert "made     moves.py:4 in <module>" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_program_that_ends_before_it_is_judged_does_not_pass(folder: Path) -> None:
    """``os._exit`` skips everything, ours too; a forked child that comes to its end judges nothing."""
    (folder / "hard.py").write_text("import os\nos.pipe()\nos._exit(0)\n", encoding="utf-8")
    (folder / "forks.py").write_text("import os\nif os.fork():\n    os.wait()\n", encoding="utf-8")
    hard = run(folder, "--", "hard.py")
    forks = run(folder, "--", "forks.py")

    assert hard.returncode == 3
    assert "nothing was checked" in hard.stderr
    assert forks.returncode == 0
    assert forks.stderr == "resource hygiene: 0 leaks\n"


def test_a_fault_of_ours_is_no_pass(folder: Path) -> None:
    """A tracker that fails is named, and the status is 3: of its kind nothing is known."""
    breaks = (
        "from pytest_resource_hygiene.trackers.fds import FdTracker\n"
        "def fails(self, moment): raise ValueError('broken')\n"
        "FdTracker.list_resources = fails\n" + LEAKS
    )
    done = run(folder, "--grace", "0", "--", PYTHON, "-c", breaks)

    assert done.returncode == 3, done.stderr
    assert "resource hygiene: tracker 'fds' failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_kinds_are_written_as_for_the_plugin(folder: Path) -> None:
    """``all``, and what is added to or taken from the default; callbacks are notes unless named.

    A kind that is off by default and was asked for fails.
    """
    sets = (PYTHON, "-c", "import os; os.environ['OF_A_TEST'] = '1'")
    more = run(folder, "--grace", "0", "--kinds=+environment", "--", *sets)
    less = run(folder, "--grace", "0", "--kinds=-sockets,-fds", "--", "leaks.py")
    everything = run(folder, "--grace", "0", "--kinds", "all", "--", "clean.py")

    assert more.returncode == 1
    assert "environment variable OF_A_TEST set" in more.stderr
    assert less.returncode == 0, less.stderr
    assert everything.returncode == 0, everything.stderr
    assert "0 leaks, 2 notes" in everything.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for another Python")
def test_a_pytest_without_the_plugin_is_told(folder: Path) -> None:
    """One sentence that says which interpreter lacks it, in place of pytest's traceback."""
    (folder / "python3").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (folder / "pytest").write_text(f"#!{folder}/python3\n", encoding="utf-8")
    for name in ("python3", "pytest"):
        (folder / name).chmod(0o755)
    for words in ((str(folder / "pytest"),), (str(folder / "python3"), "-m", "pytest")):
        done = run(folder, "--", *words)

        assert done.returncode == 2
        assert f"run: {folder}/python3, on which this pytest runs, lacks pytest-" in done.stderr


def test_pytest_runs_with_the_plugin_on(folder: Path) -> None:
    """Under its own name and as a module; leaks are 1, clean is 0, usage is 2, no test is 2."""
    pytest_command = (PYTHON, "-m", "pytest")
    leaks = run(folder, "--grace", "0", "--json", "r.json", "--", *pytest_command, "-q")

    assert leaks.returncode == 1, leaks.stderr
    assert "LEAKED test_leaks.py::test_leaks" in leaks.stdout
    assert json.loads((folder / "r.json").read_text(encoding="utf-8"))["summary"]["tests"] == 3
    assert run(folder, "--", *pytest_command, "test_clean.py").returncode == 0
    assert run(folder, "--", *pytest_command, "--nonsense").returncode == 2
    assert run(folder, "--", *pytest_command, "pkg").returncode == 2
    assert run(folder, "--mode", "report", "--", *pytest_command).returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a shell is needed")
def test_a_command_that_starts_pytest_is_checked_and_any_other_is_told(folder: Path) -> None:
    """Behind a shell the plugin is switched on; where nothing was checked, the status is 3."""
    script = f"{PYTHON} -m pytest -q"
    leaks = run(folder, "--grace", "0", "--json", "r.json", "--", "sh", "-c", script)
    report = run(folder, "--grace", "0", "--mode", "report", "--", "sh", "-c", script)
    clean = run(folder, "--", "sh", "-c", f"{script} test_clean.py")
    nothing = run(folder, "--json", "r.json", "--", "true")  # the report there is an older run's

    assert report.returncode == 0, report.stderr
    assert "leaked (report only)" in report.stdout
    assert leaks.returncode == 1, leaks.stderr
    assert "LEAKED" in leaks.stdout
    assert clean.returncode == 0, clean.stderr
    assert nothing.returncode == 3
    assert "nothing was checked" in nothing.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals are needed")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_request_to_end_reaches_the_child(
    folder: Path, number: signal.Signals, status: int
) -> None:
    """What CI or Ctrl-C ends is ended with its child, and says so by its status."""
    (folder / "waits.py").write_text(
        "import os, signal, sys\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "print(os.getpid(), flush=True)\nsignal.pause()\n",
        encoding="utf-8",
    )
    command = [PYTHON, "-m", "pytest_resource_hygiene", "run", "--", "waits.py"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)

        assert process.wait(60) == status
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "which command?"),
        (("--", "no-such-command"), "there is no command 'no-such-command'"),
        (("--", PYTHON), "standard input"),
        (("--", PYTHON, "no_such.py"), "there is no file 'no_such.py'"),
        (("--kinds", "threds", "--", "clean.py"), "unknown kind 'threds'"),
        (("--grace", "long", "--", "clean.py"), "seconds from 0 to 3600"),
        (("--", PYTHON, "-m", "no_such_module"), "there is no module 'no_such_module'"),
        (("--json", "pytest.ini/x", "--", "clean.py"), "--json"),
    ],
)
def test_a_mistake_is_one_line(folder: Path, words: tuple[str, ...], told: str) -> None:
    """Status 2, what is wrong, and no traceback."""
    done = run(folder, *words)

    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_console_scripts_are_sorted_by_their_first_line(tmp_path: Path) -> None:
    """A script of pip's is a program of the interpreter that it names; a shell script is not."""
    for name, text in {
        "plain": f"#!{PYTHON}\n",
        "long": f"#!/bin/sh\n'''exec' \"{PYTHON}\" \"$0\" \"$@\"\n' '''\n",
        "shell": "#!/bin/sh\necho\n",
        "env": "#!/usr/bin/env python3\n",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)

    assert sort_command([str(tmp_path / "plain"), "x"]).head == (PYTHON,)
    assert sort_command([str(tmp_path / "long"), "x"]).head == (PYTHON,)
    assert sort_command([str(tmp_path / "shell")]).sort == "other"
    assert sort_command([str(tmp_path / "env")]).head == (shutil.which("python3"),)
    # As `coverage run -m pytest`: what it starts is pytest's, and not ours to look into.
    assert sort_command([str(tmp_path / "plain"), "run", "-m", "pytest"]).sort == "other"
    assert sort_command([PYTHON, "-m", "coverage", "run", "-m", "pytest"]).sort == "other"
    assert sort_command([PYTHON, "-W", "error", "-m", "pytest", "x"]).tail == ("x",)
    with pytest.raises(SettingsError, match="needs an argument"):
        sort_command([PYTHON, "-m"])
