"""What a request looks for in a process: worked out once, however many processes are looked at."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING

from claude_wrapper.claude.messages import fingerprint, has_remote_image, prompt_start

if TYPE_CHECKING:
    from claude_wrapper.model import Message, TurnRequest

__all__ = ["Wanted"]


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
        """The calls whose results the prompt brings; none where it brings anything else."""
        ids = frozenset(message.tool_call_id for message in self.prompt if message.role == "tool")
        if len(ids) != len(self.prompt) or any(map(has_remote_image, self.prompt)):
            return frozenset()
        return ids
