"""The small nouns: frozen records that the engine passes around. Standard library only.

They are named tuples: a class made by ``dataclass`` takes a millisecond, at the start of every run.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

__all__ = ["Change", "Frame", "Holder", "Origin", "OwnerInfo", "Severity"]

Severity = Literal["fail", "note", "allowed", "known"]
Change = Literal["added", "replaced", "removed", "exceeded"]


class Frame(NamedTuple):
    """One line of a stack: a file as given by the interpreter, a line from 1, a function."""

    file: str
    line: int
    function: str

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-safe form."""
        return {"file": self.file, "line": self.line, "function": self.function}


class Origin(NamedTuple):
    """Where a resource was made.

    ``source`` says how this is known: ``recorded`` when the moment of creation was seen,
    ``inferred`` when the place was concluded afterwards.
    """

    file: str
    line: int
    function: str
    source: Literal["recorded", "inferred"]
    text: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-safe form (without the source text)."""
        return {
            "file": self.file,
            "line": self.line,
            "function": self.function,
            "source": self.source,
        }


class Holder(NamedTuple):
    """What keeps an object alive: the module whose global is the root, and the path from it."""

    module: str
    path: tuple[str, ...]


class OwnerInfo(NamedTuple):
    """Who has to answer for a resource, as reports show it."""

    type: Literal["test", "fixture", "module", "session"]
    name: str
    scope: str
    location: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-safe form."""
        return {"type": self.type, "name": self.name, "scope": self.scope}

    def __str__(self) -> str:
        """Name the owner in plain words."""
        where = f", {self.location}" if self.location else ""
        if self.type == "fixture":
            return f"fixture {self.name!r} ({self.scope} scope{where})"
        return f"{self.type} {self.name}{where}"
