"""The control protocol of the CLI: questions and answers over its input and output."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any

from claude_wrapper.errors import CliFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.claude.events import ControlReply

__all__ = ["ControlChannel", "encode"]


def encode(document: dict[str, Any]) -> bytes:
    """One input line."""
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


class ControlChannel:
    """Sends control requests and hands each its reply.

    Args:
        write: Queues one line for the CLI.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._closed_because = ""

    async def ask(self, subtype: str, *, deadline: float = 10.0, **body: Any) -> dict[str, Any]:
        """Send a request and wait for its reply.

        Raises:
            CliFailedError: The CLI refused, ended, or did not answer within `deadline` seconds.
        """
        if self._closed_because:
            raise CliFailedError(self._closed_because)
        request_id = f"ask-{next(self._numbers)}"
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = reply
        request = {"subtype": subtype, **body}
        self._write(
            encode({"type": "control_request", "request_id": request_id, "request": request})
        )
        try:
            return await asyncio.wait_for(reply, deadline)
        except TimeoutError:
            raise CliFailedError(
                f"the CLI did not answer {subtype!r} within {deadline:g} s"
            ) from None
        finally:
            self._waiting.pop(request_id, None)

    def answer(self, request_id: str, body: dict[str, Any]) -> None:
        """Answer a request of the CLI."""
        response = {"subtype": "success", "request_id": request_id, "response": body}
        self._write(encode({"type": "control_response", "response": response}))

    def refuse(self, request_id: str, reason: str) -> None:
        """Answer a request of the CLI with an error."""
        response = {"subtype": "error", "request_id": request_id, "error": reason}
        self._write(encode({"type": "control_response", "response": response}))

    def take(self, reply: ControlReply) -> None:
        """Hand a reply to whoever waits for it; nobody may wait any more."""
        future = self._waiting.get(reply.request_id)
        if future is None or future.done():
            return
        if reply.error:
            future.set_exception(CliFailedError(f"the CLI refused: {reply.error}"))
        else:
            future.set_result(reply.body)

    def close(self, reason: str) -> None:
        """Fail everything that waits, and everything asked from now on."""
        self._closed_because = reason
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(CliFailedError(reason))
