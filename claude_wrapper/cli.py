"""The command line: flags to settings to server. The only place that exits the process."""

from __future__ import annotations

import argparse
import secrets
import sys
from typing import TYPE_CHECKING

from claude_wrapper.errors import SettingsError, WrapperError
from claude_wrapper.settings import OPTIONS, load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_wrapper.settings import Option

__all__ = ["build_parser", "main"]

EXIT_USAGE = 2


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code; a mistake of the user costs one line, no traceback."""
    try:
        sys.exit(_run(build_parser().parse_args(argv)))
    except (SettingsError, WrapperError) as error:
        sys.stderr.write(f"claude-wrapper: {error}\n")
        sys.exit(EXIT_USAGE)


def build_parser() -> argparse.ArgumentParser:
    """The parser; the flags of `serve` come from the table of settings."""
    parser = argparse.ArgumentParser(
        prog="claude-wrapper", description="An OpenAI-compatible server on the Claude CLI."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the server in the foreground")
    serve.add_argument("positional_port", nargs="?", metavar="PORT", help="same as --port")
    serve.add_argument(
        "--demo", action="store_true", help="answer from the built-in fake CLI; needs no account"
    )
    serve.add_argument(
        "-k", "--generate-key", action="store_true", help="make a key, show it once, and require it"
    )
    serve.add_argument(
        "-n",
        "--no-interactive",
        action="store_true",
        help="accepted for compatibility; nothing is ever asked",
    )
    for option in OPTIONS:
        _add_option(serve, option)
    commands.add_parser("models", help="list the model names")
    return parser


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


def _run(arguments: argparse.Namespace) -> int:
    if arguments.command == "models":
        return _models()
    return _serve(arguments)


def _models() -> int:
    from claude_wrapper.routes.models import MODELS

    sys.stdout.write("\n".join(MODELS) + "\n")
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    # uvicorn and starlette take a quarter of a second to import; --help does not need them.
    from claude_wrapper.server import serve

    flags = {option.name: getattr(arguments, option.name, None) for option in OPTIONS}
    if arguments.positional_port is not None:
        flags["port"] = flags["port"] or arguments.positional_port
    if arguments.generate_key:
        flags["api_key"] = key = f"cw-{secrets.token_urlsafe(32)}"
        sys.stdout.write(f"key (shown once): {key}\n")
    return serve(load_settings(flags), demo=arguments.demo)
