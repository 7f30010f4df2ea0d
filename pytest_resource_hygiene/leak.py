"""The noun that all is about: one finding. Loaded with the first of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_resource_hygiene.model import Change, Frame, Origin, OwnerInfo, Severity

__all__ = ["Leak"]


@dataclass(frozen=True, kw_only=True)
class Leak:
    """One finding: what was left, where it was made, by whom, and how to close it.

    Attributes:
        kind: of the resource, e.g. ``threads``.
        severity: ``fail``, ``note``, ``allowed``, or ``known`` from a baseline.
        change: ``added``; ``replaced`` or ``removed`` for slots; ``exceeded`` for too many listeners.
        count: how many resources of one making.
        summary: the resource in one clause.
        details: facts of the kind.
        nodeid: the test at which it is reported; empty outside of tests.
        made_during: the test during which it was made.
        owner: who answers for it.
        origin: the innermost line of the user's that made it; None if that is not known.
        stack: of its making, innermost first, without our own frames.
        held_by: a path of references to it, outermost first; empty if none was found.
        present_stack: where a thread or task is now, outermost first, as printable lines.
        waited_seconds: how long it was given to go.
        hint: how to close it.
        fingerprint: 16 hexadecimal digits, the same across runs, machines and shifted lines.
        reason: why it is allowed, or known; None otherwise.
        issue: where that is tracked; None if nobody has said so.
        parts: what else the same call has made, in one clause each.
    """

    kind: str
    severity: Severity
    change: Change
    count: int
    summary: str
    details: Mapping[str, Any]
    nodeid: str
    made_during: str
    owner: OwnerInfo
    origin: Origin | None
    stack: tuple[Frame, ...]
    held_by: tuple[str, ...]
    present_stack: tuple[str, ...]
    waited_seconds: float
    hint: str
    fingerprint: str
    reason: str | None = None
    issue: str | None = None
    parts: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return the finding in the form of the schema ``resource-hygiene/1``.

        Names that are no text (lone surrogates, as Python reads them from the file system) are
        escaped: neither xdist nor a terminal nor a file takes them. So is whatever a project's own
        kind has put into its details that JSON does not know, such as a path.
        """
        return {key: _json_safe(value) for key, value in self._fields().items()}

    def _fields(self) -> dict[str, Any]:
        details = dict(self.details)
        if self.parts:
            details["parts"] = list(self.parts)
        if self.present_stack:
            details["present_stack"] = list(self.present_stack)
        if self.owner.location:
            details["owner_location"] = self.owner.location
        if self.origin is not None and self.origin.text:
            details["source_line"] = self.origin.text
        return {
            "kind": self.kind,
            "severity": self.severity,
            "change": self.change,
            "count": self.count,
            "summary": self.summary,
            "details": details,
            "nodeid": self.nodeid,
            "made_during": self.made_during,
            "owner": self.owner.to_dict(),
            "origin": self.origin.to_dict() if self.origin else None,
            "stack": [frame.to_dict() for frame in self.stack],
            "held_by": list(self.held_by),
            "waited_seconds": round(self.waited_seconds, 3),
            "hint": self.hint,
            "fingerprint": self.fingerprint,
            "reason": self.reason,
            "issue": self.issue,
        }


def _json_safe(value: Any) -> Any:
    if value is None or type(value) in {bool, int}:
        return value
    if isinstance(value, Mapping):
        return {str(_json_safe(key)): _json_safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_json_safe(item) for item in value]
    if type(value) is float and isfinite(value):
        return value
    text = str(value)
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()
