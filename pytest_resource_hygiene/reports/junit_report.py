"""JUnit XML: for services that know test reports only.

pytest's own ``--junitxml`` already has the failures, and our properties on each leaking test. This
is for a document that lies there without it, such as one of another machine.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.reports.leaks import leaks_of
from pytest_resource_hygiene.reports.terminal_report import finding_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["render"]

# What XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(document: Mapping[str, Any]) -> str:
    """Return a suite with a case for each test that has findings; failing ones are failures."""
    cases: dict[str, list[Mapping[str, Any]]] = {}
    for finding in document["findings"]:
        cases.setdefault(finding["nodeid"], []).append(finding)
    suites = ET.Element("testsuites", name="resource-hygiene")
    failures = sum(1 for findings in cases.values() if any(map(_fails, findings)))
    suite = ET.SubElement(
        suites, "testsuite", name="resource-hygiene", tests=str(len(cases)),
        failures=str(failures), errors="0", skipped="0",
    )  # fmt: skip
    figures = document["summary"]
    _properties(suite, ((f"resource_hygiene_{name}", str(figures[name])) for name in figures))
    for nodeid, findings in cases.items():
        _case(suite, nodeid, findings)
    ET.indent(suites)
    body = ET.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'


def _fails(finding: Mapping[str, Any]) -> bool:
    return bool(finding["severity"] == "fail")


def _case(suite: ET.Element, nodeid: str, findings: list[Mapping[str, Any]]) -> None:
    classname, name = _names(nodeid)
    case = ET.SubElement(suite, "testcase", classname=classname, name=name, time="0")
    rows = [(f"resource_hygiene_{leak.severity}", f"{leak.summary} ({leak.first['fingerprint']})")
            for leak in leaks_of(findings)]  # fmt: skip
    _properties(case, rows)
    failing = [finding for finding in findings if _fails(finding)]
    if failing:
        lines = [line for finding in failing for line in finding_lines(dict(finding), "")]
        message = _clean(f"LEAKED: {lines[0]}")
        failure = ET.SubElement(case, "failure", message=message, type="resource-hygiene")
        failure.text = _clean("\n".join(lines))


def _names(nodeid: str) -> tuple[str, str]:
    """Split a node id as pytest's own report does."""
    path, _, rest = nodeid.partition("::")
    head, bracket, parameters = rest.partition("[")
    *classes, name = head.split("::")
    package = re.sub(r"\.py$", "", path).replace("/", ".")
    return _clean(".".join([package, *classes])), _clean(name + bracket + parameters) or "session"


def _properties(parent: ET.Element, rows: Iterable[tuple[str, str]]) -> None:
    element = ET.SubElement(parent, "properties")
    for name, value in rows:
        ET.SubElement(element, "property", name=name, value=_clean(value))


def _clean(text: str) -> str:
    return _FORBIDDEN.sub(lambda found: f"#x{ord(found[0]):02X}", text)
