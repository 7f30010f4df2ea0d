"""From the text of a setting to its value, with errors that say what would be right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from claude_wrapper.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "command",
    "flag",
    "folder",
    "host",
    "integer",
    "log_level",
    "one_of",
    "optional_path",
    "origins",
    "seconds",
    "size",
    "store",
    "text",
    "webhook",
    "words",
]

TIME_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZE_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
LEVELS = ("debug", "info", "warning", "error")
LEVEL_SYNONYMS = {"trace": "debug", "warn": "warning", "critical": "error", "fatal": "error"}
ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@]+/?")
QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)\s*")


def text(raw: str) -> str:
    """Any text that is not empty."""
    if not raw.strip():
        raise SettingsError("is empty; give a value or leave the setting out")
    return raw.strip()


def host(raw: str) -> str:
    """A host's name or address."""
    name = text(raw)
    if any(sign in name for sign in "/\\@ \t"):
        raise SettingsError(
            f"is {raw!r}; give a name or an address, such as 127.0.0.1 or ::1, and no URL, port or "
            "path of a socket"
        )
    return name


def optional_path(raw: str) -> str:
    """A path, made absolute; empty means not set."""
    name = raw.strip()
    if not name:
        return ""
    try:
        return str(Path(name).expanduser().absolute())
    except RuntimeError:
        raise SettingsError(f"is {raw!r}; no home folder is known for that user") from None


def output_file(raw: str) -> str:
    """A file to write to, made absolute, in a folder that is there; empty means not set."""
    path = optional_path(raw)
    if path and Path(path).is_dir():
        raise SettingsError(f"is {raw!r}, a folder; name a file in it")
    if path and not Path(path).parent.is_dir():
        raise SettingsError(f"is {raw!r}; there is no folder {str(Path(path).parent)!r}")
    return path


def command(raw: str) -> str:
    """An executable: a path, made absolute, or a name to look for; empty means not set."""
    name = raw.strip()
    return optional_path(name) if name.startswith("~") or Path(name).name != name else name


def folder(raw: str) -> str:
    """A folder that is there, made absolute; empty means not set."""
    path = optional_path(raw)
    if path and not Path(path).is_dir():
        raise SettingsError(f"is {raw!r}; there is no such folder")
    return path


def store(raw: str) -> str:
    """`memory`, or `sqlite:` with an absolute path."""
    kind, _, path = raw.strip().partition(":")
    if raw.strip() == "memory":
        return "memory"
    if kind == "sqlite" and path.strip():
        return f"sqlite:{optional_path(path)}"
    raise SettingsError(f"is {raw!r}; valid are memory and sqlite:PATH")


def origins(raw: str) -> tuple[str, ...]:
    """Where pages come from, as browsers say it, separated by commas; `*` for anywhere."""
    found = words(raw)
    for origin in found:
        if origin != "*" and ORIGIN.fullmatch(origin) is None:
            raise SettingsError(
                f"has {origin!r}; valid are origins like https://app.example or "
                "http://localhost:3000, and * for all"
            )
    return found


def log_level(raw: str) -> str:
    """A level of ours, or a word that others use for one."""
    value = raw.strip().lower()
    return one_of(*LEVELS)(LEVEL_SYNONYMS.get(value, value))


def words(raw: str) -> tuple[str, ...]:
    """A comma-separated list."""
    return tuple(word.strip() for word in raw.split(",") if word.strip())


def webhook(raw: str) -> str:
    """An http or https address; empty means not set. It may hold a token, so it is not shown."""
    address = raw.strip()
    if not address:
        return ""
    if re.search(r"[^!-~]", address):
        raise SettingsError("holds a blank or is not ASCII; write %-codes, and xn-- for a host")
    try:
        parts = urlsplit(address)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # a port or a bracket that is none
        usable = False
    if not usable:
        raise SettingsError("is not an address like https://host/path")
    return address


def flag(raw: str) -> bool:
    """A yes or a no."""
    value = raw.strip().lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off", ""}:
        return False
    raise SettingsError(f"is {raw!r}; valid are true, false, yes, no, on, off, 1 and 0")


def one_of(*choices: str) -> Callable[[str], str]:
    """One of a few words, in any case."""

    def parse(raw: str) -> str:
        value = raw.strip().lower()
        if value not in choices:
            raise SettingsError(f"is {raw!r}; valid are {', '.join(choices)}")
        return value

    return parse


def integer(low: int, high: int) -> Callable[[str], int]:
    """A whole number within bounds."""

    def parse(raw: str) -> int:
        try:
            value = int(raw.strip())
        except ValueError:
            raise SettingsError(f"is {raw!r}; valid are whole numbers {low} to {high}") from None
        if not low <= value <= high:
            raise SettingsError(f"is {value}; valid are whole numbers {low} to {high}")
        return value

    return parse


def seconds(low: float, high: float) -> Callable[[str], float]:
    """A time: plain seconds, or with ms, s, m, h or d."""

    def parse(raw: str) -> float:
        valid = f"valid are {low:g} to {high:g} seconds, also written like 500ms, 30s, 5m, 1h"
        value = _quantity(raw, TIME_UNITS, valid)
        if not low <= value <= high:
            raise SettingsError(f"is {raw!r}; {valid}")
        return value

    return parse


def size(low: int, high: int) -> Callable[[str], int]:
    """A size: plain bytes, or with K, M or G (KiB, MiB, GiB)."""

    def parse(raw: str) -> int:
        valid = f"valid are {low} to {high} bytes, also written like 512K, 32M, 1G, 32MiB"
        value = int(_quantity(re.sub(r"(?i)(?<=[kmg])i?b\s*$", "", raw), SIZE_UNITS, valid))
        if not low <= value <= high:
            raise SettingsError(f"is {raw!r}; {valid}")
        return value

    return parse


def _quantity(raw: str, units: dict[str, float] | dict[str, int], valid: str) -> float:
    match = QUANTITY.fullmatch(raw)
    if match is None or match[2].lower() not in units:
        raise SettingsError(f"is {raw!r}; {valid}")
    return float(match[1]) * units[match[2].lower()]
