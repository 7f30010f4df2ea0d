"""What a request looks for in a process: worked out once, however many processes are looked at."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING

from claude_wrapper.claude.messages import fingerprint, has_remote_image, prompt_start
from claude_wrapper.model import TextPart

if TYPE_CHECKING:
    from claude_wrapper.model import Message, TurnRequest

__all__ = ["LONGEST_RESULT", "Wanted"]

# Characters of a result that is given to a parked call. The CLI counts in UTF-16 and stops at half a
# million; in a history that it is told, results may be as long as the model takes.
LONGEST_RESULT = 200_000


class Wanted:
    """A request in the terms in which processes are compared.

    Attributes:
        request: The request.
        history: Its messages up to the newest answer.
        prompt: Those after it: what is asked now.
        schema: What a process is started for and cannot change later: the JSON schema of answers.
    """

    def __init__(self, request: TurnRequest) -> None:
        start = prompt_start(request.messages)
        self.request = request
        self.history: tuple[Message, ...] = request.messages[:start]
        self.prompt: tuple[Message, ...] = request.messages[start:]
        schema = request.json_schema
        self.schema = json.dumps(schema, sort_keys=True) if schema else ""

    @cached_property
    def fingerprints(self) -> list[bytes]:
        """Those of the history, in order."""
        return [fingerprint(message) for message in self.history]

    @cached_property
    def result_ids(self) -> frozenset[str]:
        """The calls whose results the prompt brings.

        None where it brings anything else, or what could not be given to a parked call.
        """
        ids = self.answered_ids
        is_fit = not any(has_remote_image(m) or _is_long(m) for m in self.prompt)
        return ids if is_fit and len(ids) == len(self.prompt) else frozenset()

    @property
    def answered_ids(self) -> frozenset[str]:
        """The calls that the prompt answers, whatever else it brings."""
        return frozenset(message.tool_call_id for message in self.prompt if message.role == "tool")


def _is_long(message: Message) -> bool:
    texts = (part.text for part in message.parts if isinstance(part, TextPart))
    return sum(map(len, texts)) > LONGEST_RESULT
