"""Looks one name up and prints its addresses. Run as a script, by `resolver`.

    python -I -S resolve_helper.py < NUL-separated host and port

It imports nothing of this package.
"""

from __future__ import annotations

import signal
import socket
import sys

# Should nobody be left who would end it: a name server that hangs holds it up for a minute.
LIFETIME = 10


def main() -> None:
    """Print each address on a line of its own; exit with the reason where there is none."""
    if hasattr(signal, "alarm"):
        signal.alarm(LIFETIME)
    host, _, port = sys.stdin.read().partition("\0")
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        sys.exit(getattr(error, "strerror", None) or str(error))
    sys.stdout.write("\n".join(dict.fromkeys(str(address[0]) for *_, address in found)))


if __name__ == "__main__":
    main()
