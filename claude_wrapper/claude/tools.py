"""The in-process MCP server that offers the client's tools, and parks their calls.

The CLI believes that the tools run here. In truth a call waits, across HTTP requests, until the
client sends the result: on the wire the model then sees a genuine tool result, in the same turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from claude_wrapper.claude.tool_names import cli_name

if TYPE_CHECKING:
    from claude_wrapper.claude.control import ControlChannel
    from claude_wrapper.claude.events import ControlRequest
    from claude_wrapper.model import Message, ToolSpec

__all__ = ["ToolBridge"]

CALL_ID = "claudecode/toolUseId"
# Of a result that the CLI gives to the model; it takes no higher figure. What is longer it puts into
# a file of its own, and tells the model where: see `wanted.LONGEST_RESULT`.
MOST_CHARACTERS = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _ParkedCall:
    request_id: str
    rpc_id: Any


class ToolBridge:
    """Answers the CLI's MCP messages for one process.

    Args:
        channel: Where the answers go.
    """

    def __init__(self, channel: ControlChannel) -> None:
        self._channel = channel
        self._tools: tuple[ToolSpec, ...] = ()
        self._parked: dict[str, _ParkedCall] = {}
        self._early: dict[str, dict[str, Any]] = {}

    @property
    def parked(self) -> frozenset[str]:
        """The ids of the calls that wait for a result."""
        return frozenset(self._parked)

    def offer(self, tools: tuple[ToolSpec, ...]) -> None:
        """Offer these tools from the next listing on."""
        self._tools = tools

    def take(self, request: ControlRequest) -> None:
        """Answer or park one MCP message."""
        message = _object(request.body.get("message"))
        method = message.get("method")
        if method == "tools/call":
            self._park(request.request_id, message)
            return
        result = self._result(str(method), _object(message.get("params")))
        self._reply(request.request_id, message.get("id"), result)

    def resolve(self, answer: Message, content: list[dict[str, Any]]) -> None:
        """Give the result of a call; it may come before the CLI has delivered the call."""
        failed = {"isError": True} if answer.is_error else {}
        result: dict[str, Any] = {"content": content, **failed}
        call = self._parked.pop(answer.tool_call_id, None)
        if call is None:
            self._early[answer.tool_call_id] = result
        else:
            self._reply(call.request_id, call.rpc_id, result)

    def forget(self) -> None:
        """The turn is over: nothing is parked any more."""
        self._parked.clear()
        self._early.clear()

    def _park(self, request_id: str, message: dict[str, Any]) -> None:
        params = _object(message.get("params"))
        call_id = str(_object(params.get("_meta")).get(CALL_ID, ""))
        early = self._early.pop(call_id, None)
        if early is not None:
            self._reply(request_id, message.get("id"), early)
        else:
            self._parked[call_id] = _ParkedCall(request_id=request_id, rpc_id=message.get("id"))

    def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "initialize":
            return {
                "protocolVersion": params.get("protocolVersion"),
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "client", "version": "1"},
            }
        if method == "tools/list":
            return {"tools": [_describe(tool) for tool in self._tools]}
        return {}

    def _reply(self, request_id: str, rpc_id: Any, result: dict[str, Any]) -> None:
        response = {"jsonrpc": "2.0", "id": rpc_id, "result": result}
        self._channel.answer(request_id, {"mcp_response": response})


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _describe(tool: ToolSpec) -> dict[str, Any]:
    # Without readOnlyHint the CLI delivers parallel calls one after the other, and a client that
    # must see all of them before it answers any would wait for ever.
    return {
        "name": cli_name(tool.name),
        "description": tool.description,
        "inputSchema": tool.parameters,
        "annotations": {"readOnlyHint": True},
        "_meta": {"anthropic/maxResultSizeChars": MOST_CHARACTERS},
    }
