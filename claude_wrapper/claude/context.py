"""What a warm process holds of a conversation, as fingerprints and points of return."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Context", "RewindPoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RewindPoint:
    """One user turn that can be taken back: its uuid, and how much was there before it."""

    uuid: str
    length_before: int


class Context:
    """The conversation inside one process. Only prefixes are ever continued."""

    def __init__(self) -> None:
        self.fingerprints: list[bytes] = []
        self.points: list[RewindPoint] = []

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held, and nothing needs to be taken back."""
        return not self.fingerprints and not self.points

    def is_prefix_of(self, history: list[bytes]) -> bool:
        """Whether `history` begins with what is held."""
        return self.fingerprints == history[: len(self.fingerprints)]

    def begin(self, uuid: str) -> None:
        """A user turn is about to be sent."""
        self.points.append(RewindPoint(uuid=uuid, length_before=len(self.fingerprints)))

    def add(self, fingerprints: list[bytes]) -> None:
        """These messages are held now."""
        self.fingerprints.extend(fingerprints)

    def undo(self) -> None:
        """The newest user turn and all that came with it was taken back."""
        point = self.points.pop()
        del self.fingerprints[point.length_before :]
