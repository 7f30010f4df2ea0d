"""The events of a streamed response, numbered and in the order that clients rely on. Pure."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from claude_wrapper.model import TextDelta, ToolArgumentsDelta, ToolCall, ToolCallStarted
from claude_wrapper.responses.document import (
    call_item,
    custom_input,
    ended,
    failed,
    message_item,
)

if TYPE_CHECKING:
    from claude_wrapper.errors import WrapperError
    from claude_wrapper.model import TurnEnd, TurnEvent

__all__ = ["ResponseEvents"]

Events = list[dict[str, Any]]


class ResponseEvents:
    """Turns the events of one turn into those of a response.

    Args:
        document: The response before it has begun.
        custom: The names of the tools that take free text.

    Attributes:
        document: The response as it is now.
    """

    def __init__(self, document: dict[str, Any], custom: frozenset[str]) -> None:
        self.document = document
        self._custom = custom
        self._numbers = itertools.count()
        self._output: Events = []
        self._open: _OpenText | _OpenCall | None = None

    def first(self) -> Events:
        """The events that open the answer."""
        return [self._state("response.created"), self._state("response.in_progress")]

    def events(self, event: TurnEvent) -> Events:
        """The events for one event of the turn."""
        if isinstance(event, TextDelta):
            return self._text(event)
        if isinstance(event, ToolCallStarted):
            call = ToolCall(id=event.id, name=event.name, arguments="")
            return [*self._close(), *self._begin(_OpenCall(call, self._custom))]
        if isinstance(event, ToolArgumentsDelta):
            assert isinstance(self._open, _OpenCall)
            return [self._event(**body) for body in self._open.add(event.json)]
        return self._end(event)

    def error(self, error: WrapperError) -> Events:
        """The event that ends a response that failed."""
        self.document = failed(self.document, self._output, error)
        return [self._state("response.failed")]

    def _text(self, event: TextDelta) -> Events:
        opening: Events = []
        if not isinstance(self._open, _OpenText):
            opening = [*self._close(), *self._begin(_OpenText())]
        assert isinstance(self._open, _OpenText)
        return [*opening, *(self._event(**body) for body in self._open.add(event.text))]

    def _end(self, end: TurnEnd) -> Events:
        cut = end.reason in ("length", "content_filter")
        closing = self._close("incomplete" if cut else "completed")
        self.document = ended(self.document, self._output, end)
        return [*closing, self._state(f"response.{self.document['status']}")]

    def _begin(self, item: _OpenText | _OpenCall) -> Events:
        self._open = item
        added = self._event(type="response.output_item.added", item=item.item("in_progress"))
        return [added, *(self._event(**body) for body in item.opening())]

    def _close(self, status: str = "completed") -> Events:
        if self._open is None:
            return []
        bodies = [self._event(**body) for body in self._open.closing()]
        item = self._open.item(status)
        done = self._event(type="response.output_item.done", item=item)
        self._output.append(item)
        self._open = None
        return [*bodies, done]

    def _event(self, **body: Any) -> dict[str, Any]:
        number = next(self._numbers)
        return {**body, "output_index": len(self._output), "sequence_number": number}

    def _state(self, kind: str) -> dict[str, Any]:
        return {"type": kind, "response": self.document, "sequence_number": next(self._numbers)}


class _OpenText:
    """A message that is being written."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.id = message_item("", "in_progress")["id"]
        self._place = {"item_id": self.id, "content_index": 0}

    def item(self, status: str) -> dict[str, Any]:
        return message_item("".join(self._pieces), status, self.id)

    def opening(self) -> Events:
        return [{"type": "response.content_part.added", **self._place, "part": self._part()}]

    def add(self, text: str) -> Events:
        self._pieces.append(text)
        kind = "response.output_text.delta"
        return [{"type": kind, **self._place, "delta": text, "logprobs": []}]

    def closing(self) -> Events:
        part = self._part()
        text = {"text": part["text"], "logprobs": []}
        return [
            {"type": "response.output_text.done", **self._place, **text},
            {"type": "response.content_part.done", **self._place, "part": part},
        ]

    def _part(self) -> dict[str, Any]:
        part: dict[str, Any] = self.item("completed")["content"][0]
        return part


class _OpenCall:
    """A call whose arguments are being written."""

    def __init__(self, call: ToolCall, custom: frozenset[str]) -> None:
        self._call = call
        self._custom = custom
        self._pieces: list[str] = []
        item = self.item("in_progress")
        self.id = str(item["id"])
        self._is_custom = item["type"] == "custom_tool_call"

    def item(self, status: str) -> dict[str, Any]:
        written = "".join(self._pieces)
        arguments = written if written or status == "in_progress" else "{}"
        call = ToolCall(id=self._call.id, name=self._call.name, arguments=arguments)
        return call_item(call, self._custom, status, getattr(self, "id", ""))

    def opening(self) -> Events:
        return []

    def add(self, json: str) -> Events:
        self._pieces.append(json)
        if self._is_custom:
            # The free text stands inside JSON; it is told when it is complete.
            return []
        kind = "response.function_call_arguments.delta"
        return [{"type": kind, "item_id": self.id, "delta": json}]

    def closing(self) -> Events:
        arguments = "".join(self._pieces) or "{}"
        if not self._is_custom:
            kind = "response.function_call_arguments.done"
            named = {"name": self._call.name, "arguments": arguments}
            return [{"type": kind, "item_id": self.id, **named}]
        text = custom_input(arguments)
        kind = "response.custom_tool_call_input"
        return [
            {"type": f"{kind}.delta", "item_id": self.id, "delta": text},
            {"type": f"{kind}.done", "item_id": self.id, "input": text},
        ]
