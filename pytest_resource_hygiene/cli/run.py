"""``run``: a command line under the checks."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_resource_hygiene.cli.commands import Command, python_of, sort_command
from pytest_resource_hygiene.cli.completion import complete_files
from pytest_resource_hygiene.cli.exits import Exit
from pytest_resource_hygiene.cli.files import load
from pytest_resource_hygiene.errors import SettingsError
from pytest_resource_hygiene.grace import read_grace
from pytest_resource_hygiene.kind_choice import choose_kinds
from pytest_resource_hygiene.trackers import default_kinds, kind_names

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["add_to"]

_ABOUT = """\
Runs a command under the checks.

  pytest ...           with the plugin switched on; leaks fail their tests
  script.py ...        and `python script.py`, `python -m module`, `python -c code`, and console
                       scripts: judged when the program's code has ended
  tox, make, uv run pytest, coverage run -m pytest ...
                       every pytest that they start gets the plugin, through PYTEST_ADDOPTS

A command that is not Python cannot be looked into. If it starts no pytest that has the plugin,
that is said, and the status is 3: nothing was checked.
"""
_EPILOG = """\
exit status: 0 clean; 1 leaks, or tests that fail; 2 usage; 3 trouble of ours.
A program that fails by itself keeps its own status.
"""
# What pytest's own statuses mean here: interrupted or not collected; usage; no test at all.
_PYTEST_STATUS = {2: Exit.LEAKS, 3: Exit.TROUBLE, 4: Exit.USAGE, 5: Exit.USAGE}

_HAS_PLUGIN = (
    "import sys; from importlib.metadata import entry_points; "
    "sys.exit(not entry_points(group='pytest11', name='resource_hygiene'))"
)


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "run", help="run pytest, a script or any command under the checks", description=_ABOUT,
        epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
        usage="resource-hygiene run [options] -- COMMAND [ARGUMENT ...]",
    )  # fmt: skip
    parser.add_argument(
        "--mode", choices=("fail", "report"), default="fail",
        help="report: show leaks, and fail for none (default: fail)",
    )  # fmt: skip
    parser.add_argument(
        "--kinds", metavar="KINDS", default="",
        help="kinds to watch, comma-separated: names, 'default', 'all', '+kind' and '-kind' "
        "(default: all that are on by default)",
    )  # fmt: skip
    parser.add_argument(
        "--grace", metavar="SECONDS", type=_seconds, default=None,
        help="how long a suspect may take to go by itself (default: 0.5)",
    )  # fmt: skip
    complete_files(
        parser.add_argument("--json", metavar="FILE", help="write everything for machines")
    )
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command")
    parser.set_defaults(act=_act)


def _seconds(text: str) -> float:
    try:
        return read_grace(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not valid; {error}") from None


def _act(arguments: argparse.Namespace) -> int:
    words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if not words:
        raise SettingsError("run: which command? For example: resource-hygiene run -- pytest tests")
    command = sort_command(words)
    if command.sort == "pytest":
        return _run_pytest(command, arguments)
    if command.sort == "program":
        _check_kinds(arguments.kinds)
        return _run_program(command, arguments)
    return _run_other(command, arguments)


def _pytest_options(arguments: argparse.Namespace) -> list[str]:
    options = ["-p", "resource_hygiene", f"--resource-hygiene={arguments.mode}"]
    if arguments.kinds:
        options.append(f"--resource-hygiene-kinds={arguments.kinds}")
    if arguments.grace is not None:
        options.append(f"--resource-hygiene-grace={arguments.grace}")
    if arguments.json:
        options.append(f"--resource-hygiene-json={Path(arguments.json).absolute()}")
    return options


def _check_kinds(text: str) -> None:
    try:
        choose_kinds(text, default_kinds(), frozenset(kind_names()))
    except ValueError as error:
        raise SettingsError(f"--kinds: {error}") from None


def _run_pytest(command: Command, arguments: argparse.Namespace) -> int:
    python = python_of(command)
    if python is not None and not _succeeds([*python, "-c", _HAS_PLUGIN]):
        raise SettingsError(
            f"run: {python[0]}, on which this pytest runs, lacks pytest-resource-hygiene. "
            "Install it there, or give `python -m pytest` of an environment that has it."
        )
    status = _call([*command.head, *_pytest_options(arguments), *command.tail])
    return _PYTEST_STATUS.get(status, status)


def _run_program(command: Command, arguments: argparse.Namespace) -> int:
    head = list(command.head)
    if not _succeeds([*head, "-c", "import pytest_resource_hygiene"]):
        raise SettingsError(
            f"run: {head[0]} cannot import pytest_resource_hygiene. "
            "Install pytest-resource-hygiene into its environment, and run it from there."
        )
    with tempfile.TemporaryDirectory(prefix="resource-hygiene-") as folder:
        judged = Path(folder, "judged")
        options = ["--judged", str(judged), "--mode", arguments.mode, f"--kinds={arguments.kinds}"]
        if arguments.grace is not None:
            options += ["--grace", str(arguments.grace)]
        if arguments.json:
            options += ["--json", str(Path(arguments.json).absolute())]
        script = [*head, "-m", "pytest_resource_hygiene.cli.script", *options, "--"]
        status = _call([*script, *command.target, *command.tail])
        if not judged.exists():
            print(
                "resource-hygiene run: nothing was checked: the program ended before it could be "
                "judged, by a signal, os._exit() or an exec function.",
                file=sys.stderr,
            )
            return status or Exit.TROUBLE
    return status


def _succeeds(test: list[str]) -> bool:
    """Run a test of another Python; ours, or one beside it, needs none."""
    found = shutil.which(test[0])
    if found is not None and Path(found).parent == Path(sys.executable).parent:
        return True
    try:
        return subprocess.run(test, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _run_other(command: Command, arguments: argparse.Namespace) -> int:
    """Hand the options to every pytest below, and demand a sign that there was one."""
    with tempfile.TemporaryDirectory(prefix="resource-hygiene-") as folder:
        report = Path(arguments.json).absolute() if arguments.json else Path(folder, "report.json")
        before = report.stat().st_mtime_ns if report.exists() else 0
        options = [*_pytest_options(arguments), f"--resource-hygiene-json={report}"]
        added = f"{os.environ.get('PYTEST_ADDOPTS', '')} {shlex.join(options)}".strip()
        status = _call(list(command.head), {**os.environ, "PYTEST_ADDOPTS": added})
        if not report.exists() or report.stat().st_mtime_ns == before:
            print(
                f"resource-hygiene run: nothing was checked: {command.head[0]!r} is not Python, and "
                "started no pytest that has the plugin and the variable PYTEST_ADDOPTS.",
                file=sys.stderr,
            )
            return status or Exit.TROUBLE
        leaked = load(report)["summary"]["leaked_tests"]
    return status or (Exit.LEAKS if leaked and arguments.mode == "fail" else Exit.CLEAN)


def _call(words: list[str], env: dict[str, str] | None = None) -> int:
    """Run a child with our own terminal; Ctrl-C reaches it as well, and we wait for its end."""
    sys.stdout.flush()
    try:
        child = subprocess.Popen(words, env=env)
    except OSError as error:
        raise SettingsError(f"run: {words[0]!r} cannot be started: {error.strerror}.") from None
    with child, _forwarded(child):
        interrupted = False
        while True:
            try:
                status = child.wait()
            except KeyboardInterrupt:  # the terminal has told the child as well
                interrupted = True
                continue
            if interrupted:
                return Exit.INTERRUPTED
            return 128 - status if status < 0 else status


@contextmanager
def _forwarded(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Hand on a request to end, as CI services send one: the child must not outlive us."""

    def end(_number: int, _frame: object) -> None:
        child.terminate()

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
