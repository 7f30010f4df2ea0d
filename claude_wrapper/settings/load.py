"""From flags and environment to one frozen record of settings."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claude_wrapper.errors import SettingsError
from claude_wrapper.settings.peers import peer_value
from claude_wrapper.settings.table import OPTIONS, Option

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["WrapperSettings", "load_one", "load_settings", "state_path"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapperSettings:
    """What the server was told; the meaning of each field stands in the table of options."""

    host: str
    port: int
    api_key: tuple[str, ...]
    api_key_file: str
    pool_size: int
    max_concurrency: int
    queue_size: int
    request_timeout: float
    stream_idle_timeout: float
    heartbeat_interval: float
    max_request_size: int
    rate_limit: int
    session_ttl: float
    session_cleanup_interval: float
    max_sessions: int
    session_bytes: int
    session_messages: int
    session_store: str
    session_busy: str
    shutdown_timeout: float
    state_dir: str
    log_level: str
    log_file: str
    cli_path: str
    cwd: str
    default_model: str
    strict: bool
    cors_origins: tuple[str, ...]
    worker_max_turns: int
    worker_max_age: float
    worker_max_rss: int
    worker_idle_ttl: float
    memory_limit: int
    alert_file: str
    alert_webhook: str

    def __repr__(self) -> str:
        """Never shows the keys."""
        return f"WrapperSettings(host={self.host!r}, port={self.port}, keys={len(self.api_key)})"

    @property
    def state_path(self) -> Path:
        """The state folder: the one asked for, or the user's own."""
        return state_path(self.state_dir)


def load_settings(
    flags: Mapping[str, str | None] | None = None, environ: Mapping[str, str] | None = None
) -> WrapperSettings:
    """Read every option once: flag, then our variable, then the peers' names, then the default.

    Args:
        flags: Field name to raw text; None means not given.
        environ: The environment; the process's own by default.

    Raises:
        SettingsError: A value cannot be used; the text names its source and what is valid.
    """
    given = flags or {}
    env = os.environ if environ is None else environ
    values = {option.name: _value(option, given, env) for option in OPTIONS}
    settings = WrapperSettings(**_with_key_file(values))
    host = next(option for option in OPTIONS if option.name == "host")
    _check(settings, _source(host, given, env)[0])
    return settings


def load_one(name: str, flag: str | None) -> Any:
    """One setting alone, for commands that must work whatever the others say.

    Raises:
        SettingsError: Its value cannot be used.
    """
    option = next(option for option in OPTIONS if option.name == name)
    return _value(option, {name: flag}, os.environ)


def state_path(state_dir: str) -> Path:
    """The state folder: the one asked for, or the user's own."""
    if state_dir:
        return Path(state_dir)
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "state") / "claude-wrapper"


def _value(option: Option, flags: Mapping[str, str | None], env: Mapping[str, str]) -> Any:
    source, raw = _source(option, flags, env)
    try:
        return option.parse(raw)
    except SettingsError as error:
        # A parser of secrets says what is wrong without the value; this makes sure of it.
        is_shown = option.secret and raw.strip() in str(error)
        shown = "has a value that cannot be used" if is_shown else str(error)
        raise SettingsError(f"{source} {shown}") from None


def _source(
    option: Option, flags: Mapping[str, str | None], env: Mapping[str, str]
) -> tuple[str, str]:
    flag = flags.get(option.name)
    if flag is not None:
        return option.flag, flag
    if option.variable in env:
        return option.variable, env[option.variable]
    for variable in option.aliases:
        value = peer_value(variable, env)
        if value is not None:
            return variable, value
    return f"the default of {option.variable}", option.default


def _with_key_file(values: dict[str, Any]) -> dict[str, Any]:
    path = values["api_key_file"]
    if not path:
        return values
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise SettingsError(f"the API key file {path!r} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"the API key file {path!r} is no text in UTF-8") from None
    keys = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not keys:
        raise SettingsError(f"the API key file {path!r} holds no key; write one a line")
    return {**values, "api_key": (*values["api_key"], *keys)}


def _check(settings: WrapperSettings, host_source: str) -> None:
    if settings.api_key:
        return
    if not is_loopback(settings.host):
        raise SettingsError(
            f"{settings.host} can be reached from other machines and no key is set: give "
            "--api-key-file, --generate-key or CLAUDE_WRAPPER_API_KEY, or listen on 127.0.0.1 "
            f"(the address comes from {host_source})"
        )
    if "*" in settings.cors_origins:
        raise SettingsError(
            "--cors-origins is '*' and no key is set, so every web page could use this server: "
            "name the origins, or set a key"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        # A name; where it leads to is decided elsewhere, and may change.
        return False
