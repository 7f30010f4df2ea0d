"""What the model behind the fake CLI would be sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["Conversation"]


class Conversation:
    """What the model would be sent: turns that can be taken back, newest first."""

    def __init__(self) -> None:
        self.turns: list[dict[str, Any]] = []

    def resume(self, path: str) -> None:
        """Begin with a transcript, whose lines can no longer be taken back."""
        lines = map(json.loads, Path(path).read_text(encoding="utf-8").splitlines())
        for line in lines:
            self.turns.append(
                {"uuid": line["uuid"], "messages": [line["message"]], "is_past": True}
            )

    def begin(self, name: str, content: Any) -> None:
        """A user turn, with the name by which it can be taken back."""
        self.turns.append({"uuid": name, "messages": [{"role": "user", "content": content}]})

    def add(self, role: str, content: Any) -> None:
        """A message that belongs to the newest turn."""
        if not self.turns:
            self.turns.append({"uuid": "", "messages": []})
        self.turns[-1]["messages"].append({"role": role, "content": content})

    def messages(self) -> list[dict[str, Any]]:
        """All messages, in order."""
        return [message for turn in self.turns for message in turn["messages"]]

    def newest_text(self) -> str:
        """The text of the newest user message."""
        users = [m for m in self.messages() if m["role"] == "user"]
        content = users[-1]["content"] if users else ""
        if isinstance(content, str):
            return content
        return "\n".join(part["text"] for part in content if part["type"] == "text")

    def newest_results(self) -> list[str]:
        """The tool results that were given last."""
        content = self.messages()[-1]["content"]
        return ["".join(p.get("text", "") for p in part["content"]) for part in content]

    def rewind(self, name: str) -> dict[str, Any]:
        """Take a turn back, as the real CLI does: the newest only, and no results alone."""
        newest = next((t for t in reversed(self.turns) if not t.get("hidden")), None)
        if newest is not None and newest.get("is_past"):
            newest = None
        if newest is None or newest["uuid"] != name:
            return {"rewound": False, "error": "stale target", "reason": "stale_target"}
        first = newest["messages"][0]["content"]
        if isinstance(first, list) and any(part.get("type") == "tool_result" for part in first):
            newest["hidden"] = True
            return {"rewound": False, "reason": "target_splits_tool_call"}
        while self.turns.pop() is not newest:
            pass
        before = self.turns[-1]["uuid"] if self.turns else None
        return {"rewound": True, "targetMessageUuid": name, "precedingAssistantUuid": before}
