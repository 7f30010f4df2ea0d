"""The verbs: each takes the parsed words and returns the exit code."""

from __future__ import annotations

import secrets
import sys
from typing import TYPE_CHECKING

from claude_wrapper.cli import daemon, doctor, logs, status
from claude_wrapper.errors import SettingsError
from claude_wrapper.server_record import read_records
from claude_wrapper.settings import OPTIONS, load_settings

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

    flags = _flags(arguments)
    words = daemon.as_arguments(flags, demo=arguments.demo)
    key = _generated_key(arguments)
    settings = load_settings({**flags, "api_key": key})
    return serve(settings, demo=arguments.demo, arguments=words)


def _start(arguments: argparse.Namespace) -> int:
    if not arguments.daemon:
        return _serve(arguments)
    flags = _flags(arguments)
    key = _generated_key(arguments)
    settings = load_settings({**flags, "api_key": key})
    words = daemon.as_arguments(flags, demo=arguments.demo)
    return daemon.start(settings, words, key=key)


def _stop(arguments: argparse.Namespace) -> int:
    state, port = _where(arguments)
    record = _the_one(state, port)
    if record is None:
        sys.stdout.write("not running\n")
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
    key = _generated_key(arguments)
    return daemon.restart(record, words, key=key)


def _status(arguments: argparse.Namespace) -> int:
    state, port = _where(arguments)
    return status.show(state, port, as_json=arguments.json)


def _logs(arguments: argparse.Namespace) -> int:
    state, port = _where(arguments)
    return logs.show(state, _the_one(state, port), lines=arguments.lines, follow=arguments.follow)


def _doctor(arguments: argparse.Namespace) -> int:
    flags = {"state_dir": arguments.state_dir, "cli_path": arguments.cli_path}
    return doctor.show(load_settings(flags), as_json=arguments.json)


def _flags(arguments: argparse.Namespace) -> dict[str, str | None]:
    flags: dict[str, str | None] = {
        option.name: getattr(arguments, option.name, None) for option in OPTIONS
    }
    flags["port"] = flags["port"] or arguments.positional_port
    return flags


def _where(arguments: argparse.Namespace) -> tuple[Path, int | None]:
    """The state folder, and the port if one was given."""
    port = arguments.port or arguments.positional_port
    settings = load_settings({"state_dir": arguments.state_dir, "port": port, "host": "127.0.0.1"})
    return settings.state_path, settings.port if port else None


def _the_one(state: Path, port: int | None) -> ServerRecord | None:
    """The running server that is meant; None when none runs."""
    running = [r for r in read_records(state) if r.is_running and port in {None, r.port}]
    if len(running) > 1:
        ports = ", ".join(str(record.port) for record in running)
        raise SettingsError(f"{len(running)} servers run, on the ports {ports}; name one of them")
    return running[0] if running else None


def _generated_key(arguments: argparse.Namespace) -> str | None:
    if not arguments.generate_key:
        return None
    key = f"cw-{secrets.token_urlsafe(32)}"
    sys.stdout.write(f"key (shown once): {key}\n")
    sys.stdout.flush()
    return key
