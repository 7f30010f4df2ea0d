"""The small nouns: frozen records that the engine passes around. Standard library only.

They are named tuples: a class made by ``dataclass`` takes a millisecond, at the start of every run.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

__all__ = ["Change", "Frame", "Holder", "Origin", "OwnerInfo", "Severity"]

Severity = Literal["fail", "note", "allowed", "known"]
Change = Literal["added", "replaced", "removed", "exceeded"]


class Frame(NamedTuple):
    """One line of a stack: a file as given by the interpreter, a line from 1, a function's name."""

    file: str
    line: int
    function: str

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-safe form."""
        return {"file": self.file, "line": self.line, "function": self.function}


class Origin(NamedTuple):
    """Where a resource was made.

    Attributes:
        file: relative to the project's folder, or as the interpreter gives it.
        line: from 1.
        function: its name.
        source: ``recorded`` when the moment of creation was seen, ``inferred`` when the place was
            concluded afterwards.
        text: of that line, without the blanks around it; empty if it cannot be read.
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
    """What keeps an object alive.

    Attributes:
        module: the name of the module whose global is the root; empty for a running function.
        path: from there to the object, in words, outermost first.
    """

    module: str
    path: tuple[str, ...]


class OwnerInfo(NamedTuple):
    """Who has to answer for a resource, as reports show it.

    Attributes:
        type: what it is.
        name: a node id, or the name of the fixture, module or session.
        scope: as pytest calls it: ``function``, ``class``, ``module``, ``package``, ``session``.
        location: file and line at which a fixture is defined; empty if that is not known.
    """

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
