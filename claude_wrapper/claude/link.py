"""The line to one process: its output, line by line, to whoever each line is for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from claude_wrapper.claude.control import ControlChannel, encode
from claude_wrapper.claude.events import (
    CliEvent,
    ControlReply,
    ControlRequest,
    OtherEvent,
    ProcessEnded,
    ResultEvent,
    parse_line,
)
from claude_wrapper.claude.tools import ToolBridge
from claude_wrapper.errors import CliFailedError

if TYPE_CHECKING:
    from claude_wrapper.claude.process import ClaudeProcess
    from claude_wrapper.lifecycle import ResourceTracker

__all__ = ["MOST_UNREAD", "CliLink"]

# Events that nobody takes: a turn takes them at once, so a process that says so much between turns
# is not the one we know.
MOST_UNREAD = 20_000


class CliLink:
    """Reads a process until its output ends.

    Attributes:
        inbox: What it says during a turn, in order.
        channel: Questions to it, and their answers.
        tools: Answers its questions about the client's tools.
        has_ended: Its output has ended, or could not be understood: it is of no more use.
        end_reason: Why, in words; with what it printed on standard error.
    """

    def __init__(self, process: ClaudeProcess, tracker: ResourceTracker) -> None:
        self._process = process
        self.inbox: asyncio.Queue[CliEvent] = asyncio.Queue()
        self.channel = ControlChannel(process.write_line)
        self.tools = ToolBridge(self.channel)
        self.has_ended = False
        self.end_reason = ""
        tracker.spawn(self._read(), name=f"cli-reader {process.pid}")

    def write(self, line: dict[str, Any]) -> None:
        """Send one line."""
        self._process.write_line(encode(line))

    def discard(self) -> None:
        """Forget what came after the turn was over."""
        with suppress(asyncio.QueueEmpty):
            while True:
                self.inbox.get_nowait()

    async def drain_turn(self) -> bool:
        """Skip everything up to the end of the turn; False when the process ended before it."""
        while True:
            event = await self.inbox.get()
            if isinstance(event, ResultEvent):
                return True
            if isinstance(event, ProcessEnded):
                self.inbox.put_nowait(event)
                return False

    async def _read(self) -> None:
        reason = "the CLI ended"
        try:
            while line := await self._process.read_line():
                if line.strip():
                    self._dispatch(parse_line(line))
            self.has_ended = True
            reason = await self._process.end_in_words()
        except CliFailedError as error:
            reason = error.message
        finally:
            self.has_ended = True
            self.channel.close(reason)
            self.end_reason = f"{reason}: {self._process.stderr}".strip(": ")
            self.inbox.put_nowait(ProcessEnded(reason=self.end_reason))

    def _dispatch(self, event: CliEvent) -> None:
        if isinstance(event, ControlReply):
            self.channel.take(event)
            return
        if isinstance(event, ControlRequest):
            self._answer(event)
            # Shows the turn that something was parked.
            event = OtherEvent(kind="control_request")
        if self.inbox.qsize() >= MOST_UNREAD:
            raise CliFailedError(f"the CLI printed {MOST_UNREAD} lines that nobody had asked for")
        self.inbox.put_nowait(event)

    def _answer(self, request: ControlRequest) -> None:
        if request.subtype == "mcp_message":
            self.tools.take(request)
        else:
            self.channel.refuse(request.request_id, f"{request.subtype!r} is not offered here")
