"""Leaks that somebody has allowed, and said why."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from pytest_resource_hygiene.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["Allowance", "find_allowance", "parse_allowance"]


class Allowance(NamedTuple):
    """One permission.

    Attributes:
        kinds: the kinds it is for; empty for all.
        match: a glob, with ``*`` implied at both ends.
        reason: why; never empty.
        issue: a ticket or link, if there is one.
        source: where it is written, for messages.
    """

    kinds: frozenset[str]
    match: str
    reason: str
    issue: str | None = None
    source: str = ""

    def fits(self, kind: str, texts: Iterable[str]) -> bool:
        """Return whether the kind fits, and the glob any of the texts."""
        if self.kinds and kind not in self.kinds:
            return False
        glob = f"*{self.match}*" if self.match else "*"
        return any(fnmatchcase(text, glob) for text in texts)

    def __str__(self) -> str:
        kinds = ", ".join(sorted(self.kinds)) or "*"
        return f"{kinds}: {self.match or '*'} -- {self.reason}"


def find_allowance(
    allowances: Iterable[Allowance], kind: str, texts: Collection[str]
) -> Allowance | None:
    """Return the first that fits."""
    return next((one for one in allowances if one.fits(kind, texts)), None)


def parse_allowance(line: str, kinds: Collection[str] | None, source: str) -> Allowance:
    """Read ``kind: glob -- reason``; the kind may be ``*``.

    Args:
        line: the text.
        kinds: those that there are; None while that is not known.
        source: where it is written, for messages.

    Raises:
        SettingsError: a part is missing, or the kind is unknown.
    """
    head, dashes, reason = line.partition(" -- ")
    kind, colon, glob = head.partition(":")
    kind, glob, reason = kind.strip(), glob.strip(), reason.strip()
    if not colon or not dashes or not reason:
        raise SettingsError(
            f"{source}: {line!r} is no allowance. Write 'kind: glob -- reason', "
            "e.g. 'threads: tqdm -- one monitor for the process'; the reason is required."
        )
    if not glob:
        raise SettingsError(
            f"{source}: {line!r} says not what. For all of a kind write '{kind}: *'."
        )
    if kind != "*" and kinds is not None and kind not in kinds:
        raise SettingsError(
            f"{source}: unknown kind {kind!r} in {line!r}. Kinds: {', '.join(sorted(kinds))}, or *."
        )
    return Allowance(
        kinds=frozenset() if kind == "*" else frozenset({kind}),
        match=glob,
        reason=reason,
        source=source,
    )
