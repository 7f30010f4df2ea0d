"""Messages of the model as the fake CLI passes them on."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_wrapper.testing.fake_conversation import Conversation
    from claude_wrapper.testing.fake_wire import Wire

__all__ = ["Speech"]


class Speech:
    """Says messages on the wire, and adds them to the conversation."""

    def __init__(self, wire: Wire, conversation: Conversation, model: Callable[[], str]) -> None:
        self._wire = wire
        self._conversation = conversation
        self._model = model

    def tool_blocks(self, calls: list[str]) -> list[dict[str, Any]]:
        """A message that asks for these tool calls; their blocks."""
        self.message_start()
        blocks = []
        for index, call in enumerate(calls):
            name, _, arguments = call.partition(" ")
            block = {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:12]}", "name": name}
            self._wire.event(
                "content_block_start", index=index, content_block={**block, "input": {}}
            )
            middle = len(arguments) // 2
            for piece in (arguments[:middle], arguments[middle:]):
                delta = {"type": "input_json_delta", "partial_json": piece}
                self._wire.event("content_block_delta", index=index, delta=delta)
            self._wire.event("content_block_stop", index=index)
            blocks.append({**block, "input": json.loads(arguments or "{}")})
        self.finish_message(blocks, "tool_use")
        return blocks

    def message_start(self) -> None:
        """The beginning of a message."""
        usage = {"input_tokens": 10, "cache_read_input_tokens": 2, "output_tokens": 1}
        message = {"id": "msg_fake", "role": "assistant", "model": self._model(), "usage": usage}
        self._wire.event("message_start", message=message)

    def finish_message(
        self, content: list[dict[str, Any]], stop_reason: str, met: str | None = None
    ) -> None:
        """Its end; it belongs to the conversation now."""
        self._conversation.add("assistant", content)
        delta = {"stop_reason": stop_reason, "stop_sequence": met}
        self._wire.event("message_delta", delta=delta, usage={"output_tokens": 5})
        self._wire.event("message_stop")

    def api_error(self, status: int, text: str = "fake error") -> None:
        """The API refused, with these words."""
        if status == 429:
            self._wire.send(type="rate_limit_event", rate_limit_info={"status": "rejected"})
        self._conversation.add("assistant", [{"type": "text", "text": f"API Error: {status}"}])
        self._wire.result(
            is_error=True,
            api_error_status=status,
            text=f"API Error: {status} {text}",
            terminal_reason="api_error",
        )
