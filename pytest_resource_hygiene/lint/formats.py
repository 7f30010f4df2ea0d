"""Findings as text, JSON, GitHub annotations and SARIF 2.1.0."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pytest_resource_hygiene._version import __version__
from pytest_resource_hygiene.lint.check import META_RULES
from pytest_resource_hygiene.lint.rules import all_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_resource_hygiene.lint.rule import Finding

__all__ = ["FORMATS", "on_one_line"]


def printable(text: str) -> str:
    """Return text that every terminal and every JSON reader takes: odd file names are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def on_one_line(text: str) -> str:
    """Return text for a terminal: a file's name can neither begin a line nor move the cursor."""
    shown = (one if one.isprintable() else ascii(one)[1:-1] for one in printable(text))
    return "".join(shown)


def as_text(findings: Sequence[Finding]) -> str:
    """One line each, ``file:line:column: code message``."""
    return "".join(f"{on_one_line(str(one))}\n" for one in findings)


def as_json(findings: Sequence[Finding]) -> str:
    """A list of objects."""
    rows = [{**one._asdict(), "path": printable(one.path)} for one in findings]
    return json.dumps(rows, indent=2) + "\n"


def as_github(findings: Sequence[Finding]) -> str:
    """Workflow commands, which GitHub shows beside the changed lines."""
    return "".join(map(_github_line, findings))


def _github_line(one: Finding) -> str:
    fields = f"file={_escaped(one.path)},line={one.line},endLine={one.end_line},col={one.column}"
    message = printable(one.message).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::error {fields},title={one.code}::{message}\n"


def _escaped(text: str) -> str:
    """Escape a property of a workflow command, as GitHub's toolkit does."""
    plain = printable(text)
    for character in "%\r\n:,":
        plain = plain.replace(character, f"%{ord(character):02X}")
    return plain


def as_sarif(findings: Sequence[Finding]) -> str:
    """A SARIF log with all rules, found or not."""
    rules: list[dict[str, Any]] = [
        {
            "id": rule.code,
            "name": rule.name,
            "shortDescription": {"text": rule.what},
            "fullDescription": {"text": rule.why},
            "help": {"text": rule.mend},
            "defaultConfiguration": {"level": "warning"},
        }
        for rule in all_rules()
    ]
    rules += [
        {"id": code, "name": name, "shortDescription": {"text": sentence}}
        for code, (name, sentence) in META_RULES.items()
    ]
    driver = {"name": "resource-hygiene-lint", "version": __version__, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(one) for one in findings],
    }
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(log, indent=2) + "\n"


def _sarif_result(one: Finding) -> dict[str, Any]:
    region = {"startLine": one.line, "startColumn": one.column, "endLine": one.end_line}
    where = {"artifactLocation": {"uri": quote(printable(one.path))}, "region": region}
    return {
        "ruleId": one.code,
        "level": "warning",
        "message": {"text": printable(one.message)},
        "locations": [{"physicalLocation": where}],
    }


FORMATS = {"text": as_text, "json": as_json, "github": as_github, "sarif": as_sarif}
