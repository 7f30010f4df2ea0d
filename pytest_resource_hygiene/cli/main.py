"""The door: reads the command line, runs one command, and turns its end into an exit status."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from pytest_resource_hygiene._version import __version__
from pytest_resource_hygiene.cli import completion, explain, gate, kinds, report, run, selftest
from pytest_resource_hygiene.cli.exits import Exit
from pytest_resource_hygiene.errors import HygieneError
from pytest_resource_hygiene.streams import (
    is_full,
    prepare_streams,
    reader_may_leave,
    silence_output,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "make_parser"]

_ABOUT = """\
Find what tests, fixtures and scripts leave behind: threads, sockets, processes, signal handlers,
tasks and more.
"""
_MORE = """\
exit status:
  0  clean
  1  leaks (or, with `run`, tests that fail)
  2  the command line, or a file that it names, cannot be used
  3  trouble of our own
  130  interrupted with Ctrl-C

examples:
  resource-hygiene run -- pytest tests -n 4
  resource-hygiene run --json leaks.json -- python -m my_app --once
  resource-hygiene gate leaks.json --against main.json
  resource-hygiene report leaks.json --format sarif --output leaks.sarif
"""
_COMMANDS = (run, gate, report, kinds, selftest, explain)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="resource-hygiene", description=_ABOUT, epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    completion.add_to(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_to(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; every mistake is one line on standard error, never a traceback.

    Args:
        argv: the arguments; those of the process if left out.
    """
    prepare_streams()
    arguments = make_parser().parse_args(argv)
    status: int = Exit.CLEAN
    try:
        with reader_may_leave():
            status = arguments.act(arguments)
    except HygieneError as error:
        print(f"resource-hygiene: {error}", file=sys.stderr)
        return Exit.USAGE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except Exception as error:
        if isinstance(error, OSError) and is_full(error):
            silence_output()
            print("resource-hygiene: no space left for the output.", file=sys.stderr)
            return Exit.USAGE
        if os.environ.get("RESOURCE_HYGIENE_DEBUG"):
            raise
        print(
            f"resource-hygiene: own fault: {type(error).__name__}: {error}. "
            "RESOURCE_HYGIENE_DEBUG=1 shows where.",
            file=sys.stderr,
        )
        return Exit.TROUBLE
    return int(status)
