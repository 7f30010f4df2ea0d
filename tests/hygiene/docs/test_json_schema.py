"""The JSON document is what the schema says, and the schema allows nothing else."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hygiene.docs.pages import DOCS, read

from pytest_resource_hygiene.reports.document import SCHEMA_FILE

if TYPE_CHECKING:
    from support.inner import Project

SCHEMA = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

LEAKS = """
    import atexit, os, signal, socket, threading
    import pytest

    KEPT = []

    @pytest.fixture(scope="module")
    def wide():
        KEPT.append(socket.socket())

    def test_wide(wide): pass

    def test_pipe(): os.pipe()

    def test_signal(): signal.signal(signal.SIGTERM, lambda *_: None)

    def test_file(): open(__file__).readline()

    def test_many():
        for _ in range(11):
            atexit.register(print)

    @pytest.mark.allow_leak("threads", match="wait", reason="ends by itself", issue="X-1")
    def test_allowed():
        threading.Thread(target=threading.Event().wait, args=(3,), daemon=True).start()

    def test_clean(): pass
"""


@pytest.fixture(scope="module")
def document(module_project: Project) -> dict[str, Any]:
    """The document of a run with findings of many sorts."""
    module_project.write("test_it.py", LEAKS)
    run = module_project.run("--resource-hygiene-allow=fds: nowhere -- is unused", grace=0.1)
    assert run.document is not None, run.text
    return run.document


def test_the_schema_is_one() -> None:
    """It is a valid schema of the draft that it names."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_real_document_is_valid(document: dict[str, Any]) -> None:
    """A run with failures, notes, allowances and limits writes what the schema describes."""
    errors = [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(document)]

    assert errors == []
    assert {one["severity"] for one in document["findings"]} == {"fail", "note", "allowed"}
    assert {one["change"] for one in document["findings"]} >= {"added", "replaced", "exceeded"}
    assert document["unused_allowances"] != []


def test_figures_add_up(document: dict[str, Any]) -> None:
    """The summary counts what is in the list."""
    severities = [one["severity"] for one in document["findings"]]

    assert document["summary"]["tests"] == 7
    assert document["summary"]["findings"] == severities.count("fail")
    assert document["summary"]["notes"] == severities.count("note")
    assert document["summary"]["allowed"] == severities.count("allowed") == 1


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--resource-hygiene=report"], id="report"),
        pytest.param(["-p", "xdist", "-n2"], id="xdist"),
        pytest.param(["-p", "xdist", "-n2", "--resource-hygiene=report"], id="xdist-report"),
    ],
)
def test_documents_of_all_modes_are_valid(project: Project, options: list[str]) -> None:
    """Report mode and xdist write the same findings in the same form."""
    project.write("test_it.py", LEAKS)
    run = project.run(*options, grace=0.1)

    assert run.document is not None, run.text
    assert [error.message for error in VALIDATOR.iter_errors(run.document)] == []
    assert {one["kind"] for one in run.failing} >= {"fds", "signals", "atexit", "sockets"}


def test_a_clean_run_writes_a_valid_document(project: Project) -> None:
    """There is a document also where there is nothing to tell."""
    project.write("test_it.py", "def test_clean(): pass")
    run = project.run()

    assert run.document is not None
    assert [error.message for error in VALIDATOR.iter_errors(run.document)] == []
    assert run.document["findings"] == []


@pytest.mark.parametrize(
    "path", ["", "tool", "environment", "summary", "findings.0", "findings.0.owner"]
)
def test_fields_that_nobody_described_are_not_valid(document: dict[str, Any], path: str) -> None:
    """The schema is strict at every level, details of the kinds aside."""
    changed = copy.deepcopy(document)
    place: Any = changed
    for step in path.split(".") if path else ():
        place = place[int(step) if step.isdigit() else step]
    place["surprise"] = 1

    assert not VALIDATOR.is_valid(changed)


def test_a_missing_field_is_not_valid(document: dict[str, Any]) -> None:
    """Every field of a finding is always there."""
    for name in document["findings"][0]:
        changed = copy.deepcopy(document)
        del changed["findings"][0][name]

        assert not VALIDATOR.is_valid(changed), name


def test_every_field_is_on_the_page() -> None:
    """The page explains each field of the document and of a finding."""
    text = read(DOCS / "json.md")
    names = {*SCHEMA["properties"], *SCHEMA["$defs"]["finding"]["properties"]}
    names |= set(SCHEMA["properties"]["summary"]["properties"])

    assert {name for name in names if f"`{name}`" not in text} == set()


def test_undecodable_bytes_are_written_as_json_has_them(project: Project) -> None:
    """A file name that is no UTF-8 must not cost the whole document."""
    project.write("test_it.py", """
        import os
        def test_leaks(tmp_path):
            global kept
            kept = open(os.fsencode(tmp_path) + b"/\\xff", "w")
    """)  # fmt: skip
    run = project.run("--resource-hygiene-html=page.html")

    assert run.code == 1, run.text
    assert ascii(run.one(kind="fds")["details"]["target"]).endswith("udcff'")
    assert r"\udcff" in (project.path / "page.html").read_text(encoding="utf-8")
