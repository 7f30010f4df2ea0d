"""Keeps the CLI from asking the very server that it works for. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from claude_wrapper.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_base_url"]

# Where the CLI asks. Who tells Claude Code to ask this server sets it, often for a whole shell.
VARIABLE = "ANTHROPIC_BASE_URL"
DEFAULT_PORTS = {"http": 80, "https": 443}


def check_base_url(environ: Mapping[str, str], host: str, port: int) -> None:
    """Refuse an environment in which each turn would ask for another one, without end.

    Args:
        environ: What the CLI will see of the server's environment, and more.
        host: The address or name the server listens on.
        port: Its port.

    Raises:
        SettingsError: The CLI would ask this server.
    """
    url = environ.get(VARIABLE, "")
    if _leads_to(url, host.lower(), port):
        raise SettingsError(
            f"{VARIABLE} is {url}, which is this server: the CLI would ask it for every answer that "
            "it asks the CLI for; start the server without it, or choose another --port"
        )


def _leads_to(url: str, host: str, port: int) -> bool:
    try:
        parts = urlsplit(url.strip())
        name, asked = (parts.hostname or ""), parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return False
    if not name or asked != port:
        return False
    return name == host or (_is_here(name) and _is_here(host))


def _is_here(name: str) -> bool:
    """Whether it means this machine, seen from itself; a wildcard does as an address, too."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
