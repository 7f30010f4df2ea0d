"""From the words of the user to a command and its exit code; a mistake costs one line."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from claude_wrapper.cli import commands
from claude_wrapper.cli.parser import VERBS, build_parser
from claude_wrapper.cli.typos import explain_unknown, suggestion
from claude_wrapper.errors import SettingsError, WrapperError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["main"]

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
# As the shell reports the end by SIGPIPE.
EXIT_PIPE = 141
GENERAL_FLAGS = frozenset(["-h", "--help", "--version"])


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code."""
    try:
        _open_standard_streams()
        code = commands.run(_parse(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        sys.exit(code)
    except BrokenPipeError:
        # Whoever read us has seen enough; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_PIPE)
    except (SettingsError, WrapperError) as error:
        _refuse(str(error))
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        _refuse(f"{what}{error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    arguments, unknown = build_parser().parse_known_args(_with_verb(argv))
    if unknown:
        _refuse(explain_unknown(arguments.command, unknown))
    return arguments


def _open_standard_streams() -> None:
    """Some supervisors close them; the first sockets would then get their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # The lowest number that is free: those before it are open by now.
            if os.open(os.devnull, os.O_RDWR) != number:
                raise OSError(errno.EBADF, f"{name} is closed, and its number is in use")
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))


def _with_verb(words: Sequence[str]) -> list[str]:
    """`claude-wrapper 8080` and `claude-wrapper -p 8080`, as the original took them, serve."""
    first = words[0] if words else "--help"
    if first in {"help", "-V"}:
        return ["--version"] if first == "-V" else [*words[1:2], "--help"]
    if first.isdigit() or (first.startswith("-") and first not in GENERAL_FLAGS):
        return ["serve", *words]
    if first not in {*VERBS, *GENERAL_FLAGS}:
        hint = suggestion(first, VERBS) or f"; there are {', '.join(VERBS)}."
        _refuse(f"{first!r} is no command{hint} See claude-wrapper --help")
    return list(words) or ["--help"]


def _refuse(text: str) -> NoReturn:
    sys.stderr.write(f"claude-wrapper: {text}\n")
    sys.exit(EXIT_USAGE)
