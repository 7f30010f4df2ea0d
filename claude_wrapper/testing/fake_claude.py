#!/usr/bin/env python3
"""A fake `claude` executable: a real process that speaks the real stream-json protocol.

It needs nothing but the standard library. What it answers is steered by directives in the newest
user text; without any it answers in a friendly way, word by word, which is what the demo shows::

    [[text:hello]]              answer with this text
    [[context]]                 answer with what the API would have been sent, as JSON
    [[chunks:50]] [[delay:0.02]]     so many pieces, and seconds before each
    [[tool:NAME {"a": 1}]]      call a tool of the client; several directives call several at once
    [[json:{"a": 1}]]           the object for a JSON schema
    [[status:429]]              an API error
    [[hang]] [[midhang]]        silence before or after the first piece
    [[stuck]]                   silence; neither interrupts nor the end of input are obeyed
    [[maxtok]]                  stop at the token limit, then go on by itself as the real one does
    [[stopseq:END]]             stop because this sequence was met
    [[crash]]                   die after the first piece
    [[huge:2000000]]            one piece of so many characters, so one very long line
    [[ignore-sigterm]]          SIGTERM does nothing from now on
    [[grandchild]]              start a process in the same group; the answer is its pid
    [[escapee]]                 as before, in a session of its own and holding our output open
    [[pid]]                     answer with the own pid

Options before the real ones, for a script that wraps this one: `--fake-crash` (die at start),
`--fake-delay SECONDS` (before each word of an answer without directives).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import uuid
from typing import Any

VERSION = "0.0.0-fake (Claude Code)"
DIRECTIVE = re.compile(r"\[\[([\w-]+)(?::(.*?))?\]\](?!\])", re.DOTALL)
RESULT_TEXT = "Structured output provided successfully"
CONTINUE = "Output token limit hit. Resume directly"


class _Conversation:
    """What the model would be sent: turns that can be taken back, newest first."""

    def __init__(self) -> None:
        self.turns: list[dict[str, Any]] = []

    def begin(self, name: str, content: Any) -> None:
        self.turns.append({"uuid": name, "messages": [{"role": "user", "content": content}]})

    def add(self, role: str, content: Any) -> None:
        if not self.turns:
            self.turns.append({"uuid": "", "messages": []})
        self.turns[-1]["messages"].append({"role": role, "content": content})

    def messages(self) -> list[dict[str, Any]]:
        return [message for turn in self.turns for message in turn["messages"]]

    def rewind(self, name: str) -> dict[str, Any]:
        newest = next((t for t in reversed(self.turns) if not t.get("hidden")), None)
        if newest is None or newest["uuid"] != name:
            return {"rewound": False, "error": "stale target", "reason": "stale_target"}
        first = newest["messages"][0]["content"]
        if isinstance(first, list) and any(part.get("type") == "tool_result" for part in first):
            newest["hidden"] = True
            return {"rewound": False, "reason": "target_splits_tool_call"}
        while self.turns.pop() is not newest:
            pass
        return {"rewound": True, "targetMessageUuid": name}


class _FakeClaude:
    """One process: reads lines, answers lines."""

    def __init__(self, word_delay: float) -> None:
        self.word_delay = word_delay
        self.session = str(uuid.uuid4())
        self.conversation = _Conversation()
        self.system = ""
        self.schema: dict[str, Any] | None = None
        self.model = "claude-fake"
        self.env: dict[str, str] = {}
        self.servers: list[str] = []
        self.is_connected = False
        self.tools: list[dict[str, Any]] = []
        self.numbers = itertools.count(1)
        self.waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.turn: asyncio.Task[None] | None = None
        self.is_stuck = False
        self.queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    # -- lines in and out

    def send(self, **document: Any) -> None:
        line = json.dumps({**document, "session_id": self.session, "uuid": str(uuid.uuid4())})
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=64 << 20)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        worker = asyncio.create_task(self.work())
        while line := await reader.readline():
            self.take(json.loads(line))
        if self.is_stuck:
            await asyncio.Event().wait()
        worker.cancel()

    def take(self, line: dict[str, Any]) -> None:
        kind = line["type"]
        if kind == "control_request":
            self.control(line["request_id"], line["request"])
        elif kind == "control_response":
            response = line["response"]
            future = self.waiting.pop(response["request_id"], None)
            if future is not None and not future.done():
                future.set_result(response.get("response") or {})
        elif kind == "assistant":
            # Overtakes queued user lines, as the real one does.
            self.conversation.add("assistant", line["message"]["content"])
        elif kind == "user":
            self.queue.put_nowait(line)

    def control(self, request_id: str, request: dict[str, Any]) -> None:
        handler = getattr(self, "on_" + request["subtype"], None)
        if handler is None:
            error = f"Unsupported control request subtype: {request['subtype']}"
            response = {"subtype": "error", "request_id": request_id, "error": error}
        elif self.is_stuck and request["subtype"] == "interrupt":
            return
        else:
            body = handler(request)
            response = {"subtype": "success", "request_id": request_id, "response": body}
        self.send(type="control_response", response=response)

    def on_initialize(self, request: dict[str, Any]) -> dict[str, Any]:
        self.system = "".join(request.get("systemPrompt") or [])
        self.schema = request.get("jsonSchema")
        return {"commands": [], "pid": os.getpid()}

    def on_apply_flag_settings(self, request: dict[str, Any]) -> dict[str, Any]:
        settings = request["settings"]
        self.model = settings.get("model", self.model)
        self.env.update(settings.get("env") or {})
        return {}

    def on_set_model(self, request: dict[str, Any]) -> dict[str, Any]:
        self.model = request.get("model", "claude-fake-default")
        self.system = request.get("system_prompt", self.system)
        return {"model": self.model}

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

    async def ask(self, **request: Any) -> dict[str, Any]:
        request_id = str(uuid.uuid4())
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.waiting[request_id] = future
        self.send(type="control_request", request_id=request_id, request=request)
        return await future

    async def rpc(self, server: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
        message = {"jsonrpc": "2.0", "id": next(self.numbers), "method": method, "params": params}
        reply = await self.ask(subtype="mcp_message", server_name=server, message=message)
        result: dict[str, Any] = reply.get("mcp_response", {}).get("result", {})
        return result

    # -- turns

    async def work(self) -> None:
        while True:
            line = await self.queue.get()
            self.conversation.begin(line.get("uuid", ""), line["message"]["content"])
            if line.get("shouldQuery") is False:
                self.result(num_turns=0)
                continue
            self.turn = asyncio.create_task(self.answer())
            try:
                await self.turn
            except asyncio.CancelledError:
                self.conversation.add("user", "[Request interrupted by user]")
                self.result(
                    is_error=True,
                    subtype="error_during_execution",
                    terminal_reason="aborted_streaming",
                )
            self.turn = None

    async def answer(self) -> None:
        if self.servers and not self.is_connected:
            await self.connect()
        self.send(
            type="system",
            subtype="init",
            model=self.model,
            tools=[tool["name"] for tool in self.tools],
        )
        directives = DIRECTIVE.findall(self.newest_text())
        await self.obey(dict(directives), [value for name, value in directives if name == "tool"])

    async def connect(self) -> None:
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}}
        await self.rpc(self.servers[0], "initialize", params)
        notification = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await self.ask(subtype="mcp_message", server_name=self.servers[0], message=notification)
        self.tools = (await self.rpc(self.servers[0], "tools/list", {})).get("tools", [])
        self.is_connected = True

    async def obey(self, flags: dict[str, str], calls: list[str]) -> None:
        if "status" in flags:
            return self.api_error(int(flags["status"]))
        self.misbehave(flags)
        if "hang" in flags or "stuck" in flags:
            await asyncio.Event().wait()
        if self.schema is not None:
            return await self.structured(flags)
        if calls:
            await self.call_tools(calls)
            return await self.say(["results: ", " | ".join(self.newest_results())])
        await self.say(self.pieces(flags), flags)
        return None

    def misbehave(self, flags: dict[str, str]) -> None:
        self.is_stuck = "stuck" in flags
        if "ignore-sigterm" in flags:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def pieces(self, flags: dict[str, str]) -> list[str]:
        if "context" in flags:
            return [json.dumps(self.request())]
        if "pid" in flags:
            return [str(os.getpid())]
        if "grandchild" in flags:
            command = [sys.executable, "-c", "import time; time.sleep(600)"]
            return [str(subprocess.Popen(command, stdout=subprocess.DEVNULL).pid)]
        if "escapee" in flags:
            command = [sys.executable, "-c", "import time; time.sleep(600)"]
            return [str(subprocess.Popen(command, start_new_session=True).pid)]
        if "huge" in flags:
            return ["x" * int(flags["huge"])]
        if "chunks" in flags:
            return [f"{flags.get('text', 'word')}{n} " for n in range(int(flags["chunks"]))]
        if "text" in flags:
            return [flags["text"]]
        return self.demo()

    def demo(self) -> list[str]:
        text = self.newest_text().strip()
        return re.findall(
            r"\S+\s*",
            (
                f"This is the demo: no model was asked. You said: {text or 'nothing'}. "
                "Start the server without --demo to talk to Claude."
            ),
        )

    def request(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "system": self.system,
            "messages": self.conversation.messages(),
            "tools": self.tools,
            "env": self.env,
        }

    def newest_text(self) -> str:
        users = [m for m in self.conversation.messages() if m["role"] == "user"]
        content = users[-1]["content"] if users else ""
        if isinstance(content, str):
            return content
        return "\n".join(part["text"] for part in content if part["type"] == "text")

    def newest_results(self) -> list[str]:
        content = self.conversation.messages()[-1]["content"]
        return ["".join(p.get("text", "") for p in part["content"]) for part in content]

    async def say(self, pieces: list[str], flags: dict[str, str] | None = None) -> None:
        flags = flags or {}
        self.message_start()
        self.event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for piece in pieces:
            await asyncio.sleep(float(flags.get("delay", self.word_delay)))
            self.event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
            if "crash" in flags:
                os._exit(9)
            if "midhang" in flags:
                await asyncio.Event().wait()
        self.event("content_block_stop", index=0)
        text = "".join(pieces)
        self.finish_message([{"type": "text", "text": text}], *self.ending(flags))
        if "maxtok" in flags:
            self.conversation.add("user", CONTINUE)
            await asyncio.sleep(0.05)
            return await self.say(["never", "wanted"])
        self.result(text=text)
        return None

    def ending(self, flags: dict[str, str]) -> tuple[str, str | None]:
        if "stopseq" in flags:
            return "stop_sequence", flags["stopseq"]
        return ("max_tokens" if "maxtok" in flags else "end_turn"), None

    async def structured(self, flags: dict[str, str]) -> None:
        value = json.loads(flags.get("json", "{}"))
        call = f"StructuredOutput {json.dumps(value)}"
        [block] = self.tool_blocks([call])
        content = [{"type": "tool_result", "tool_use_id": block["id"], "content": RESULT_TEXT}]
        self.conversation.add("user", content)
        self.result(text=json.dumps(value), structured_output=value, num_turns=2)

    async def call_tools(self, calls: list[str]) -> None:
        blocks = self.tool_blocks(calls)
        known = {tool["name"] for tool in self.tools}
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
            result = await self.rpc(self.servers[0], "tools/call", params)
            content = result.get("content", [])
            if result.get("isError"):
                content = [{"type": "text", "text": "failed: "}, *content]
        return {"type": "tool_result", "tool_use_id": block["id"], "content": content}

    def tool_blocks(self, calls: list[str]) -> list[dict[str, Any]]:
        self.message_start()
        blocks = []
        for index, call in enumerate(calls):
            name, _, arguments = call.partition(" ")
            block = {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:12]}", "name": name}
            self.event("content_block_start", index=index, content_block={**block, "input": {}})
            middle = len(arguments) // 2
            for piece in (arguments[:middle], arguments[middle:]):
                delta = {"type": "input_json_delta", "partial_json": piece}
                self.event("content_block_delta", index=index, delta=delta)
            self.event("content_block_stop", index=index)
            blocks.append({**block, "input": json.loads(arguments or "{}")})
        self.finish_message(blocks, "tool_use")
        return blocks

    def event(self, name: str, **data: Any) -> None:
        self.send(type="stream_event", event={"type": name, **data}, parent_tool_use_id=None)

    def message_start(self) -> None:
        usage = {"input_tokens": 10, "cache_read_input_tokens": 2, "output_tokens": 1}
        message = {"id": "msg_fake", "role": "assistant", "model": self.model, "usage": usage}
        self.event("message_start", message=message)

    def finish_message(
        self, content: list[dict[str, Any]], stop_reason: str, met: str | None = None
    ) -> None:
        self.conversation.add("assistant", content)
        delta = {"stop_reason": stop_reason, "stop_sequence": met}
        self.event("message_delta", delta=delta, usage={"output_tokens": 5})
        self.event("message_stop")

    def api_error(self, status: int) -> None:
        if status == 429:
            self.send(type="rate_limit_event", rate_limit_info={"status": "rejected"})
        self.conversation.add("assistant", [{"type": "text", "text": f"API Error: {status}"}])
        self.result(
            is_error=True,
            api_error_status=status,
            text=f"API Error: {status} fake error",
            terminal_reason="api_error",
        )

    def result(self, *, text: str = "", **more: Any) -> None:
        self.send(
            **{
                "type": "result",
                "subtype": "success",
                "is_error": False,
                "result": text,
                "api_error_status": None,
                "structured_output": None,
                "num_turns": 1,
                "terminal_reason": "completed",
                "usage": {},
                **more,
            }
        )


def main() -> None:
    """Run as the CLI would."""
    arguments = sys.argv[1:]
    if "--version" in arguments:
        sys.stdout.write(VERSION + "\n")
        return
    if "--fake-crash" in arguments:
        sys.exit("fake crash at start")
    delay = 0.0
    if "--fake-delay" in arguments:
        delay = float(arguments[arguments.index("--fake-delay") + 1])
    asyncio.run(_FakeClaude(delay).run())


if __name__ == "__main__":
    main()
