"""One warm process and the conversation it holds: configure, load, ask, interrupt, take back."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from claude_wrapper.claude.command import TOOL_SERVERS
from claude_wrapper.claude.context import Context
from claude_wrapper.claude.link import CliLink
from claude_wrapper.claude.messages import (
    assistant_line,
    result_content,
    user_line,
)
from claude_wrapper.claude.thinking import must_not_think
from claude_wrapper.claude.tool_names import with_cli_names
from claude_wrapper.claude.transcript import PROBE, turns_of
from claude_wrapper.errors import CliFailedError

if TYPE_CHECKING:
    from claude_wrapper.claude.child import Child
    from claude_wrapper.claude.events import CliEvent
    from claude_wrapper.claude.transcript import Past
    from claude_wrapper.claude.wanted import Wanted
    from claude_wrapper.lifecycle import ResourceTracker
    from claude_wrapper.model import Message, ToolSpec, TurnRequest

__all__ = ["Worker"]

# The CLI refuses an empty system prompt, and would otherwise keep the previous client's.
NEUTRAL_SYSTEM = "You are a helpful assistant."
START_DEADLINE = 30.0
STOPPED_INTERVAL = 1.0
LOAD_DEADLINE = 10.0
INTERRUPT_DEADLINE = 2.0
INTERRUPT_AGAIN = 0.25
# Taking back a very long conversation turn by turn takes longer than a fresh process.
MAX_REWINDS = 100


class Worker:
    """A process that speaks. One turn at a time; the pool sees to that.

    Args:
        child: The process.
        tracker: Runs the reading of its output.
        schema: The JSON schema that all its answers follow, or "".
        now: Monotonic seconds, for its age.

    Attributes:
        link: What the process says, and what is said to it.
        context: The conversation it holds.
        owner: Whose conversation that is.
        session: The session it belongs to, or "".
        turns: How many turns it has run.
        is_untried: It has not been asked anything yet.
        is_doomed: It must not be used again after the turn that runs.
    """

    def __init__(self, child: Child, tracker: ResourceTracker, schema: str, now: float) -> None:
        self.child = child
        self.schema = schema
        self._tracker = tracker
        self.link = CliLink(child.process, tracker)
        self.context = Context()
        self.owner = ""
        self.session = ""
        self.turns = 0
        self.born = self.last_used = now
        self.is_untried = True
        self.is_doomed = False
        # Each is unknown (None, or empty) between the question and its answer: one that comes too
        # late has an effect all the same, and the next client must not live with it.
        self._flags: dict[str, Any] = {}
        self._system: str | None = NEUTRAL_SYSTEM
        self._model: str | None = None
        self._offered: tuple[ToolSpec, ...] | None = ()
        self._server = 0

    @property
    def has_ended(self) -> bool:
        """It ended, or can no longer be understood."""
        return self.link.has_ended

    @property
    def inbox(self) -> asyncio.Queue[CliEvent]:
        """What the process says during a turn, in order."""
        return self.link.inbox

    @property
    def parked_calls(self) -> frozenset[str]:
        """The ids of the tool calls that wait for their results."""
        return self.link.tools.parked

    async def start(self, system: str = "") -> None:
        """Shake hands.

        Args:
            system: The system prompt to begin with.

        Raises:
            CliFailedError: The process ended, at once or after its answer, or did not answer in
                30 s.
        """
        schema = {"jsonSchema": json.loads(self.schema)} if self.schema else {}
        watch = self._tracker.spawn(self._give_up_when_stopped(), name="cli-start-watch")
        try:
            await self.link.channel.ask(
                "initialize",
                deadline=START_DEADLINE,
                hooks=None,
                systemPrompt=[system or NEUTRAL_SYSTEM],
                # With a snapshot the first client's system prompt would stay for ever.
                systemPromptSnapshot=False,
                **schema,
            )
        finally:
            watch.cancel()
        self._system = system or NEUTRAL_SYSTEM
        if self.has_ended:
            raise CliFailedError("the CLI ended right after it had started")

    async def _give_up_when_stopped(self) -> None:
        while not self.child.is_stopped:
            await asyncio.sleep(STOPPED_INTERVAL)
        self.link.channel.close("the CLI was stopped by a signal while it started")

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

    async def load(self, wanted: Wanted) -> None:
        """Add the part of the history that is not held yet; nothing is asked of the model.

        Raises:
            CliFailedError: The CLI ended, or did not take a message in time.
        """
        held = len(self.context.fingerprints)
        for turn in turns_of(wanted.history[held:]):
            if turn[0].role == "assistant":
                self.link.write(assistant_line(turn[0]))
            else:
                await self._load_user_turn(turn)
            self.context.add(wanted.fingerprints[held : held + len(turn)])
            held += len(turn)

    async def prove(self, past: Past, request: TurnRequest) -> None:
        """Make sure that the process holds what it was to begin with, and note whose that is.

        Raises:
            CliFailedError: It holds something else, or cannot tell.
        """
        await self._load_user_turn((PROBE,))
        reply = await self.link.channel.ask(
            "rewind_conversation", target_message_uuid=self.context.points[-1].uuid
        )
        if not reply.get("rewound") or reply.get("precedingAssistantUuid") != past.tip:
            raise CliFailedError("the CLI did not take a long conversation in one piece")
        self.context.undo()
        self.context.add(past.fingerprints)
        self.discard_inbox()
        self.owner, self.session, self._model = request.owner, request.session, past.model

    def ask(self, prompt: tuple[Message, ...]) -> None:
        """Send the last user turn; the answer comes to the inbox."""
        self.is_untried = False
        self._send_user_turn(prompt, ask=True)

    def give_results(self, results: tuple[Message, ...]) -> None:
        """Answer the parked tool calls; the turn goes on."""
        for message in results:
            self.link.tools.resolve(message, result_content(message))

    async def interrupt(self) -> bool:
        """Stop the running turn; False when the process does not obey in time."""
        try:
            async with asyncio.timeout(INTERRUPT_DEADLINE):
                return await self._interrupt_until_it_ends()
        except (CliFailedError, TimeoutError):
            return False
        finally:
            self.link.tools.forget()

    async def rewind(self) -> bool:
        """Take the newest user turn back; False when that cannot be proved."""
        return await self._rewind_to(max(0, len(self.context.points) - 1))

    async def reset(self) -> bool:
        """Take everything back, so that nothing of the conversation is left; False as above."""
        if len(self.context.points) > MAX_REWINDS:
            return False
        # An answer that no question came before has no turn by which it could be taken back.
        return await self._rewind_to(0) and self.context.is_empty

    def holds(self, wanted: Wanted) -> bool:
        """Whether the request continues what is held here (or nothing is held)."""
        if self.context.is_empty:
            return True
        if self.owner != wanted.request.owner or not self._is_set_for(wanted.request):
            return False
        return self.context.is_prefix_of(wanted.fingerprints)

    def waits_for(self, wanted: Wanted) -> bool:
        """Whether the request brings exactly the results that are parked here."""
        parked = self.parked_calls
        return (
            bool(parked)
            and wanted.result_ids == parked
            and wanted.request.tools == self._offered
            and self.owner == wanted.request.owner
            and self._is_set_for(wanted.request)
            and wanted.schema == self.schema
            and self.context.fingerprints == wanted.fingerprints
        )

    def waits_in_vain(self, wanted: Wanted) -> bool:
        """Whether the request answers calls that are parked here, but not so that they could go on."""
        return (
            self.owner == wanted.request.owner
            and bool(self.parked_calls & wanted.answered_ids)
            and not self.waits_for(wanted)
        )

    def _is_set_for(self, request: TurnRequest) -> bool:
        """Whether model and system prompt are those of the request.

        Where they change within a conversation, the CLI writes a command and its output into it.
        """
        return request.model == self._model and (request.system or NEUTRAL_SYSTEM) == self._system

    def discard_inbox(self) -> None:
        """Forget what came after the turn was over."""
        self.link.discard()

    async def _set_system(self, request: TurnRequest) -> None:
        system = request.system or NEUTRAL_SYSTEM
        if system != self._system:
            # A model named here would be tried out with a paid request of its own. Without one
            # the session falls back to the default model, so the flags must be set again.
            self._system, self._model, self._flags = None, None, {}
            await self.link.channel.ask("set_model", system_prompt=system)
            self._system = system

    async def _set_flags(self, request: TurnRequest) -> None:
        limit = "" if request.max_tokens is None else str(request.max_tokens)
        env = {
            "CLAUDE_CODE_MAX_OUTPUT_TOKENS": limit,
            "CLAUDE_CODE_EXTRA_BODY": json.dumps(with_cli_names(request.body)),
            "CLAUDE_CODE_DISABLE_THINKING": "1" if must_not_think(request) else "",
        }
        flags = {"model": request.model, "env": env}
        if flags != self._flags:
            self._flags, self._model = {}, None
            await self.link.channel.ask("apply_flag_settings", settings=flags)
            self._flags, self._model = flags, request.model

    async def _set_tools(self, tools: tuple[ToolSpec, ...]) -> None:
        self._server = 1 - self._server
        name = TOOL_SERVERS[self._server]
        self.link.tools.offer(tools)
        self._offered = None
        servers = {name: {"type": "sdk", "name": name}} if tools else {}
        await self.link.channel.ask("mcp_set_servers", servers=servers)
        self._offered = tools

    async def _load_user_turn(self, messages: tuple[Message, ...]) -> None:
        self._send_user_turn(messages, ask=False)
        # Without waiting for this empty result the next assistant line overtakes the turn.
        try:
            async with asyncio.timeout(LOAD_DEADLINE):
                if not await self.link.drain_turn():
                    raise CliFailedError("the CLI ended while the conversation was loaded")
        except TimeoutError:
            raise CliFailedError(
                f"the CLI did not take a message of the conversation within {LOAD_DEADLINE:g} s"
            ) from None

    def _send_user_turn(self, messages: tuple[Message, ...], *, ask: bool) -> None:
        name = str(uuid.uuid4())
        self.context.begin(name)
        self.link.write(user_line(messages, name, ask=ask))

    async def _interrupt_until_it_ends(self) -> bool:
        # An interrupt that arrives just before its turn begins is answered and has no effect.
        while True:
            await self.link.channel.ask("interrupt", deadline=INTERRUPT_DEADLINE)
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERRUPT_AGAIN):
                    return await self.link.drain_turn()

    async def _rewind_to(self, keep: int) -> bool:
        self.discard_inbox()
        while len(self.context.points) > keep:
            try:
                reply = await self.link.channel.ask(
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
