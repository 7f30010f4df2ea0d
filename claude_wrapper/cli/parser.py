"""The parser: verbs, and the flags that come from the table of settings."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NoReturn

from claude_wrapper import __version__
from claude_wrapper.settings import OPTIONS

if TYPE_CHECKING:
    from claude_wrapper.settings import Option

    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001

__all__ = ["VERBS", "build_parser"]

VERBS = ("serve", "start", "restart", "stop", "status", "logs", "doctor", "models")

DESCRIPTION = """An OpenAI-compatible server on the Claude CLI, which also speaks Anthropic's dialect.

  claude-wrapper serve --demo      try it: answers come from a built-in fake CLI
  claude-wrapper doctor            what is found here, what is missing
  claude-wrapper serve             on http://127.0.0.1:8000, in the foreground
  claude-wrapper start -d          in the background; then status, logs -f, stop
"""
EPILOG = """Flags of a command: claude-wrapper COMMAND --help. Every flag of serve is also a variable,
CLAUDE_WRAPPER_ and its name; flags win.
Exit codes: status 0 running, 3 stopped; doctor 0 fine, 1 something is missing; a mistake in the
command 2."""
SERVER_USAGE = "claude-wrapper %s [PORT] [--demo] [-k [KEY]] [FLAGS]"
SERVER_EPILOG = """Times are seconds or written like 500ms, 30s, 5m, 1h; sizes are bytes or written
like 512K, 32M, 1G. After each flag stands the variable that means the same."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line: the usage of a verb would bury it."""

    def error(self, message: str) -> NoReturn:
        """End with the exit code of a mistyped command."""
        self.exit(2, f"claude-wrapper: {message}. See {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser of `claude-wrapper`."""
    parser: argparse.ArgumentParser = _Parser(
        prog="claude-wrapper",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"claude-wrapper {__version__}")
    verbs: _Commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _server_verb(verbs, "serve", "run the server in the foreground")
    start = _server_verb(verbs, "start", "run the server; with -d in the background")
    start.add_argument("-d", "--daemon", action="store_true", help="in the background")
    _server_verb(verbs, "restart", "stop, then start in the background with the same flags")
    _add_looking_verbs(verbs)
    _verb(verbs, "models", "list the model names")
    return parser


def _verb(verbs: _Commands, name: str, text: str) -> argparse.ArgumentParser:
    return verbs.add_parser(
        name, help=text, description=f"{text.capitalize()}.", allow_abbrev=False
    )


def _server_verb(verbs: _Commands, name: str, text: str) -> argparse.ArgumentParser:
    parser = _verb(verbs, name, text)
    # The usage of forty flags says nothing that the list of them does not say better.
    parser.usage, parser.epilog = SERVER_USAGE % name, SERVER_EPILOG
    _add_server_flags(parser)
    return parser


def _add_looking_verbs(verbs: _Commands) -> None:
    stop = _verb(verbs, "stop", "stop a server and wait until it is gone")
    status = _verb(verbs, "status", "which servers run; exit code 0 running, 3 stopped")
    logs = _verb(verbs, "logs", "show the log of a server in the background")
    doctor = _verb(verbs, "doctor", "check what the server needs, and say what is missing")
    for verb in (stop, status, logs):
        verb.add_argument("positional_port", nargs="?", metavar="PORT", help="of several servers")
    for verb in (stop, status, logs, doctor):
        _add_option(verb, _named("state_dir"))
    for verb in (stop, status, logs):
        _add_option(verb, _named("port"))
    for verb in (status, doctor):
        verb.add_argument("--json", action="store_true", help="for machines")
    _add_option(doctor, _named("cli_path"))
    logs.add_argument("--lines", type=int, default=50, help="how many of the last (default: 50)")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until interrupted")


def _add_server_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("positional_port", nargs="?", metavar="PORT", help="same as --port")
    parser.add_argument(
        "--demo", action="store_true", help="answer from the built-in fake CLI; needs no account"
    )
    parser.add_argument(
        "-k",
        "--api-key",
        nargs="?",
        const="",
        metavar="KEY",
        help="the key that clients must show; without KEY one is made. Who can list processes "
        "can read a KEY written here: better CLAUDE_WRAPPER_API_KEY, or --api-key-file",
    )
    parser.add_argument(
        "--generate-key", action="store_true", help="make a key, show it once, and require it"
    )
    parser.add_argument(
        "-n",
        "--no-interactive",
        action="store_true",
        help="accepted for compatibility; nothing is ever asked",
    )
    for option in OPTIONS:
        _add_option(parser, option)


def _add_option(parser: argparse.ArgumentParser, option: Option) -> None:
    if option.secret:
        return
    names = (option.short, option.flag) if option.short else (option.flag,)
    unit = f" [{option.unit}]" if option.unit else ""
    default = f" (default: {option.default})" if option.default else ""
    text = f"{option.help}{unit}{default}; {option.variable}".replace("%", "%%")
    if option.default in {"true", "false"}:
        parser.add_argument(*names, dest=option.name, nargs="?", const="true", help=text)
    else:
        parser.add_argument(*names, dest=option.name, metavar="VALUE", help=text)


def _named(name: str) -> Option:
    return next(option for option in OPTIONS if option.name == name)
