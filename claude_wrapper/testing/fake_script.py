"""What the fake CLI is told to do by directives in the newest user text."""

from __future__ import annotations

import os
import re
import subprocess
import sys

__all__ = ["Script"]

DIRECTIVE = re.compile(r"\[\[([\w-]+)(?::(.*?))?\]\](?!\])", re.DOTALL)
SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")


class Script:
    """The directives of one turn.

    Attributes:
        flags: Each by its name; of several with one name the last.
        calls: The tool calls to make, in order.
    """

    def __init__(self, text: str) -> None:
        found = DIRECTIVE.findall(text)
        self._text = text.strip()
        self.flags: dict[str, str] = dict(found)
        self.calls = [value for name, value in found if name == "tool"]

    def __contains__(self, name: str) -> bool:
        return name in self.flags

    def pieces(self) -> list[str]:
        """The pieces of the answer."""
        flags = self.flags
        if "pid" in flags:
            return [str(os.getpid())]
        if {"grandchild", "escapee", "stranger"} & flags.keys():
            return [str(self._start_process())]
        if "huge" in flags:
            return ["x" * int(flags["huge"])]
        if "chunks" in flags:
            return [f"{flags.get('text', 'word')}{n} " for n in range(int(flags["chunks"]))]
        if "text" in flags:
            return [flags["text"]]
        return self._demo()

    def ending(self) -> tuple[str, str | None]:
        """Why the answer stops, and the sequence that was met."""
        if "stopseq" in self.flags:
            return "stop_sequence", self.flags["stopseq"]
        return ("max_tokens" if "maxtok" in self.flags else "end_turn"), None

    def _start_process(self) -> int:
        """Start what outlives us when nobody looks after it; its pid."""
        if "grandchild" in self.flags:
            return subprocess.Popen(SLEEPER, stdout=subprocess.DEVNULL).pid
        env: dict[str, str] | None = {} if "stranger" in self.flags else None
        return subprocess.Popen(SLEEPER, start_new_session=True, env=env).pid

    def _demo(self) -> list[str]:
        return re.findall(
            r"\S+\s*",
            (
                f"This is the demo: no model was asked. You said: {self._text or 'nothing'}. "
                "Start the server without --demo to talk to Claude."
            ),
        )
