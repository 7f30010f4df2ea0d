"""Which `claude` executable to run: the one given, the one on PATH, or the bundled one."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from claude_wrapper.claude.command import passed_on
from claude_wrapper.claude.process import signal_group, tied_to_us
from claude_wrapper.errors import CliMissingError

__all__ = ["CliBinary", "demo_cli", "find_cli", "read_version"]

LONGEST_VERSION = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CliBinary:
    """How to start the CLI, and where it came from (`given`, `PATH`, `bundled`, `demo`)."""

    prefix: tuple[str, ...]
    origin: str

    @property
    def path(self) -> str:
        """The file that is run."""
        return self.prefix[-1]


def find_cli(given: str) -> CliBinary:
    """Find the executable.

    Args:
        given: The path from the settings, or "".

    Raises:
        CliMissingError: There is none; the text says how to get one.
    """
    if given:
        return _given(given)
    on_path = shutil.which("claude")
    if on_path:
        return CliBinary(prefix=(on_path,), origin="PATH")
    bundled = _bundled()
    if bundled is not None:
        return CliBinary(prefix=(str(bundled),), origin="bundled")
    raise CliMissingError(
        "no claude executable: not on PATH and not bundled. Install the extra 'cli' of this "
        "distribution, give --cli-path, or try `claude-wrapper serve --demo`, which needs none"
    )


def demo_cli() -> CliBinary:
    """The fake CLI that ships with this package."""
    script = Path(__file__).parents[1] / "testing" / "fake_claude.py"
    return CliBinary(prefix=(sys.executable, str(script)), origin="demo")


async def read_version(binary: CliBinary, *, deadline: float = 5.0) -> str:
    """The first line of `claude --version`.

    It is "" when the command fails, takes longer than `deadline` seconds, or says so much that it
    cannot be a version.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *tied_to_us((*binary.prefix, "--version")),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            # A wrapper of the CLI may look for it in the home.
            env={**passed_on(os.environ), "HOME": os.environ.get("HOME", "")},
        )
    except (OSError, RuntimeError):
        # RuntimeError: no thread could be started.
        return ""
    try:
        output = await asyncio.wait_for(_all_that_it_says(process), deadline)
    except TimeoutError:
        return ""
    finally:
        # Also when the caller was cancelled; and whoever is left of its group holds the pipe.
        if process.returncode is None or not (process.stdout and process.stdout.at_eof()):
            signal_group(process.pid, signal.SIGKILL)
            await _collect(process)
    if process.returncode != 0:
        return ""
    lines = output.decode(errors="replace").strip().splitlines() or [""]
    return "".join(character for character in lines[0] if character.isprintable())


async def _all_that_it_says(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    output = b""
    while piece := await process.stdout.read(LONGEST_VERSION + 1 - len(output)):
        output += piece
        if len(output) > LONGEST_VERSION:
            # Whatever this is, it is no version, and may never end.
            return b""
    await process.wait()
    return output


async def _collect(process: asyncio.subprocess.Process) -> None:
    """Wait for the end of a killed process.

    `wait` returns when its pipe has ended as well (CPython 3.11), and one that is full is not read:
    so what is left in it is read here, unless somebody who has left the group goes on writing.
    """
    assert process.stdout is not None
    try:
        async with asyncio.timeout(1):
            while await process.stdout.read(LONGEST_VERSION):
                pass
            await process.wait()
    except TimeoutError:
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - else it stays open


def _given(given: str) -> CliBinary:
    path = shutil.which(os.path.expanduser(given))  # noqa: PTH111  # Path would drop the "./"
    if path is None:
        raise CliMissingError(
            f"the claude executable {given!r} does not exist or is not executable; "
            "give --cli-path a file that can be run"
        )
    return CliBinary(prefix=(path,), origin="given")


def _bundled() -> Path | None:
    # find_spec does not import the package: that would cost half a second and 50 MB.
    spec = importlib.util.find_spec("claude_agent_sdk")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "_bundled" / "claude"
    return path if os.access(path, os.X_OK) else None
