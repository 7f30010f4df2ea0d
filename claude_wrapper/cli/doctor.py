"""`doctor`: what the server needs and finds here, and what is missing. Never shows a secret."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import platform
import shutil
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from claude_wrapper import __version__
from claude_wrapper.claude.locate import find_cli, read_version
from claude_wrapper.claude.own_address import check_base_url
from claude_wrapper.cli.typos import misspelt_variables
from claude_wrapper.errors import CliMissingError, SettingsError
from claude_wrapper.lifecycle.folders import private_state_folder
from claude_wrapper.server_record import read_records
from claude_wrapper.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["credentials_kind", "show"]

EXIT_FINE = 0
EXIT_PROBLEM = 1
FEW_DESCRIPTORS = 1024

# Variable to what it means, in the order in which the CLI prefers them.
CREDENTIALS = (
    ("CLAUDE_CODE_USE_BEDROCK", "Amazon Bedrock"),
    ("CLAUDE_CODE_USE_VERTEX", "Google Vertex"),
    ("ANTHROPIC_API_KEY", "API key (ANTHROPIC_API_KEY); the CLI runs with --bare"),
    ("ANTHROPIC_AUTH_TOKEN", "bearer token (ANTHROPIC_AUTH_TOKEN)"),
    ("CLAUDE_CODE_OAUTH_TOKEN", "login token (CLAUDE_CODE_OAUTH_TOKEN)"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    text: str


def show(state: Path, cli_path: str, *, as_json: bool) -> int:
    """Print all findings; 0 when nothing is missing, else 1."""
    findings = (
        Finding(name="version", ok=True, text=f"{__version__}, Python {platform.python_version()}"),
        _settings(),
        _binary(cli_path),
        _credentials(os.environ),
        _state_folder(state),
        _descriptors(),
        Finding(name="bundled CLI", ok=True, text=_distribution("claude-agent-sdk")),
        Finding(name="orphan protection", ok=True, text=_orphan_protection()),
        Finding(name="namespace", ok=True, text=_namespace()),
    )
    if as_json:
        sys.stdout.write(json.dumps([asdict(finding) for finding in findings], indent=2) + "\n")
    else:
        for finding in findings:
            mark = "ok     " if finding.ok else "PROBLEM"
            sys.stdout.write(f"{mark} {finding.name}: {finding.text}\n")
    return EXIT_FINE if all(finding.ok for finding in findings) else EXIT_PROBLEM


def credentials_kind(environ: Mapping[str, str]) -> str:
    """Which kind of credential the CLI would use, or "" when the environment holds none."""
    return next((kind for variable, kind in CREDENTIALS if environ.get(variable)), "")


def _settings() -> Finding:
    try:
        settings = load_settings()
        check_base_url(os.environ, settings.host, settings.port)
    except SettingsError as error:
        return Finding(name="settings", ok=False, text=str(error))
    misspelt = misspelt_variables(os.environ)
    if misspelt:
        return Finding(name="settings", ok=False, text="; ".join(misspelt))
    key = "key required" if settings.api_key else "no key needed"
    return Finding(name="settings", ok=True, text=f"{settings.host} port {settings.port}, {key}")


def _binary(cli_path: str) -> Finding:
    try:
        binary = find_cli(cli_path)
    except CliMissingError as error:
        return Finding(name="claude CLI", ok=False, text=error.message)
    version = asyncio.run(read_version(binary))
    said = version or "did not answer --version (exit code 0, within 5 s)"
    return Finding(
        name="claude CLI", ok=bool(version), text=f"{said}, {binary.path} ({binary.origin})"
    )


def _credentials(environ: Mapping[str, str]) -> Finding:
    kind = credentials_kind(environ)
    none = (
        "none in the environment; set ANTHROPIC_API_KEY, or CLAUDE_CONFIG_DIR to a folder where "
        "the CLI is logged in"
    )
    has_folder = bool(environ.get("CLAUDE_CONFIG_DIR"))
    text = kind or ("whatever CLAUDE_CONFIG_DIR holds" if has_folder else none)
    return Finding(name="credentials", ok=bool(kind) or has_folder, text=text)


def _state_folder(path: Path) -> Finding:
    try:
        private_state_folder(path)
    except OSError as error:
        return Finding(name="state folder", ok=False, text=f"{path}: {error.strerror}")
    running = sum(record.is_running for record in read_records(path))
    return Finding(name="state folder", ok=True, text=f"{path} (0700), {running} servers running")


def _descriptors() -> Finding:
    try:
        import resource
    except ImportError:
        return Finding(name="open files", ok=True, text="no limit known on this system")
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = 0 <= soft < FEW_DESCRIPTORS
    advice = f"; raise it to {FEW_DESCRIPTORS} with ulimit -n" if few else ""
    return Finding(name="open files", ok=not few, text=f"limit {soft}{advice}")


def _distribution(name: str) -> str:
    with suppress(metadata.PackageNotFoundError):
        return f"{name} {metadata.version(name)}"
    return f"{name} is not installed (extra 'cli')"


def _orphan_protection() -> str:
    kernel = "the kernel kills the CLI with the server" if sys.platform == "linux" else ""
    return "; ".join(filter(None, [kernel, "what is left is found at the next start"]))


def _namespace() -> str:
    if shutil.which("unshare") is None:
        return "unshare is missing: the real-CLI tests cannot be shut in here and will skip"
    has_tests = importlib.util.find_spec("pytest") is not None
    return "unshare is here" + ("" if has_tests else "; pytest is not")
