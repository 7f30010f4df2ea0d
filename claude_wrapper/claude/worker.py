"""One warm process and the conversation it holds: configure, load, ask, interrupt, take back."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from claude_wrapper.claude.command import TOOL_SERVERS
from claude_wrapper.claude.context import Context
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
from claude_wrapper.claude.messages import (
    assistant_line,
    fingerprint,
    has_remote_image,
    prompt_start,
    result_content,
    user_line,
)
from claude_wrapper.claude.tools import ToolBridge
from claude_wrapper.errors import CliFailedError

if TYPE_CHECKING:
    from claude_wrapper.claude.table import Child
    from claude_wrapper.lifecycle import ResourceTracker
    from claude_wrapper.model import Message, ToolSpec, TurnRequest

__all__ = ["Worker", "schema_key"]

# The CLI refuses an empty system prompt, and would otherwise keep the previous client's.
NEUTRAL_SYSTEM = "You are a helpful assistant."
START_DEADLINE = 30.0
LOAD_DEADLINE = 10.0
INTERRUPT_DEADLINE = 2.0
INTERRUPT_AGAIN = 0.25
# Taking back a very long conversation turn by turn takes longer than a fresh process.
MAX_REWINDS = 100


def schema_key(request: TurnRequest) -> str:
    """What a process is started for and cannot change later: the JSON schema of its answers."""
    return json.dumps(request.json_schema, sort_keys=True) if request.json_schema else ""


class Worker:
    """A process that speaks. One turn at a time; the pool sees to that.

    Attributes:
        inbox: What the process says during a turn, in order.
        context: The conversation it holds.
        owner: Whose conversation that is.
        session: The session it belongs to, or "".
        turns: How many turns it has run.
        is_doomed: It must not be used again after the turn that runs.
    """

    def __init__(self, child: Child, tracker: ResourceTracker, schema: str) -> None:
        self.child = child
        self.schema = schema
        self.inbox: asyncio.Queue[CliEvent] = asyncio.Queue()
        self.context = Context()
        self.owner = ""
        self.session = ""
        self.turns = 0
        self.born = self.last_used = time.monotonic()
        self.has_ended = False
        self.is_doomed = False
        self.channel = ControlChannel(child.process.write_line)
        self.tools = ToolBridge(self.channel)
        self._flags: dict[str, Any] = {}
        self._system = NEUTRAL_SYSTEM
        self._offered: tuple[ToolSpec, ...] = ()
        self._server = 0
        tracker.spawn(self._read(), name=f"cli-reader {child.pid}")

    async def start(self) -> None:
        """Shake hands.

        Raises:
            CliFailedError: The process ended or did not answer in 30 s.
        """
        schema = {"jsonSchema": json.loads(self.schema)} if self.schema else {}
        await self.channel.ask(
            "initialize",
            deadline=START_DEADLINE,
            hooks=None,
            systemPrompt=[NEUTRAL_SYSTEM],
            # With a snapshot the first client's system prompt would stay for ever.
            systemPromptSnapshot=False,
            **schema,
        )

    async def configure(self, request: TurnRequest) -> None:
        """Set model, limits, system prompt and tools for the next API request.

        Raises:
            CliFailedError: The CLI refused or ended.
        """
        await self._set_system(request)
        await self._set_flags(request)
        if request.tools != self._offered:
            await self._set_tools(request.tools)
        self.owner = request.owner
        self.session = request.session

    async def load(self, history: tuple[Message, ...]) -> None:
        """Add the part of a conversation that is not held yet; nothing is asked of the model."""
        missing = history[len(self.context.fingerprints) :]
        while missing:
            if missing[0].role == "assistant":
                self._write(assistant_line(missing[0]))
                self.context.add([fingerprint(missing[0])])
                missing = missing[1:]
                continue
            size = next((i for i, m in enumerate(missing) if m.role == "assistant"), len(missing))
            await self._load_user_turn(missing[:size])
            missing = missing[size:]

    def ask(self, prompt: tuple[Message, ...]) -> None:
        """Send the last user turn; the answer comes to the inbox."""
        self._send_user_turn(prompt, ask=True)

    def give_results(self, results: tuple[Message, ...]) -> None:
        """Answer the parked tool calls; the turn goes on."""
        for message in results:
            self.tools.resolve(message, result_content(message))

    async def interrupt(self) -> bool:
        """Stop the running turn; False when the process does not obey in time."""
        try:
            async with asyncio.timeout(INTERRUPT_DEADLINE):
                return await self._interrupt_until_it_ends()
        except (CliFailedError, TimeoutError):
            return False
        finally:
            self.tools.forget()

    async def rewind(self) -> bool:
        """Take the newest user turn back; False when that cannot be proved."""
        return await self._rewind_to(max(0, len(self.context.points) - 1))

    async def reset(self) -> bool:
        """Take everything back, so that nothing of the conversation is left; False as above."""
        if len(self.context.points) > MAX_REWINDS:
            return False
        return await self._rewind_to(0)

    def holds(self, request: TurnRequest) -> bool:
        """Whether the request continues what is held here (or nothing is held)."""
        if self.context.is_empty:
            return True
        history = request.messages[: prompt_start(request.messages)]
        if self.owner != request.owner:
            return False
        return self.context.is_prefix_of([fingerprint(message) for message in history])

    def waits_for(self, request: TurnRequest) -> bool:
        """Whether the request brings exactly the results that are parked here."""
        start = prompt_start(request.messages)
        prompt = request.messages[start:]
        ids = frozenset(message.tool_call_id for message in prompt if message.role == "tool")
        history = [fingerprint(message) for message in request.messages[:start]]
        return (
            len(ids) == len(prompt)
            and not any(map(has_remote_image, prompt))
            and ids == self.tools.parked
            and request.tools == self._offered
            and self.owner == request.owner
            and schema_key(request) == self.schema
            and self.context.fingerprints == history
        )

    def discard_inbox(self) -> None:
        """Forget what came after the turn was over."""
        with suppress(asyncio.QueueEmpty):
            while True:
                self.inbox.get_nowait()

    async def _set_system(self, request: TurnRequest) -> None:
        system = request.system or NEUTRAL_SYSTEM
        if system != self._system:
            # A model named here would be tried out with a paid request of its own. Without one
            # the session falls back to the default model, so the flags must be set again.
            await self.channel.ask("set_model", system_prompt=system)
            self._system = system
            self._flags = {}

    async def _set_flags(self, request: TurnRequest) -> None:
        limit = "" if request.max_tokens is None else str(request.max_tokens)
        env = {
            "CLAUDE_CODE_MAX_OUTPUT_TOKENS": limit,
            "CLAUDE_CODE_EXTRA_BODY": json.dumps(request.body),
        }
        flags = {"model": request.model, "env": env}
        if flags != self._flags:
            await self.channel.ask("apply_flag_settings", settings=flags)
            self._flags = flags

    async def _set_tools(self, tools: tuple[ToolSpec, ...]) -> None:
        self._server = 1 - self._server
        name = TOOL_SERVERS[self._server]
        self.tools.offer(tools)
        servers = {name: {"type": "sdk", "name": name}} if tools else {}
        await self.channel.ask("mcp_set_servers", servers=servers)
        self._offered = tools

    async def _load_user_turn(self, messages: tuple[Message, ...]) -> None:
        self._send_user_turn(messages, ask=False)
        # Without waiting for this empty result the next assistant line overtakes the turn.
        async with asyncio.timeout(LOAD_DEADLINE):
            if not await self._drain_turn():
                raise CliFailedError("the CLI ended while the conversation was loaded")
        self.context.add([fingerprint(message) for message in messages])

    def _send_user_turn(self, messages: tuple[Message, ...], *, ask: bool) -> None:
        name = str(uuid.uuid4())
        self.context.begin(name)
        self._write(user_line(messages, name, ask=ask))

    async def _interrupt_until_it_ends(self) -> bool:
        # An interrupt that arrives just before its turn begins is answered and has no effect.
        while True:
            await self.channel.ask("interrupt", deadline=INTERRUPT_DEADLINE)
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERRUPT_AGAIN):
                    return await self._drain_turn()

    async def _drain_turn(self) -> bool:
        while True:
            event = await self.inbox.get()
            if isinstance(event, ResultEvent):
                return True
            if isinstance(event, ProcessEnded):
                self.inbox.put_nowait(event)
                return False

    async def _rewind_to(self, keep: int) -> bool:
        self.discard_inbox()
        while len(self.context.points) > keep:
            try:
                reply = await self.channel.ask(
                    "rewind_conversation",
                    deadline=INTERRUPT_DEADLINE,
                    target_message_uuid=self.context.points[-1].uuid,
                )
            except CliFailedError:
                return False
            splits = reply.get("reason") == "target_splits_tool_call"
            if not reply.get("rewound") and not (splits and len(self.context.points) > 1):
                return False
            # A turn of tool results cannot go alone: it goes with the prompt before it.
            keep = min(keep, len(self.context.points) - 2) if splits else keep
            self.context.undo()
        return True

    def _write(self, line: dict[str, Any]) -> None:
        self.child.process.write_line(encode(line))

    async def _read(self) -> None:
        reason = "the CLI ended"
        try:
            while line := await self.child.process.read_line():
                if line.strip():
                    self._dispatch(parse_line(line))
        except CliFailedError as error:
            reason = error.message
        finally:
            self.has_ended = True
            self.channel.close(reason)
            process = self.child.process
            stderr = process.stderr or reason
            self.inbox.put_nowait(ProcessEnded(exit_code=process.exit_code, stderr=stderr))

    def _dispatch(self, event: CliEvent) -> None:
        if isinstance(event, ControlReply):
            self.channel.take(event)
        elif isinstance(event, ControlRequest):
            self._answer(event)
            # Shows the turn that something was parked.
            self.inbox.put_nowait(OtherEvent(kind="control_request"))
        else:
            self.inbox.put_nowait(event)

    def _answer(self, request: ControlRequest) -> None:
        if request.subtype == "mcp_message":
            self.tools.take(request)
        else:
            self.channel.refuse(request.request_id, f"{request.subtype!r} is not offered here")
