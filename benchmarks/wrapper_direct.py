"""A CLI without a server, for comparison."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from claude_wrapper.claude.command import ARGUMENTS
from claude_wrapper.testing import FAKE_CLAUDE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FAKE = (sys.executable, str(FAKE_CLAUDE))


class Direct:
    """One CLI, driven straight through its pipes."""

    def __init__(
        self,
        prefix: Sequence[str] = FAKE,
        env: Mapping[str, str] | None = None,
        more: Sequence[str] = (),
    ) -> None:
        self.process = subprocess.Popen(
            [*prefix, *ARGUMENTS, *more], env=env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def turn(self, text: str) -> tuple[float, float]:
        """Seconds to the first piece of text, and to the end of the turn."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        message = {"role": "user", "content": [{"type": "text", "text": text}]}
        line = {"type": "user", "message": message, "parent_tool_use_id": None}
        began, first = time.perf_counter(), 0.0
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        self.process.stdin.flush()
        while True:
            event = self.process.stdout.readline()
            if not first and b"text_delta" in event:
                first = time.perf_counter() - began
            if b'"type": "result"' in event or b'"type":"result"' in event:
                return first, time.perf_counter() - began

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def spawned_turn(
    text: str,
    prefix: Sequence[str] = FAKE,
    env: Mapping[str, str] | None = None,
    more: Sequence[str] = (),
) -> float:
    """Seconds from nothing to the first piece of text, with a process of its own."""
    began = time.perf_counter()
    direct = Direct(prefix, env, more)
    first, _ = direct.turn(text)
    spent = time.perf_counter() - began
    direct.close()
    assert first
    return spent
