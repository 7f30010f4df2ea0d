"""The JSON document ``resource-hygiene/1``: everything for machines."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

from pytest_resource_hygiene._version import __version__
from pytest_resource_hygiene.reports.encoding import json_text
from pytest_resource_hygiene.whole_files import write_whole

__all__ = ["SCHEMA_FILE", "make_document", "write_document"]

SCHEMA_FILE = Path(__file__).parent / "schema.json"


def make_document(
    findings: list[dict[str, Any]],
    *,
    tests: int,
    seconds: float,
    collections: int,
    blind_spots: list[dict[str, str]],
    unused_allowances: list[str],
    pytest_version: str,
    baseline: dict[str, Any] | None = None,
    timeline: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Put findings and figures together.

    Args:
        findings: as `Leak.to_dict` makes them.
        tests: how many ran.
        seconds: our own cost.
        collections: how often we ran the garbage collector.
        blind_spots: kinds that cannot see everything on this machine, with the reason.
        unused_allowances: allowances that matched nothing.
        pytest_version: the version of pytest.
        baseline: what there is to tell of the list of known leaks, where one is in use.
        timeline: what was open after each test, if samples were taken.
    """
    plain = [{k: v for k, v in finding.items() if k != "late"} for finding in findings]
    document: dict[str, Any] = {
        "schema": "resource-hygiene/1",
        "tool": {"name": "pytest-resource-hygiene", "version": __version__},
        "environment": {
            "python": platform.python_version(),
            "platform": sys.platform,
            "pytest": pytest_version,
            "blind_spots": blind_spots,
        },
        "summary": {
            "tests": tests,
            **_counts(findings),
            "overhead_seconds": round(seconds, 6),
            "gc_collections": collections,
        },
        "findings": plain,
        "unused_allowances": unused_allowances,
        **({} if baseline is None else {"baseline": baseline}),
    }
    if timeline is not None:
        document["timeline"] = timeline
    return document


def _counts(findings: list[dict[str, Any]]) -> dict[str, Any]:
    severities = [finding["severity"] for finding in findings]
    return {
        "leaked_tests": len({f["nodeid"] for f in findings if f["severity"] == "fail"}),
        "findings": severities.count("fail"),
        "notes": severities.count("note"),
        "allowed": severities.count("allowed"),
    }


def write_document(document: dict[str, Any], path: Path) -> None:
    r"""Write it as UTF-8 with a final newline.

    Bytes that the system could not decode, in a path or a command line, are lone surrogates in
    Python and become ``\udcXX``, which is what JSON has for them (RFC 8259, section 8.2).

    Raises:
        OSError: the file cannot be written.
    """
    write_whole(path, _to_text(document))


def _to_text(document: dict[str, Any]) -> str:
    """Return JSON for people, but for the timeline: a number a line would be most of the file."""
    rest = {key: value for key, value in document.items() if key != "timeline"}
    text = json_text(rest, len(document["findings"]), ensure_ascii=False).rstrip()
    if "timeline" in document:
        columns = json.dumps(document["timeline"], separators=(",", ":"), ensure_ascii=False)
        text = f'{text.removesuffix("}").rstrip()},\n "timeline": {columns}\n}}'
    return text + "\n"
