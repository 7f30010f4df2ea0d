"""A long conversation as the CLI's own transcript: a file that a process begins with. Pure.

Line by line the CLI takes a conversation in at one round trip for each user turn: 5.5 s for 2,000
messages, where a start with all of them takes half a second (CLI 2.1.330, docs/wrapper-contract.md).
On the way it tidies up: blank texts go, and what looks interrupted is explained to the model. So
only conversations are given to it in which it finds nothing to tidy.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from claude_wrapper.claude.messages import assistant_line, user_line
from claude_wrapper.model import Message, TextPart

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["PROBE", "Past", "past_of", "turns_of"]

# From so many user turns on a process of its own is ready sooner than one that is told line by line.
MANY_TURNS = 150
# The CLI's own word for a message that says nothing.
EMPTY = "(no content)"
# What is said to a process, and taken back, to see after what it stands.
PROBE = Message(role="user", parts=(TextPart(text="…"),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a process begins with.

    Attributes:
        messages: The conversation so far; it ends with an answer of the model that calls no tool.
        fingerprints: Of the messages.
        tip: The name of the last one in the file.
        model: Who is asked: a change of the model later would be told to the model.
    """

    messages: tuple[Message, ...]
    fingerprints: list[bytes]
    tip: str
    model: str

    def write(self, path: Path) -> None:
        """Write the file, readable by nobody else.

        Raises:
            OSError: There is no room.
        """
        path.touch(mode=0o600, exist_ok=False)
        with path.open("w", encoding="utf-8") as file:
            # Half a surrogate pair is escaped, as it is on the way through a pipe.
            file.writelines(json.dumps(line) + "\n" for line in self._lines())

    def _lines(self) -> Iterator[dict[str, Any]]:
        session, parent = str(uuid.uuid4()), None
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        turns = turns_of(self.messages)
        for number, turn in enumerate(turns):
            name = self.tip if number == len(turns) - 1 else str(uuid.uuid4())
            yield {
                "type": turn[0].role if turn[0].role == "assistant" else "user",
                "message": _message(turn, number),
                "uuid": name,
                "parentUuid": parent,
                "sessionId": session,
                "cwd": "/",
                "isSidechain": False,
                "userType": "external",
                "timestamp": now,
            }
            parent = name


def past_of(
    messages: tuple[Message, ...], fingerprints: list[bytes], held: int, model: str
) -> Past | None:
    """What a new process should begin with, or None where there is no use in it.

    Args:
        messages: The conversation before the newest user turn.
        fingerprints: Of the messages.
        held: How many of them a process holds already.
        model: Who is asked.
    """
    end = len(messages)
    while end and (messages[end - 1].role != "assistant" or messages[end - 1].tool_calls):
        end -= 1
    if _user_turns(messages[held:end]) < MANY_TURNS or not all(map(_is_plain, messages[:end])):
        return None
    return Past(
        messages=messages[:end], fingerprints=fingerprints[:end], tip=str(uuid.uuid4()), model=model
    )


def turns_of(messages: tuple[Message, ...]) -> list[tuple[Message, ...]]:
    """Each answer of the model alone, and what users and tools say between two of them together."""
    turns: list[list[Message]] = []
    for message in messages:
        if turns and message.role != "assistant" and turns[-1][0].role != "assistant":
            turns[-1].append(message)
        else:
            turns.append([message])
    return [tuple(turn) for turn in turns]


def _user_turns(messages: tuple[Message, ...]) -> int:
    return sum(turn[0].role != "assistant" for turn in turns_of(messages))


def _is_plain(message: Message) -> bool:
    """Whether the CLI will leave it as it is."""
    texts = [part.text.strip() for part in message.parts if isinstance(part, TextPart)]
    if message.role == "tool":
        return True
    says_nothing = not message.parts and not message.tool_calls
    return not says_nothing and all(text and text != EMPTY for text in texts)


def _message(turn: tuple[Message, ...], number: int) -> dict[str, Any]:
    if turn[0].role != "assistant":
        message: dict[str, Any] = user_line(turn, "", ask=False)["message"]
        return message
    return {
        **assistant_line(turn[0])["message"],
        # Answers of one id would be taken for pieces of one.
        "id": f"msg_{number}",
        "type": "message",
        "model": "claude",
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }
