"""The names of the client's tools, as the CLI and the model get to see them. Pure.

The CLI knows some of its own tools by name, whoever offers them. With 2.1.330 and tools of a client:
`Agent` is announced under another name, `ToolSearch` never reaches the model, of a call of
`ExitPlanMode` the arguments are dropped, and `StructuredOutput` cannot be told from the CLI's own.
These names get an underscore at their end on the way there, and lose it on the way back. Other names
of the CLI's tools (`Bash`, `Read`, …) were tried and do no harm: models know them, so they stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["cli_name", "client_name", "with_cli_names"]

MARK = "_"
TAKEN = frozenset(["Agent", "ExitPlanMode", "StructuredOutput", "ToolSearch"])


def cli_name(name: str) -> str:
    """What the CLI and the model call a tool of the client."""
    return name + MARK if _is_taken(name) else name


def client_name(name: str) -> str:
    """What the client calls it; the inverse of `cli_name`, whatever the client's names are."""
    return name.removesuffix(MARK) if _is_taken(name) else name


def with_cli_names(body: Mapping[str, Any]) -> dict[str, Any]:
    """Fields for the API, where one of them forces a tool by its name."""
    choice = body.get("tool_choice")
    if not isinstance(choice, dict) or "name" not in choice:
        return dict(body)
    return {**body, "tool_choice": {**choice, "name": cli_name(choice["name"])}}


def _is_taken(name: str) -> bool:
    # With or without marks: a client that has both `Agent` and `Agent_` must get both back.
    return name.rstrip(MARK) in TAKEN
