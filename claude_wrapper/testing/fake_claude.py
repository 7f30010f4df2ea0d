#!/usr/bin/env python3
"""A fake `claude` executable: a real process that speaks the real stream-json protocol.

It needs nothing but the standard library and the files beside it. What it answers is steered by
directives in the newest user text; without any it answers in a friendly way, word by word, which is
what the demo shows::

    [[text:hello]]              answer with this text
    [[context]]                 answer with what the API would have been sent, as JSON
    [[chunks:50]] [[delay:0.02]]     so many pieces, and seconds before each
    [[tool:NAME {"a": 1}]]      call a tool of the client; several directives call several at once
    [[json:{"a": 1}]]           the object for a JSON schema
    [[status:429]]              an API error
    [[hang]] [[midhang]]        silence before or after the first piece
    [[stuck]]                   silence; neither interrupts nor the end of input are obeyed
    [[deaf]]                    from the end of this turn on nothing is answered any more
    [[mute]]                    close the output after the first piece, and live on
    [[garbage]] [[partial]]     after the first piece a line that is no JSON, or half a line
    [[maxtok]] [[refuse]]       stop at the token limit, or refuse, then ask once more by itself
    [[anew]]                    after each piece begin the answer anew
    [[stopseq:END]]             stop because this sequence was met
    [[crash]]                   die after the first piece
    [[huge:2000000]]            one piece of so many characters, so one very long line
    [[stderr:2000000]]          print so many characters on standard error, without an end of line
    [[ignore-sigterm]]          SIGTERM does nothing from now on
    [[grandchild]]              start a process in the same group; the answer is its pid
    [[escapee]]                 as before, in a session of its own and holding our output open
    [[stranger]]                as before, and with an empty environment
    [[hidden]]                  as before, in another folder, without our output
    [[orphan]]                  as before, by a parent that ends at once
    [[pid]]                     answer with the own pid

A directive that makes no sense is answered as an API error 400 that says why.

Options before the real ones, for a script that wraps this one: `--fake-crash` (die at start),
`--fake-short-life` (die after the handshake), `--fake-deaf` (never answer), `--fake-chatter` (print
without being asked, without end), `--fake-amnesia` (forget what it was to begin with),
`--fake-delay SECONDS` (before each word of an answer without directives).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from claude_wrapper.testing.fake_conversation import Conversation
    from claude_wrapper.testing.fake_script import Script
    from claude_wrapper.testing.fake_speech import Speech
    from claude_wrapper.testing.fake_wire import Wire
else:
    # Run as a script: its folder is on the path, and this package need not be installed.
    from fake_conversation import Conversation
    from fake_script import Script
    from fake_speech import Speech
    from fake_wire import Wire

VERSION = "0.0.0-fake (Claude Code)"
OWN_TOOLS = frozenset(["Agent", "ExitPlanMode", "StructuredOutput", "ToolSearch"])
RESULT_TEXT = "Structured output provided successfully"
CONTINUE = "Output token limit hit. Resume directly"


class _FakeClaude:
    """One process: reads lines, answers lines."""

    def __init__(self, options: list[str]) -> None:
        self.wire = Wire()
        self.conversation = Conversation()
        self.speech = Speech(self.wire, self.conversation, lambda: self.model)
        self.word_delay = 0.0
        if "--fake-delay" in options:
            self.word_delay = float(options[options.index("--fake-delay") + 1])
        if "--resume" in options and "--fake-amnesia" not in options:
            self.conversation.resume(options[options.index("--resume") + 1])
        self.is_deaf = "--fake-deaf" in options
        self.has_short_life = "--fake-short-life" in options
        self.is_chatty = "--fake-chatter" in options
        self.system = ""
        self.schema: dict[str, Any] | None = None
        named = [option[8:] for option in options if option.startswith("--model=")]
        self.model = named[0] if named else "claude-fake"
        self.env: dict[str, str] = {}
        self.told: list[dict[str, Any]] = []
        self.servers: list[str] = []
        self.is_connected = False
        self.tools: list[dict[str, Any]] = []
        self.turn: asyncio.Task[None] | None = None
        self.is_stuck = False
        self.queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    # -- lines in

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=64 << 20)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        worker = asyncio.create_task(self.work())
        while line := await reader.readline():
            if not self.is_deaf:
                self.take(json.loads(line))
        if self.is_stuck or self.is_deaf:
            await asyncio.Event().wait()
        worker.cancel()

    def take(self, line: dict[str, Any]) -> None:
        kind = line["type"]
        if kind == "control_request":
            self.control(line["request_id"], line["request"])
        elif kind == "control_response":
            self.wire.take_reply(line["response"])
        elif kind == "assistant":
            # Overtakes queued user lines, as the real one does.
            self.conversation.add("assistant", line["message"]["content"])
        elif kind == "user":
            self.queue.put_nowait(line)

    def control(self, request_id: str, request: dict[str, Any]) -> None:
        handler = getattr(self, "on_" + request["subtype"], None)
        if handler is None:
            error = f"Unsupported control request subtype: {request['subtype']}"
            self.wire.refuse(request_id, error)
        elif not self.is_stuck or request["subtype"] != "interrupt":
            self.wire.reply(request_id, handler(request))
        if self.has_short_life:
            os._exit(7)
        while self.is_chatty:
            self.wire.send(type="system", subtype="chatter")

    def on_initialize(self, request: dict[str, Any]) -> dict[str, Any]:
        self.system = "".join(request.get("systemPrompt") or [])
        self.schema = request.get("jsonSchema")
        return {"commands": [], "pid": os.getpid()}

    def on_apply_flag_settings(self, request: dict[str, Any]) -> dict[str, Any]:
        settings = request["settings"]
        self.change_model(settings.get("model", self.model))
        self.env.update(settings.get("env") or {})
        return {}

    def on_set_model(self, request: dict[str, Any]) -> dict[str, Any]:
        self.change_model(request.get("model", "claude-fake-default"))
        self.system = request.get("system_prompt", self.system)
        return {"model": self.model}

    def change_model(self, model: str) -> None:
        """As the real one, which writes the command into a conversation that has begun."""
        if model != self.model and self.conversation.messages():
            text = f"<command-name>/model</command-name> {model}"
            self.told.append({"type": "text", "text": text})
        self.model = model

    def on_mcp_set_servers(self, request: dict[str, Any]) -> dict[str, Any]:
        before, self.servers = self.servers, list(request["servers"])
        self.is_connected, self.tools = False, []
        return {"added": self.servers, "removed": before, "errors": {}}

    def on_rewind_conversation(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.conversation.rewind(request["target_message_uuid"])

    def on_interrupt(self, _request: dict[str, Any]) -> dict[str, Any]:
        if self.turn is not None:
            self.turn.cancel()
        return {"still_queued": []}

    # -- turns

    async def work(self) -> None:
        while True:
            line = await self.queue.get()
            content, self.told = [*self.told, *line["message"]["content"]], []
            self.conversation.begin(line.get("uuid", ""), content)
            if line.get("shouldQuery") is False:
                self.wire.result(num_turns=0)
                continue
            self.turn = asyncio.create_task(self.answer())
            try:
                await self.turn
            except asyncio.CancelledError:
                self.conversation.add("user", "[Request interrupted by user]")
                self.wire.result(
                    is_error=True,
                    subtype="error_during_execution",
                    terminal_reason="aborted_streaming",
                )
            self.turn = None

    async def answer(self) -> None:
        if self.servers and not self.is_connected:
            await self.connect()
        tools = [tool["name"] for tool in self.tools]
        tools += ["StructuredOutput"] if self.schema is not None else []
        self.wire.send(type="system", subtype="init", model=self.model, tools=tools)
        script = Script(self.conversation.newest_text())
        await self.obey(script)
        self.is_deaf = "deaf" in script

    async def connect(self) -> None:
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}}
        await self.wire.rpc(self.servers[0], "initialize", params)
        notification = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await self.wire.ask(
            subtype="mcp_message", server_name=self.servers[0], message=notification
        )
        listed = (await self.wire.rpc(self.servers[0], "tools/list", {})).get("tools", [])
        # The real one checks the list as a whole: one tool that is not as it should be loses all.
        is_sound = all(tool["inputSchema"].get("type") == "object" for tool in listed)
        # Nor does it let the model see one that it takes for its own.
        offered = [tool for tool in listed if tool["name"] not in OWN_TOOLS]
        self.tools = offered if is_sound else []
        self.is_connected = True

    async def obey(self, script: Script) -> None:
        if script.mistake:
            return self.speech.api_error(400, script.mistake)
        if "status" in script:
            return self.speech.api_error(int(script.flags["status"]))
        self.misbehave(script)
        if "hang" in script or "stuck" in script:
            await asyncio.Event().wait()
        if self.schema is not None:
            return await self.structured(script)
        if script.calls:
            await self.call_tools(script.calls)
            return await self.say(
                ["results: ", " | ".join(self.conversation.newest_results())], Script("")
            )
        pieces = [json.dumps(self.request())] if "context" in script else script.pieces()
        return await self.say(pieces, script)

    def misbehave(self, script: Script) -> None:
        self.is_stuck = "stuck" in script
        if "ignore-sigterm" in script:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if "stderr" in script:
            sys.stderr.write("e" * int(script.flags["stderr"]))
            sys.stderr.flush()

    def request(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "system": self.system,
            "messages": self.conversation.messages(),
            "tools": self.tools,
            "env": self.env,
        }

    async def say(self, pieces: list[str], script: Script) -> None:
        self.speech.message_start()
        self.wire.event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        delay = float(script.flags.get("delay", self.word_delay))
        for piece in pieces:
            await asyncio.sleep(delay)
            delta = {"type": "text_delta", "text": piece}
            self.wire.event("content_block_delta", index=0, delta=delta)
            await self.break_off(script)
        self.wire.event("content_block_stop", index=0)
        text = "".join(pieces)
        self.speech.finish_message([{"type": "text", "text": text}], *script.ending())
        if {"maxtok", "refuse"} & script.flags.keys():
            self.conversation.add("user", CONTINUE)
            await asyncio.sleep(0.05)
            return await self.say(["never", "wanted"], Script(""))
        self.wire.result(text=text)
        return None

    async def break_off(self, script: Script) -> None:
        """Whatever goes wrong after the first piece."""
        if "crash" in script:
            os._exit(9)
        if "anew" in script:
            self.speech.message_start()
        if "garbage" in script:
            self.wire.send_raw("Segmentation fault\n")
        if "partial" in script:
            self.wire.send_raw('{"type": "stream_ev')
        if "mute" in script:
            os.close(1)
        if {"mute", "midhang", "partial"} & script.flags.keys():
            await asyncio.Event().wait()

    async def structured(self, script: Script) -> None:
        value = json.loads(script.flags.get("json", "{}"))
        call = f"StructuredOutput {json.dumps(value)}"
        [block] = self.speech.tool_blocks([call])
        content = [{"type": "tool_result", "tool_use_id": block["id"], "content": RESULT_TEXT}]
        self.conversation.add("user", content)
        self.wire.result(text=json.dumps(value), structured_output=value, num_turns=2)

    async def call_tools(self, calls: list[str]) -> None:
        known = {tool["name"] for tool in self.tools}
        blocks = self.speech.tool_blocks([_as_offered(call, known) for call in calls])
        results = await asyncio.gather(*(self.call_tool(block, known) for block in blocks))
        self.conversation.add("user", list(results))

    async def call_tool(self, block: dict[str, Any], known: set[str]) -> dict[str, Any]:
        content: Any = [{"type": "text", "text": f"No such tool available: {block['name']}"}]
        if block["name"] in known:
            params = {
                "name": block["name"],
                "arguments": block["input"],
                "_meta": {"claudecode/toolUseId": block["id"]},
            }
            result = await self.wire.rpc(self.servers[0], "tools/call", params)
            content = _as_kept(result.get("content", []), self.tools)
            if result.get("isError"):
                content = [{"type": "text", "text": "failed: "}, *content]
        return {"type": "tool_result", "tool_use_id": block["id"], "content": content}


def _as_kept(content: list[dict[str, Any]], tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the model is shown of a result: of one that is too long only where it was put."""
    asked = [tool.get("_meta", {}).get("anthropic/maxResultSizeChars", 50_000) for tool in tools]
    most = min([500_000, *asked])
    if sum(len(part.get("text", "")) for part in content) <= most:
        return content
    return [{"type": "text", "text": "<persisted-output>"}]


def _as_offered(call: str, known: set[str]) -> str:
    """The call by the name under which the model sees the tool, whatever its client calls it."""
    name, _, arguments = call.partition(" ")
    marked = f"{name}_"
    return f"{marked} {arguments}" if marked in known and name not in known else call


def main() -> None:
    """Run as the CLI would."""
    arguments = sys.argv[1:]
    if "--version" in arguments:
        sys.stdout.write(VERSION + "\n")
        return
    if "--fake-crash" in arguments:
        sys.exit("fake crash at start")
    asyncio.run(_FakeClaude(arguments).run())


if __name__ == "__main__":
    main()
