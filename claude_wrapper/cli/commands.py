"""The verbs: each takes the parsed words and returns the exit code."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from claude_wrapper.cli import daemon, doctor, logs, status
from claude_wrapper.cli.keys import chosen_key
from claude_wrapper.cli.typos import misspelt_variables
from claude_wrapper.errors import SettingsError
from claude_wrapper.server_record import read_records
from claude_wrapper.settings import OPTIONS, load_one, load_settings, state_path

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

    from claude_wrapper.server_record import ServerRecord

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Run the verb that was parsed.

    Raises:
        SettingsError: A value cannot be used, or it is not clear which server is meant.
        WrapperError: What the server needs is missing.
        OSError: A file or folder cannot be used.
    """
    verbs: dict[str, Callable[[argparse.Namespace], int]] = {
        "serve": _serve,
        "start": _start,
        "stop": _stop,
        "restart": _restart,
        "status": _status,
        "logs": _logs,
        "doctor": _doctor,
        "models": _models,
    }
    return verbs[arguments.command](arguments)


def _models(_arguments: argparse.Namespace) -> int:
    from claude_wrapper.routes.models import MODELS

    sys.stdout.write("\n".join(MODELS) + "\n")
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    # uvicorn and starlette take a quarter of a second to import; --help does not need them.
    from claude_wrapper.server import serve

    flags, key = _flags(arguments), chosen_key(arguments)
    settings = load_settings({**flags, "api_key": key.text})
    _warn_of_misspelt_variables()
    words = daemon.as_arguments(flags, demo=arguments.demo)
    key.show()
    code = serve(settings, demo=arguments.demo, arguments=words)
    _give_up_output()
    return code


def _give_up_output() -> None:
    """Forget what nobody reads, e.g. where ``| head -1`` has ended: the server's code is the code."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _start(arguments: argparse.Namespace) -> int:
    if not arguments.daemon:
        return _serve(arguments)
    flags, key = _flags(arguments), chosen_key(arguments)
    settings = load_settings({**flags, "api_key": key.text})
    _warn_of_misspelt_variables()
    words = daemon.as_arguments(flags, demo=arguments.demo)
    return daemon.start(settings, words, key=key)


def _stop(arguments: argparse.Namespace) -> int:
    state, port = _where(arguments)
    record = _the_one(state, port)
    if record is None:
        where = "" if port is None else f" on port {port}"
        sys.stdout.write(f"not running{where}\n")
        return 0
    return daemon.stop(record)


def _restart(arguments: argparse.Namespace) -> int:
    state, port = _where(arguments)
    record = _the_one(state, port)
    flags = _flags(arguments)
    words = daemon.as_arguments(flags, demo=arguments.demo)
    if record is not None:
        # Later words win: what is said now goes over what was said then.
        words = (*record.arguments, f"--port={record.port}", *words)
    return daemon.restart(record, words, key=chosen_key(arguments))


def _status(arguments: argparse.Namespace) -> int:
    state, port = _where(arguments)
    return status.show(state, port, as_json=arguments.json)


def _logs(arguments: argparse.Namespace) -> int:
    state, port = _where(arguments)
    record = _the_one(state, port)
    return logs.show(state, record, port, lines=arguments.lines, follow=arguments.follow)


def _doctor(arguments: argparse.Namespace) -> int:
    state = state_path(load_one("state_dir", arguments.state_dir))
    return doctor.show(state, load_one("cli_path", arguments.cli_path), as_json=arguments.json)


def _flags(arguments: argparse.Namespace) -> dict[str, str | None]:
    flags: dict[str, str | None] = {
        option.name: getattr(arguments, option.name, None) for option in OPTIONS
    }
    if flags["port"] is not None and arguments.positional_port is not None:
        raise SettingsError(
            f"two ports are given, {arguments.positional_port} and {flags['port']}; give one"
        )
    if flags["port"] is None:
        flags["port"] = arguments.positional_port
    return flags


def _warn_of_misspelt_variables() -> None:
    for line in misspelt_variables(os.environ):
        sys.stderr.write(f"claude-wrapper: {line}\n")


def _where(arguments: argparse.Namespace) -> tuple[Path, int | None]:
    """The state folder, and the port if one was given."""
    # Only these two are read: a server must be found and stopped whatever else is set by now.
    given = arguments.positional_port if arguments.port is None else arguments.port
    port = load_one("port", given) if given is not None else None
    return state_path(load_one("state_dir", arguments.state_dir)), port


def _the_one(state: Path, port: int | None) -> ServerRecord | None:
    """The running server that is meant; None when none runs."""
    running = [r for r in read_records(state) if r.is_running and port in {None, r.port}]
    if len(running) > 1:
        ports = ", ".join(str(record.port) for record in running)
        raise SettingsError(f"{len(running)} servers run, on the ports {ports}; name one of them")
    return running[0] if running else None
