"""The command ``resource-hygiene-precommit``.

Exit status: 0 nothing leaks, or there is nothing to run; 1 a test leaks or fails; 2 a mistake in
the arguments; 3 a fault of this tool or of git. When the time is up before all has been run:
1 if a test had failed by then, else 0, or 1 with ``--on-timeout=fail``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pytest_resource_hygiene._version import __version__
from pytest_resource_hygiene.precommit.contexts import Contexts, ContextsError, read_contexts
from pytest_resource_hygiene.precommit.running import Outcome, run_tests
from pytest_resource_hygiene.precommit.selection import Selection, select
from pytest_resource_hygiene.precommit.staged import GitError, staged_changes, top_folder
from pytest_resource_hygiene.streams import is_full, prepare_streams, silence_output

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

CLEAN, LEAKS, USAGE, TROUBLE = range(4)
_NO_TESTS, _PYTEST_USAGE, _PYTEST_INTERNAL = 5, 4, 3
_SHOWN = 20
_WITH_VALUE = ("--coverage-file", "--test-files", "--time-box", "--on-timeout")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    prepare_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    flags, files = _split(words)
    given, pytest_arguments = _parser().parse_known_args(flags)
    try:
        return _run(given, pytest_arguments, files)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        silence_output()
        return TROUBLE  # the tests may not have been run
    except (GitError, OSError) as error:
        print(f"resource-hygiene: {error}", file=sys.stderr)
        if isinstance(error, OSError) and is_full(error):
            silence_output()
        return TROUBLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="resource-hygiene-precommit",
        usage="%(prog)s [options] [arguments for pytest] [--] [files]",
        description="Runs the tests that belong to the staged files, and fails those that leak.",
        epilog="All other arguments go to pytest. Exit status: 0 clean or nothing to run, 1 leaks or "
        "failures, 2 usage, 3 trouble of this tool or of git.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--time-box",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="begin no test later (60)",
    )
    add(
        "--on-timeout",
        choices=("pass", "fail"),
        default="pass",
        help="what it is when tests were not run for want of time (pass)",
    )
    add(
        "--test-files",
        action="append",
        metavar="PATTERN",
        help="names of test files, any number of times (pytest's setting python_files)",
    )
    add(
        "--coverage-file",
        metavar="FILE",
        help="where coverage recorded which test ran which line (COVERAGE_FILE, or .coverage)",
    )
    add("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0, up to 86400")
    return value


def _split(rest: list[str]) -> tuple[list[str], list[str]]:
    """Part arguments from files: at ``--``, else by which files are there, at the end."""
    if "--" in rest:
        at = rest.index("--")
        return rest[:at], rest[at + 1 :]
    at = len(rest)
    while at and not rest[at - 1].startswith("-") and Path(rest[at - 1]).is_file():
        if at > 1 and rest[at - 2] in _WITH_VALUE:  # the record of coverage is a file, too
            break
        at -= 1
    return rest[:at], rest[at:]


def _run(given: argparse.Namespace, pytest_arguments: list[str], files: list[str]) -> int:
    root = top_folder()
    changes = staged_changes(root)
    selection = select(
        [_from_root(file, root) for file in files],
        changes,
        root,
        patterns=given.test_files or (),
        contexts=_contexts(given, root),
    )
    if not selection.arguments:
        _say("no test belongs to what is staged: nothing to run")
        return CLEAN
    _say(_what(selection))
    outcome = run_tests(selection, pytest_arguments, root, seconds=given.time_box)
    return _judged(outcome, given)


def _from_root(file: str, root: Path) -> str:
    return Path(os.path.relpath(Path(file).resolve(), root.resolve())).as_posix()


def _contexts(given: argparse.Namespace, root: Path) -> Contexts | None:
    name = given.coverage_file or os.environ.get("COVERAGE_FILE") or ".coverage"
    if given.coverage_file and not (root / name).is_file():
        _usage(f"--coverage-file: there is no file {name!r}")
    try:
        return read_contexts(root / name, root)
    except ContextsError as error:
        _say(f"{error}; only changed test files are run")
        return None


def _usage(text: str) -> NoReturn:
    print(f"resource-hygiene: {text}", file=sys.stderr)
    raise SystemExit(USAGE)


def _what(selection: Selection) -> str:
    parts = []
    if selection.whole:
        parts.append(" ".join(selection.whole[:5]) + (" …" if len(selection.whole) > 5 else ""))
    if selection.tests:
        count = len(selection.tests)
        parts.append(f"{count} test{'s' * (count != 1)} that ran the changed lines")
    return "running " + ", and ".join(parts)


def _judged(outcome: Outcome, given: argparse.Namespace) -> int:
    if outcome.timed_out:
        _tell_not_run(outcome, given.time_box)
        return LEAKS if outcome.failed or given.on_timeout == "fail" else CLEAN
    if outcome.status == _NO_TESTS:
        _say("pytest found no test in there: nothing to run")
        return CLEAN
    if outcome.status == _PYTEST_USAGE:
        return USAGE
    if outcome.status == _PYTEST_INTERNAL:
        return TROUBLE
    return CLEAN if outcome.status == 0 else LEAKS


def _tell_not_run(outcome: Outcome, seconds: float) -> None:
    if not outcome.collected:
        _say(
            f"the time box of {seconds:g} s was used up before pytest knew its tests: none was run"
        )
        return
    count = len(outcome.not_run)
    _say(f"the time box of {seconds:g} s is used up, {count} test{'s' * (count != 1)} not run:")
    for name in outcome.not_run[:_SHOWN]:
        print(f"  {name}")
    if count > _SHOWN:
        print(f"  … and {count - _SHOWN} more")


def _say(text: str) -> None:
    print(f"resource-hygiene: {text}", flush=True)
