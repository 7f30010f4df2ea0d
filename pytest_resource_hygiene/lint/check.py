"""Checks one file: reads, parses, walks once, asks each rule, applies the comments."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from pytest_resource_hygiene.lint.noqa import BARE, REASON_MISSING, STALE, allowances_in, apply
from pytest_resource_hygiene.lint.reading import read_module
from pytest_resource_hygiene.lint.rule import Case, Finding, Hit
from pytest_resource_hygiene.lint.rules import all_rules
from pytest_resource_hygiene.lint.source import Unreadable, parse, read_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_resource_hygiene.lint.facts import Module

__all__ = ["META_RULES", "UNREADABLE", "FileResult", "check_file", "check_text", "known_codes"]

UNREADABLE = "RH900"
_NOQA = re.compile(r"noqa\s*:.*\bRH[0-9]", re.IGNORECASE)
#: What is found about a file or a comment rather than about code: code, name, sentence.
META_RULES = {
    UNREADABLE: (
        "cannot-be-checked",
        "The file cannot be read or parsed, so nothing is known of it.",
    ),
    REASON_MISSING: ("reason-missing", "A `noqa` for one of these rules does not say why."),
    STALE: ("noqa-not-needed", "A `noqa` for one of these rules allows nothing any more."),
}


class FileResult(NamedTuple):
    """What one file came to.

    Attributes:
        lines: how many it has.
        parsed: whether it had to be.
        findings: by place.
    """

    lines: int
    parsed: bool
    findings: list[Finding]


def known_codes() -> frozenset[str]:
    """Return the codes of all rules."""
    return frozenset(rule.code for rule in all_rules()) | frozenset(META_RULES)


def check_file(path: str, enabled: frozenset[str]) -> FileResult:
    """Check a file.

    Args:
        path: of a Python file.
        enabled: the codes to look for.
    """
    try:
        text = read_source(path)
    except Unreadable as error:
        return FileResult(0, False, _only(_unreadable(path, error), enabled))
    return check_text(text, path, enabled)


def check_text(text: str, path: str, enabled: frozenset[str]) -> FileResult:
    """Check a source text under the name of a path."""
    lines = text.count("\n") + (not text.endswith("\n") and bool(text))
    if not _is_worth_parsing(text, enabled):
        return FileResult(lines, False, [])
    try:
        module = read_module(parse(text), path)
        found = sorted(_found(module, enabled))
    except Unreadable as error:
        return FileResult(lines, True, _only(_unreadable(path, error), enabled))
    except RecursionError:
        deep = Unreadable("its expressions are nested too deeply")
        return FileResult(lines, True, _only(_unreadable(path, deep), enabled))
    told = apply(_with_hint(found, text), allowances_in(text), path, enabled)
    return FileResult(lines, True, sorted(one for one in told if one.code in enabled))


def _is_worth_parsing(text: str, enabled: frozenset[str]) -> bool:
    if any(rule.code in enabled and rule.may_find(text) for rule in all_rules()):
        return True
    return "noqa" in text and _NOQA.search(text) is not None


def _found(module: Module, enabled: frozenset[str]) -> Iterator[Finding]:
    case = Case(module)
    for rule in all_rules():
        if rule.code in enabled:
            for hit in rule.check(case):
                yield _finding(module.path, rule.code, hit)


def _finding(path: str, code: str, hit: Hit) -> Finding:
    line = getattr(hit.node, "lineno", 1)
    column = getattr(hit.node, "col_offset", 0) + 1
    end = getattr(hit.node, "end_lineno", None) or line
    return Finding(path, line, column, end, code, " ".join(hit.message.split()))


def _with_hint(findings: list[Finding], text: str) -> Iterator[Finding]:
    """Count columns in characters, and tell whoever has written a bare ``noqa`` why it does not help."""
    lines = text.split("\n")
    for finding in findings:
        here = lines[finding.line - 1 : finding.end_line]
        one = finding._replace(column=_characters(here[0], finding.column - 1) + 1)
        if any(BARE.search(line) for line in here):
            hint = f" (a bare noqa allows nothing: write `# noqa: {one.code} -- reason`)"
            yield one._replace(message=one.message + hint)
        else:
            yield one


def _characters(line: str, offset: int) -> int:
    """Turn an offset of the syntax tree, which is in bytes of UTF-8, into one in characters."""
    return offset if line.isascii() else len(line.encode()[:offset].decode(errors="ignore"))


def _unreadable(path: str, error: Unreadable) -> Finding:
    return Finding(path, error.line, error.column, error.line, UNREADABLE, str(error))


def _only(finding: Finding, enabled: frozenset[str]) -> list[Finding]:
    return [finding] if finding.code in enabled else []
