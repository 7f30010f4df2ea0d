"""One child process: start it as the leader of its own group, read its lines, end it for good."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from claude_wrapper.errors import CliFailedError
from claude_wrapper.lifecycle.children import child_pids
from claude_wrapper.lifecycle.redaction import redacted, secrets_in

if TYPE_CHECKING:
    from claude_wrapper.claude.command import ClaudeCommand

__all__ = ["ClaudeProcess", "signal_group", "start_process", "tied_to_us"]

# The longest line the CLI may print; an image echoed back is the largest seen.
LINE_LIMIT = 64 << 20
# What is kept of standard error: enough for a reason, whatever is printed.
STDERR_BYTES = 8000
STDERR_PIECE = 1 << 16
PIPES_DEADLINE = 1.0
# The end of the output is seen a moment before the exit.
EXIT_PATIENCE = 0.1
HELPER = Path(__file__).with_name("exec_helper.py")


class _Protocol(asyncio.subprocess.SubprocessStreamProtocol):
    """Keeps the exit apart from the end of the output.

    `Process.wait` waits for both, and so for ever when a grandchild in a session of its own holds
    the output open.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=LINE_LIMIT, loop=loop)
        self.transport: asyncio.Future[asyncio.BaseTransport] = loop.create_future()
        self.exited = asyncio.Event()
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The pipes are there."""
        super().connection_made(transport)
        self.transport.set_result(transport)

    def process_exited(self) -> None:
        """The process ended and was collected; its output may go on."""
        super().process_exited()
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended, and all its pipes are closed."""
        super().connection_lost(exc)
        self.closed.set()


class ClaudeProcess:
    """A running CLI. It says nothing about what the lines mean.

    Attributes:
        pid: Process id, and at the same time the id of its group.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        transport: asyncio.SubprocessTransport,
        protocol: _Protocol,
        secrets: tuple[str, ...] = (),
    ) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.pid = process.pid
        self._process = process
        self._transport = transport
        self._protocol = protocol
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._stderr = process.stderr
        self._stderr_tail = b""
        self._secrets = secrets

    @property
    def stderr(self) -> str:
        """The end of what it printed on standard error, without secrets: clients will read it."""
        text = self._stderr_tail.decode(errors="replace").strip()
        if len(self._stderr_tail) == STDERR_BYTES:  # its first word may be half a secret
            text = text.split(None, 1)[-1]
        return redacted(text, self._secrets)

    @property
    def has_ended(self) -> bool:
        """Whether it ended and was collected: its number may be another's from then on."""
        return self._process.returncode is not None

    async def read_line(self) -> bytes:
        """The next output line, or b"" at the end.

        Raises:
            CliFailedError: A line is longer than 64 MiB.
        """
        try:
            return await self._stdout.readline()
        except ValueError:
            raise CliFailedError(
                f"the CLI printed a line longer than {LINE_LIMIT >> 20} MiB"
            ) from None

    async def drain_stderr(self) -> None:
        """Keep the end of standard error until it closes; lines do not matter, and may be endless."""
        while piece := await self._stderr.read(STDERR_PIECE):
            self._stderr_tail = (self._stderr_tail + piece)[-STDERR_BYTES:]

    def write_line(self, line: bytes) -> None:
        """Queue one input line; a child that is gone is noticed by its end of output."""
        if not self._stdin.is_closing():
            self._stdin.write(line)

    def close_stdin(self) -> None:
        """Tell the child that no more input comes."""
        if not self._stdin.is_closing():
            self._stdin.close()

    def hold_output(self, *, is_held: bool) -> None:
        """Stop or go on taking its output; while it is held, the process soon waits in a write."""
        pipe = self._transport.get_pipe_transport(1)
        if isinstance(pipe, asyncio.ReadTransport) and not pipe.is_closing():
            pipe.pause_reading() if is_held else pipe.resume_reading()

    async def wait(self) -> None:
        """Wait until it ended and was collected, whoever still holds its output open."""
        await self._protocol.exited.wait()

    async def end_in_words(self) -> str:
        """How it ended, when its output has: waits a moment for the exit to be seen."""
        with suppress(TimeoutError):
            async with asyncio.timeout(EXIT_PATIENCE):
                await self.wait()
        code = self._process.returncode
        if code is None:
            return "the CLI closed its output"
        if code < 0:
            return f"the CLI ended by signal {-code} ({signal.strsignal(-code)})"
        return f"the CLI ended with exit code {code}"

    async def release_pipes(self, patience: float) -> None:
        """After the exit: read what is left, then close our ends.

        A grandchild that left the group can keep the output open for ever; without this the
        transport, and with it three descriptors, would stay.

        Args:
            patience: Seconds to wait for the end of the output.
        """
        self.hold_output(is_held=False)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._protocol.closed.wait()
        self._transport.close()


async def start_process(command: ClaudeCommand) -> ClaudeProcess:
    """Start a child in its own session and group, tied to our life by the kernel where it can.

    Raises:
        CliFailedError: It could not be started at all.
    """
    loop = asyncio.get_running_loop()
    before, protocol = child_pids(), _Protocol(loop)
    try:
        transport, _ = await loop.subprocess_exec(
            lambda: protocol,
            *tied_to_us(command.argv),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=command.cwd,
            env=dict(command.env),
            start_new_session=True,
        )
    except (OSError, RuntimeError) as error:
        # Where there is no thread or descriptor left to wait with, the process runs already. Between
        # the look before and this one nothing else has run in the loop.
        unwatched = set(child_pids()) - set(before)
        if unwatched:
            await _end_unwatched(unwatched, protocol)
        reason = getattr(error, "strerror", None) or str(error)
        raise CliFailedError(f"cannot start {command.argv[0]!r}: {reason}") from error
    process = asyncio.subprocess.Process(transport, protocol, loop)
    return ClaudeProcess(process, transport, protocol, secrets_in(command.env))


async def _end_unwatched(pids: set[int], protocol: _Protocol) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    # The pipes are connected in a task of their own, whatever has become of the process.
    with suppress(TimeoutError):
        (await asyncio.wait_for(protocol.transport, PIPES_DEADLINE)).close()


def signal_group(pgid: int, number: signal.Signals) -> bool:
    """Signal a whole group; False when it no longer exists."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, number)
        return True
    return False


def tied_to_us(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The command with the kernel's promise to kill it when we die, on Linux."""
    if sys.platform != "linux":
        return argv
    return (sys.executable, "-I", "-S", str(HELPER), str(os.getpid()), *argv)
