"""What the fake CLI is told to do by directives in the newest user text."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Script"]

DIRECTIVE = re.compile(r"\[\[([\w-]+)(?::(.*?))?\]\](?!\])", re.DOTALL)
# What must be a number, and how it is made.
NUMBERS = {"status": int, "chunks": int, "huge": int, "stderr": int, "delay": float}
# Characters of what was said, in the answer of the demo.
MOST_REPEATED = 2000
SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")


class Script:
    """The directives of one turn.

    Attributes:
        flags: Each by its name; of several with one name the last.
        calls: The tool calls to make, in order.
        mistake: What is wrong with them, or "".
    """

    def __init__(self, text: str) -> None:
        found = DIRECTIVE.findall(text)
        self._text = text.strip()
        self.flags: dict[str, str] = dict(found)
        self.calls = [value for name, value in found if name == "tool"]
        mistakes = (_mistake(name, value) for name, value in found)
        self.mistake = next((mistake for mistake in mistakes if mistake), "")

    def __contains__(self, name: str) -> bool:
        return name in self.flags

    def pieces(self) -> list[str]:
        """The pieces of the answer."""
        flags = self.flags
        if "pid" in flags:
            return [str(os.getpid())]
        if {"grandchild", "escapee", "stranger", "hidden", "orphan"} & flags.keys():
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
        reasons = {"maxtok": "max_tokens", "refuse": "refusal"}
        return next((reasons[name] for name in reasons if name in self.flags), "end_turn"), None

    def _start_process(self) -> int:
        """Start what outlives us when nobody looks after it; its pid."""
        if "grandchild" in self.flags:
            return subprocess.Popen(SLEEPER, stdout=subprocess.DEVNULL).pid
        if "orphan" in self.flags:
            # Hidden as below, by a parent that ends at once, as a daemon does it.
            code = (
                "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], cwd='/', env={},"
                " start_new_session=True, stdout=subprocess.DEVNULL).pid)"
            )
            return int(subprocess.check_output([sys.executable, "-c", code, *SLEEPER]))
        if "hidden" in self.flags:
            return subprocess.Popen(
                SLEEPER, start_new_session=True, env={}, cwd="/", stdout=subprocess.DEVNULL
            ).pid
        env: dict[str, str] | None = {} if "stranger" in self.flags else None
        return subprocess.Popen(SLEEPER, start_new_session=True, env=env).pid

    def _demo(self) -> list[str]:
        return re.findall(
            r"\S+\s*",
            (
                f"This is the demo: no model was asked. You said: {_shortened(self._text)}. "
                "Start the server without --demo to talk to Claude."
            ),
        )


def _shortened(text: str) -> str:
    """What was said, as far as anybody wants to read it again: it may be megabytes."""
    more = len(text) - MOST_REPEATED
    return f"{text[:MOST_REPEATED]} … and {more} more characters" if more > 0 else text or "nothing"


def _mistake(name: str, value: str) -> str:
    """What is wrong with one directive, or "": without this it would end in silence."""
    said = f"[[{name}:{value}]]" if value else f"[[{name}]]"
    if name in NUMBERS and not _is_number(NUMBERS[name], value):
        return f"the directive {said} needs a number from 0 on: [[{name}:2]]"
    if name == "tool" and not value.split(" ", maxsplit=1)[0]:
        return f"the directive {said} needs the name of a tool: " + '[[tool:NAME {"a": 1}]]'
    if name in {"tool", "json"}:
        text = value.partition(" ")[2] if name == "tool" else value
        try:
            is_object = isinstance(json.loads(text or "{}"), dict)
        except (ValueError, RecursionError) as error:
            return f"the directive {said} holds no JSON: {error}"
        if name == "tool" and not is_object:
            return f"the directive {said} needs an object as arguments, not {text}"
    return ""


def _is_number(kind: Callable[[str], float], text: str) -> bool:
    try:
        return 0 <= kind(text) < math.inf
    except ValueError:
        return False
