"""The parser: verbs, and the flags that come from the table of settings."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from claude_wrapper import __version__
from claude_wrapper.settings import OPTIONS

if TYPE_CHECKING:
    from claude_wrapper.settings import Option

    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001

__all__ = ["build_parser"]

EPILOG = "Exit codes of status: 0 running, 3 stopped. A mistake in the command: 2."


def build_parser() -> argparse.ArgumentParser:
    """The parser of `claude-wrapper`."""
    parser = argparse.ArgumentParser(
        prog="claude-wrapper",
        description="An OpenAI-compatible server on the Claude CLI.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"claude-wrapper {__version__}")
    verbs = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_server_flags(verbs.add_parser("serve", help="run the server in the foreground"))
    start = verbs.add_parser("start", help="run the server; with -d in the background")
    _add_server_flags(start)
    start.add_argument("-d", "--daemon", action="store_true", help="in the background")
    _add_server_flags(
        verbs.add_parser("restart", help="stop, then start in the background with the same flags")
    )
    _add_looking_verbs(verbs)
    verbs.add_parser("models", help="list the model names")
    return parser


def _add_looking_verbs(verbs: _Commands) -> None:
    stop = verbs.add_parser("stop", help="stop a server and wait until it is gone")
    status = verbs.add_parser("status", help="which servers run; exit code 0 running, 3 stopped")
    logs = verbs.add_parser("logs", help="show the log of a server in the background")
    doctor = verbs.add_parser("doctor", help="check what the server needs, and say what is missing")
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
        "-k", "--generate-key", action="store_true", help="make a key, show it once, and require it"
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
