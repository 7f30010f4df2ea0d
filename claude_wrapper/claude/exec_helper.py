"""Becomes the CLI after asking the kernel to kill it when the server dies. Run as a script.

    python -I -S exec_helper.py SERVER_PID command...

A `preexec_fn` would run between fork and exec in a process with threads, where almost nothing is
safe; a tiny program of its own has no such limits. It imports nothing of this package.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Set the parent-death signal, check that the parent is still the one we mean, and exec."""
    server_pid, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != int(server_pid):
        sys.exit(0)
    try:
        os.execvpe(command[0], command, os.environ)  # noqa: S606  # an argument list, no shell
    except OSError as error:
        sys.exit(f"cannot run {command[0]!r}: {error.strerror}")


if __name__ == "__main__":
    main()
