"""The hook's command by itself: what it runs for which change, and what it says and returns."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest
from support.repository import Repository

from pytest_resource_hygiene.precommit.contexts import test_of as named_by
from pytest_resource_hygiene.precommit.selection import select
from pytest_resource_hygiene.precommit.staged import Change

if TYPE_CHECKING:
    from pathlib import Path

_PASSES = "def test_passes():\n    pass\n"
_SHOP = "def price():\n    return 1\n\n\ndef stock():\n    return 2\n"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A project with one commit."""
    repository = Repository(tmp_path / "project")
    repository.write("pytest.ini", "[pytest]\naddopts = -p no:cacheprovider\n")
    repository.commit()
    return repository


def run(repository: Repository, *arguments: str) -> subprocess.CompletedProcess[str]:
    return repository.run(
        *(sys.executable, "-m", "pytest_resource_hygiene.precommit", *arguments),
        PYTHONSAFEPATH="",
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )


def test_nothing_staged_is_nothing_to_run(repository: Repository) -> None:
    """Success, and a line."""
    done = run(repository)

    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing to run" in done.stdout


def test_a_changed_conftest_runs_what_is_below_it(repository: Repository) -> None:
    """All tests of its folder, and none beside it."""
    repository.write("a/test_a.py", _PASSES)
    repository.write("b/test_b.py", _PASSES)
    repository.commit()
    repository.write("a/conftest.py", "import os\n")

    done = run(repository, "a/conftest.py")

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_a_renamed_test_file_runs_by_its_new_name(repository: Repository) -> None:
    """The old name is not looked for."""
    repository.write("test_old.py", _PASSES)
    repository.commit()
    repository.git("mv", "test_old.py", "test_new.py")

    done = run(repository)

    assert done.returncode == 0, done.stdout
    assert "running test_new.py" in done.stdout
    assert "1 passed" in done.stdout


def test_a_file_without_tests_is_no_failure(repository: Repository) -> None:
    """Pytest's status 5 is told as what it is."""
    repository.write("test_empty.py", "")

    done = run(repository)

    assert done.returncode == 0, done.stdout
    assert "found no test" in done.stdout


def test_a_failing_test_and_a_leaking_one_fail(repository: Repository) -> None:
    """Both are the status 1."""
    repository.write("test_fails.py", "def test_fails():\n    assert False\n")
    assert run(repository).returncode == 1

    repository.git("rm", "-f", "--quiet", "test_fails.py")
    leak = "import atexit\n\n\ndef test_leaks():\n    atexit.register(print, '')\n"
    repository.write("test_leaks.py", leak)
    assert run(repository).returncode == 1


def test_arguments_go_to_pytest(repository: Repository) -> None:
    """Values that look like anything are not taken for files, up to ``--``."""
    repository.write("test_two.py", _PASSES + "\n\ndef test_other():\n    pass\n")

    done = run(repository, "-k", "other", "--", "test_two.py")

    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 deselected" in done.stdout


def test_a_mistake_for_pytest_is_a_mistake_for_us(repository: Repository) -> None:
    """An option that pytest does not know ends with 2."""
    repository.write("test_one.py", _PASSES)

    assert run(repository, "--no-such-option").returncode == 2
    assert run(repository, "--time-box=soon").returncode == 2


