"""``# noqa: RH001 -- reason``: what is allowed, and whether that is said properly.

The reason is required: whoever reads the line in a year must see why the leak is none. A comment
that allows nothing any more is told too, or such comments stay for ever.
"""

from __future__ import annotations

import io
import re
import tokenize
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_resource_hygiene.lint.rule import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["BARE", "REASON_MISSING", "STALE", "Allowance", "allowances_in", "apply"]

REASON_MISSING = "RH901"
STALE = "RH902"
BARE = re.compile(r"#\s*noqa\s*(?![:\w])", re.IGNORECASE)
_NOQA = re.compile(
    r"#\s*noqa\s*:\s*(?P<codes>[A-Z]+[0-9]+(?:[\s,]+[A-Z]+[0-9]+)*)(?P<rest>.*)", re.IGNORECASE
)
_REASON = re.compile(r"\s*(?:--|\u2014|\u2013)\s*\S")
_OURS = re.compile(r"RH[0-9]{3}")


@dataclass(slots=True)
class Allowance:
    """One comment.

    Attributes:
        line, column: where it begins, counted from 1.
        codes: of ours; others belong to other linters.
        has_reason: whether it says why.
        used: the codes that it was needed for.
    """

    line: int
    column: int
    codes: tuple[str, ...]
    has_reason: bool
    used: set[str]


def allowances_in(text: str) -> list[Allowance]:
    """Return the comments that name rules of ours.

    Reads tokens only if a line looks like it: the word may stand in a string.
    """
    if "noqa" not in text.lower() or not _OURS.search(text.upper()):
        return []
    return list(_read(text))


def _read(text: str) -> Iterator[Allowance]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            found = _NOQA.search(token.string) if token.type == tokenize.COMMENT else None
            if found is None:
                continue
            codes = tuple(dict.fromkeys(_OURS.findall(found["codes"].upper())))
            if codes:
                line, column = token.start
                yield Allowance(
                    line,
                    column + found.start() + 1,
                    codes,
                    bool(_REASON.match(found["rest"])),
                    set(),
                )
    except (tokenize.TokenError, SyntaxError):
        return  # the parser has accepted the file, or has said why not


def apply(
    findings: Iterable[Finding], allowances: list[Allowance], path: str, enabled: frozenset[str]
) -> Iterator[Finding]:
    """Yield the findings that are not allowed, and what is wrong with the comments."""
    for finding in findings:
        if not _is_allowed(finding, allowances):
            yield finding
    for one in allowances:
        yield from _complaints(one, path, enabled)


def _is_allowed(finding: Finding, allowances: list[Allowance]) -> bool:
    allowed = False
    for one in allowances:
        if finding.line <= one.line <= finding.end_line and finding.code in one.codes:
            one.used.add(finding.code)
            allowed = True
    return allowed


def _complaints(one: Allowance, path: str, enabled: frozenset[str]) -> Iterator[Finding]:
    stale = [code for code in one.codes if code in enabled and code not in one.used]
    unknown = [code for code in one.codes if code not in enabled and code not in one.used]
    if one.used and not one.has_reason:
        codes = ", ".join(sorted(one.used))
        message = f"the comment does not say why: write `# noqa: {codes} -- reason`"
        yield Finding(path, one.line, one.column, one.line, REASON_MISSING, message)
    if stale and not (unknown and not one.used and len(unknown) == len(one.codes)):
        codes = ", ".join(stale)
        message = f"nothing here needs `noqa: {codes}` any more: remove it"
        yield Finding(path, one.line, one.column, one.line, STALE, message)
