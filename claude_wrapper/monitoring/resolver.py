"""Names to addresses, in a process of its own: the one way to look one up that can be ended.

`getaddrinfo` cannot be cut short, and a thread in it stays until the name server answers or its
time is over, which may be long after the server should have left nothing behind.
"""

from __future__ import annotations

import asyncio
import ipaddress
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claude_wrapper.lifecycle import ResourceTracker

__all__ = ["resolve"]

HELPER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("resolve_helper.py")))


async def resolve(
    host: str, port: int, tracker: ResourceTracker, *, helper: tuple[str, ...] = HELPER
) -> str:
    """The first address of a host; the process that looks it up goes with the caller.

    Args:
        host: A name, or an address, which is returned as it is.
        port: Where it will be connected to.
        tracker: Where the process is listed.
        helper: The command that looks up.

    Raises:
        OSError: There is no such name, or nobody to ask.
    """
    with suppress(ValueError):
        return str(ipaddress.ip_address(host))
    process = await asyncio.create_subprocess_exec(
        *helper,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    tracking = tracker.track("child", f"resolver {process.pid}", process.kill)
    try:
        output, errors = await process.communicate(f"{host}\0{port}".encode())
    finally:
        # Also when the caller was cancelled; a process that was killed is gone in a moment.
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        tracking.done()
    addresses = output.decode().split()
    if process.returncode or not addresses:
        reason = errors.decode(errors="replace").strip() or "the look-up failed"
        raise OSError(f"{host}: {reason}")
    return addresses[0]