def test_outside_of_a_repository(tmp_path: Path) -> None:
    """Git's own words, no traceback, status 3."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest_resource_hygiene.precommit"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 3
    assert "not a git repository" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_holds_no_tests_is_not_run(repository: Repository) -> None:
    """What pytest would not collect is no test file, staged or given."""
    repository.write("shop.py", _SHOP)
    repository.write("test_shop.py", _PASSES)
    changes = [Change(None, "shop.py"), Change(None, "test_shop.py")]
    chosen = select(["shop.py"], changes, repository.path)

    assert chosen.whole == ["test_shop.py"]


def test_a_test_that_uses_git_meets_nothing_of_the_hooks(repository: Repository) -> None:
    """Git tells hooks where its index is; in a folder of the test's own that is another's."""
    repository.write(
        "test_git.py",
        "import os\ndef test_git(): assert not {n for n in os.environ if n.startswith('GIT_IN')}\n",
    )
    index = str(repository.path / ".git" / "index")
    done = repository.run(
        *(sys.executable, "-m", "pytest_resource_hygiene.precommit"),
        PYTHONSAFEPATH="", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", GIT_INDEX_FILE=index,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_names_that_need_quoting(repository: Repository) -> None:
    """Blanks, quotes, umlauts and a leading dash disturb neither git nor pytest."""
    for name in ('test_ä "b" c.py', "-x_test.py", "@at_test.py", "-d/test_below.py"):
        repository.write(name, _PASSES)

    done = run(repository)

    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


def test_when_the_time_is_up_it_says_what_was_not_run(repository: Repository) -> None:
    """A test that hangs is ended; those behind it are named."""
    hangs = "import time\n\n\ndef test_hangs():\n    time.sleep(600)\n"
    repository.write(
        "test_slow.py", _PASSES + "\n\n" + hangs + "\n\ndef test_behind():\n    pass\n"
    )

    done = run(repository, "--time-box=6")

    assert done.returncode == 0, done.stdout
    told = done.stdout.partition("is used up, 2 tests not run:")[2]
    assert told.split()[:2] == ["test_slow.py::test_hangs", "test_slow.py::test_behind"]


def test_a_time_box_that_is_used_up_can_be_a_failure(repository: Repository) -> None:
    """No test is begun in no time, and that is the status that was asked for."""
    repository.write("test_one.py", _PASSES)

    done = run(repository, "--time-box=0.001", "--on-timeout=fail")

    assert done.returncode == 1, done.stdout
    assert "the time box of 0.001 s" in done.stdout


def recorded(repository: Repository) -> None:
    """Run all tests under coverage, with the test as context."""
    repository.write(".coveragerc", "[run]\ndynamic_context = test_function\n")
    repository.run(sys.executable, "-m", "coverage", "run", "-m", "pytest", "-q", check=True)


def test_changed_lines_bring_the_tests_that_ran_them(repository: Repository) -> None:
    """Of two tests in a file that is not staged only the one that runs the changed function."""
    repository.write("shop.py", _SHOP)
    tests = (
        "import shop\n\n\ndef test_price():\n    assert shop.price()\n\n\n"
        "def test_stock():\n    assert shop.stock()\n"
    )
    repository.write("test_shop.py", tests)
    recorded(repository)
    repository.write(".gitignore", ".coverage*\n__pycache__\n")
    repository.commit()
    repository.write("shop.py", _SHOP.replace("return 2", "return 3"))

    done = run(repository, "shop.py")

    assert done.returncode == 0, done.stdout
    assert "1 test that ran the changed lines" in done.stdout
    assert "1 passed, 1 deselected" in done.stdout


def test_a_record_of_another_program_is_told(repository: Repository) -> None:
    """A file that coverage cannot read is no reason to fail."""
    (repository.path / ".coverage").write_text("no database", encoding="utf-8")
    repository.write("test_one.py", _PASSES)

    done = run(repository, "--coverage-file", ".coverage")

    assert done.returncode == 0, done.stdout
    assert ".coverage cannot be read" in done.stdout


def test_contexts_of_both_recorders_name_tests(tmp_path: Path) -> None:
    """pytest-cov writes ids, coverage itself writes modules."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").touch()

    assert named_by("tests/test_a.py::test_b[1]|run", tmp_path) == "tests/test_a.py::test_b[1]"
    assert named_by("tests.test_a.TestC.test_b", tmp_path) == "tests/test_a.py::TestC::test_b"
    assert named_by("", tmp_path) == ""
    assert named_by("of.another.program", tmp_path) == ""


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_hook_that_is_ended_takes_its_tests_along(
    repository: Repository, number: signal.Signals
) -> None:
    """A cancelled job must not leave pytest behind, which runs in a session of its own."""
    waits = """\
        import os
        import signal
        import sys


        def test_waits():
            print("pid", os.getpid(), file=sys.stderr, flush=True)
            signal.pause()
    """
    repository.write("test_waits.py", waits)
    with subprocess.Popen(
        [sys.executable, "-m", "pytest_resource_hygiene.precommit", "-s"],
        cwd=repository.path, env=repository.environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    ) as hook:  # fmt: skip
        assert hook.stderr is not None
        line = next(line for line in hook.stderr if line.startswith("pid "))
        pytest_itself = psutil.Process(int(line.split()[1]))
        hook.send_signal(number)

        assert hook.wait(60) == 128 + number
    assert not pytest_itself.is_running()


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
def test_a_test_that_will_not_end_is_ended_with_its_children(repository: Repository) -> None:
    """It ignores the interrupt, and its child would sleep on: both are gone afterwards."""
    deaf = """\
        import pathlib
        import signal
        import subprocess
        import sys
        import time


        def test_is_deaf():
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            pathlib.Path("pid").write_text(str(child.pid))
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            time.sleep(600)
    """
    repository.write("test_deaf.py", deaf)

    done = run(repository, "--time-box=4", "--on-timeout=fail")

    assert done.returncode == 1, done.stdout
    assert "test_deaf.py::test_is_deaf" in done.stdout
    pid = int((repository.path / "pid").read_text(encoding="utf-8"))
    with contextlib.suppress(psutil.NoSuchProcess):  # its new parent may not have reaped it yet
        psutil.Process(pid).wait(10)
