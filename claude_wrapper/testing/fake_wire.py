"""The line between the fake CLI and its server: lines out, questions and their answers."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import uuid
from typing import Any

__all__ = ["Wire"]


class Wire:
    """Writes lines, and waits for what the server answers."""

    def __init__(self) -> None:
        self._session = str(uuid.uuid4())
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}

    def send(self, **document: Any) -> None:
        """One output line."""
        line = json.dumps({**document, "session_id": self._session, "uuid": str(uuid.uuid4())})
        self.send_raw(line + "\n")

    @staticmethod
    def send_raw(text: str) -> None:
        """Whatever should look like output."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def event(self, name: str, **data: Any) -> None:
        """A streaming event of the API."""
        self.send(type="stream_event", event={"type": name, **data}, parent_tool_use_id=None)

    def result(self, *, text: str = "", **more: Any) -> None:
        """The end of a turn."""
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

    def reply(self, request_id: str, body: dict[str, Any]) -> None:
        """Answer a question of the server."""
        response = {"subtype": "success", "request_id": request_id, "response": body}
        self.send(type="control_response", response=response)

    def refuse(self, request_id: str, error: str) -> None:
        """Answer that this is not known."""
        response = {"subtype": "error", "request_id": request_id, "error": error}
        self.send(type="control_response", response=response)

    def take_reply(self, response: dict[str, Any]) -> None:
        """The server has answered."""
        future = self._waiting.pop(response["request_id"], None)
        if future is not None and not future.done():
            future.set_result(response.get("response") or {})

    async def ask(self, **request: Any) -> dict[str, Any]:
        """Ask the server something."""
        request_id = str(uuid.uuid4())
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = future
        self.send(type="control_request", request_id=request_id, request=request)
        return await future

    async def rpc(self, server: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Call a method of one of the server's in-process MCP servers."""
        number = next(self._numbers)
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        reply = await self.ask(subtype="mcp_message", server_name=server, message=message)
        result: dict[str, Any] = reply.get("mcp_response", {}).get("result", {})
        return result
