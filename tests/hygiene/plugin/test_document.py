"""The JSON file: the keys of the issue, and paths as the project knows them."""

from __future__ import annotations

import json

import pytest
from hygiene.plugin.suites import LEAK
from support.inner import Project, Run, run_inside


def test_the_document_has_exactly_the_promised_keys(project: Project) -> None:
    """Keys and types of the JSON are those of the issue, and its schema accepts it."""
    import jsonschema

    from pytest_resource_hygiene.reports.document import SCHEMA_FILE

    project.write("test_it.py", """
        import os, signal, socket, asyncio, pytest
        KEEP = []
        def test_a(): KEEP.extend([open(__file__), os.pipe(), socket.socket()])
        def test_b(): signal.signal(signal.SIGUSR1, print)
        @pytest.fixture(scope="module")
        def wide(): KEEP.append(asyncio.new_event_loop()); return 1
        def test_c(wide): open(__file__)
        @pytest.mark.allow_leak(reason="x")
        def test_d(): KEEP.append(os.dup(0))
        """)  # fmt: skip
    run = project.run("-W", "ignore")
    document = run.document
    assert document is not None

    jsonschema.validate(document, json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
    assert document["schema"] == "resource-hygiene/1"
    assert set(document) >= {"schema", "tool", "environment", "summary", "findings"}
    assert set(document["tool"]) == {"name", "version"}
    assert set(document["environment"]) == {"python", "platform", "pytest", "blind_spots"}
    assert set(document["summary"]) == {
        "tests", "leaked_tests", "findings", "notes", "allowed", "overhead_seconds",
        "gc_collections"}  # fmt: skip
    assert len(document["findings"]) >= 6
    for finding in document["findings"]:
        assert set(finding) == {
            "kind", "severity", "change", "count", "summary", "details", "nodeid", "made_during",
            "owner", "origin", "stack", "held_by", "waited_seconds", "hint", "fingerprint",
            "reason", "issue"}  # fmt: skip
        assert set(finding["owner"]) == {"type", "name", "scope"}
        assert finding["origin"] is None or set(finding["origin"]) == {
            "file", "line", "function", "source"}  # fmt: skip
    assert run.summary["tests"] == 4
    assert run.summary["findings"] == len(run.failing)
    assert run.summary["allowed"] == 1


def test_the_schema_refuses_what_is_not_promised() -> None:
    """The schema is not so wide that anything passes."""
    import jsonschema

    from pytest_resource_hygiene.reports.document import SCHEMA_FILE

    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"schema": "resource-hygiene/2"}, schema)


def test_origins_are_relative_to_the_project(project: Project) -> None:
    """Files of the project are written as in the issue's example, not as on this machine."""
    project.write("sub/test_it.py", LEAK)
    finding = project.run().one()

    assert finding["origin"]["file"] == "sub/test_it.py"


def test_a_file_is_looked_for_in_the_folder_in_which_its_name_is_written(project: Project) -> None:
    """In the configuration that is its folder, wherever pytest is started; no name is no file."""
    project.write("pytest.ini", "[pytest]\nresource_hygiene_json = in_ini.json\n")
    project.write("sub/test_it.py", LEAK)

    def run_in_sub(*args: str, **env: str) -> Run:
        return run_inside(
            project.path / "sub", *args, plugins=["resource_hygiene"], on=False, env=env
        )

    run_in_sub()
    run_in_sub(RESOURCE_HYGIENE_JSON="in_env.json")
    run = run_in_sub("--resource-hygiene-json=")

    written = {str(file.relative_to(project.path)) for file in project.path.rglob("in_*.json")}
    assert written == {"in_ini.json", "sub/in_env.json"}
    assert run.code == 1, run.text
