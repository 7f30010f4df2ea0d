"""The socket that the server listens on."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

from claude_wrapper.errors import SettingsError

if TYPE_CHECKING:
    from claude_wrapper.settings import WrapperSettings

__all__ = ["BACKLOG", "bind"]

# The loop tries so often to accept a connection, too: with thousands a lack of descriptors would
# keep it busy.
BACKLOG = 256


def bind(settings: WrapperSettings) -> socket.socket:
    """A socket that listens already.

    Raises:
        SettingsError: The address cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol left out asyncio does not set TCP_NODELAY on what is accepted, and every
    # answer then waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        # Listening before the start-up line is printed: whoever reads it may connect at once.
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; "
            f"{_advice(error)}"
        ) from None
    return listener


def _advice(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "--host must be an address of this machine, or a name that leads to one"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address; choose another --host"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return "ports below 1024 are not for everybody; choose another --port"
    return "choose another --port (0 takes a free one), or stop what uses it"
