"""Kinds that a conftest adds, and what is our own fault or theirs: never a test's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import LEAK

if TYPE_CHECKING:
    from support.inner import Project

_TRACKER = """
    from pytest_resource_hygiene.tracker import Description, Tracker
    import app
    class Handles(Tracker):
        kind = "handles"
        title = "application handle"
        def list_resources(self, moment): return {one: one for one in app.OPEN}
        def describe(self, key, value, old=None): return Description(summary=f"handle {value}")
    def pytest_resource_hygiene_trackers(): return [Handles()]
    """


def test_a_conftest_adds_a_kind(project: Project) -> None:
    """A project's own kind is judged, shown, allowed and chosen like any other."""
    project.write("app.py", "OPEN = set()\n")
    project.write("conftest.py", _TRACKER)
    project.write(
        "test_it.py",
        """
        import app, pytest
        def test_leaks(): app.OPEN.add("one")
        @pytest.mark.allow_leak("handles", reason="x")
        def test_allowed(): app.OPEN.add("two")
        def test_clean(): app.OPEN.add("three"); app.OPEN.remove("three")
        """,
    )
    env = {"PYTHONPATH": str(project.path)}
    run = project.run(env=env)

    assert run.one()["summary"] == "handle one"
    assert run.one()["kind"] == "handles"
    assert run.outcomes == {"passed": 2, "leaked": 1}
    assert project.run("--resource-hygiene-kinds=-handles", env=env).code == 0


@pytest.mark.parametrize(
    "method",
    [
        "start",
        "stop",
        "sensor",
        "reading",
        "list_resources",
        "forget",
        "creation",
        "anchor",
        "describe",
    ],
)
def test_a_fault_in_a_tracker_is_its_own(project: Project, method: str) -> None:
    """A tracker that raises is named in one line, the run ends with 3, and no test is blamed."""
    project.write("app.py", "OPEN = set()\n")
    project.write(
        "conftest.py",
        f"""{_TRACKER}
    def broken(self, *args, **kwargs): raise RuntimeError("my own fault")
    Handles.{method} = broken
    """,
    )
    project.write(
        "test_it.py",
        """
        import app
        def test_a(): pass
        def test_b(): app.OPEN.add("one")
        def test_c(): pass
        """,
    )
    run = project.run(env={"PYTHONPATH": str(project.path)})

    assert run.code == 3, run.text
    lines = [line for line in run.out.splitlines() if "my own fault" in line]
    assert len(lines) == 1, run.text
    assert "handles" in lines[0]
    assert "Traceback" not in run.text
    assert run.outcomes.get("passed", 0) >= 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("trackers(): return Rows()", "Return a list of trackers"),
        ("trackers(): return [Rows]", "Return a list of trackers"),
        ("trackers(): Rows.kind = 'r o w s'; return [Rows()]", "Rows.kind is 'r o w s'. Give it a"),
        ("trackers(): Rows.kind = 'all'; return [Rows()]", "none of all, default"),
        ("trackers(): Rows.kind = 'fds'; return [Rows()]", "two trackers of the kind 'fds'"),
        ("trackers(): Rows.severity = 'error'; return [Rows()]", "Valid are fail, note, off"),
        ("emitters(): return [3]", "Return a dict of names to registries"),
    ],
)
def test_a_hook_that_returns_something_else_is_told_in_one_line(
    project: Project, text: str, words: str
) -> None:
    """A mistake in a conftest is a usage error with what is valid, and no internal error."""
    project.write("conftest.py", f"""
        from pytest_resource_hygiene import Tracker
        class Rows(Tracker):
            kind = "rows"
            def list_resources(self, moment): return {{}}
        def pytest_resource_hygiene_{text}
        """)  # fmt: skip
    project.write("test_it.py", LEAK)
    run = project.run()

    assert run.code == 4, run.text
    assert words in run.text
    assert "Traceback" not in run.text
    assert "INTERNALERROR" not in run.text


@pytest.mark.parametrize(
    ("method", "answer", "told"),
    [
        (
            "list_resources",
            "[*app.OPEN]",
            "returned a list. Return a dict of identities to handles",
        ),
        ("list_resources", "None", "returned a NoneType. Return a dict"),
        ("creation", "'somewhere'", "returned a str. Return what recorder.creation() did"),
        ("describe", "'a handle'", "returned a str. Return a Description"),
        (
            "describe",
            "Description(summary=5)",
            "its Description has int for its summary. Give a text",
        ),
        ("describe", "Description('x', hint=None)", "its Description has NoneType for its hint."),
        ("drain", "None", "'NoneType' object is not iterable"),
        ("probes", "None", "'NoneType' object is not iterable"),
        ("iter_limits", "None", "'NoneType' object is not iterable"),
    ],
)
def test_a_tracker_that_answers_something_else_is_told_what_to_return(
    project: Project, method: str, answer: str, told: str
) -> None:
    """Whoever writes his first kind reads one sentence, and no traceback of ours."""
    project.write("app.py", "OPEN = set()\n")
    project.write(
        "conftest.py",
        f"""{_TRACKER}
    Handles.{method} = lambda self, *args, **kwargs: {answer}
    """,
    )
    project.write(
        "test_it.py", "import app\ndef test_a(): app.OPEN.add('one')\ndef test_b(): pass\n"
    )
    run = project.run(env={"PYTHONPATH": str(project.path)}, grace=0.05)

    assert run.code == 3, run.text
    assert "INTERNALERROR" not in run.text
    (line,) = (one for one in run.out.splitlines() if "resource hygiene: tracker 'handles'" in one)
    assert told in line


@pytest.mark.parametrize(
    ("option", "severities"),
    [
        ("severity=handles: note", ["note"]),
        ("severity=handles: off", []),
        ("severity=handles: fail", ["fail"]),
        ("allow=handles: one -- closed by its server", ["allowed"]),
    ],
)
@pytest.mark.parametrize("plugins", [(), ("xdist",)])
def test_a_kind_of_the_project_is_configured_like_any_other(
    project: Project, option: str, severities: list[str], plugins: tuple[str, ...]
) -> None:
    """Though nobody knows it before the conftest files of folders have been read."""
    project.write("app.py", "OPEN = set()\n")
    project.write("conftest.py", _TRACKER)
    project.write("test_it.py", "import app\ndef test_a(): app.OPEN.add('one')\n")
    more = ["-n", "1"] if plugins else []
    env = {"PYTHONPATH": str(project.path)}
    run = project.run(f"--resource-hygiene-{option}", *more, env=env, plugins=plugins, grace=0.05)

    assert [one["severity"] for one in run.findings] == severities, run.text
    assert run.code == ("fail" in severities), run.text


@pytest.mark.parametrize(("broken", "code"), [("True", 4), ("app.OPEN", 3)])
def test_a_registry_that_raises_is_named(project: Project, broken: str, code: int) -> None:
    """When it is declared, or in the midst of the run: there may be twenty of them."""
    project.write("app.py", "OPEN = set()\n")
    project.write(
        "conftest.py",
        f"""
        import app
        def bus():
            if {broken}: raise LookupError("no bus")
            return []
        def pytest_resource_hygiene_emitters(): return {{"bus": bus, "another": []}}
        """,
    )
    project.write("test_it.py", "import app\ndef test_a(): app.OPEN.add('one')\n")
    run = project.run(env={"PYTHONPATH": str(project.path)})

    assert run.code == code, run.text
    assert "INTERNALERROR" not in run.text
    assert "listener registry 'bus' cannot be listed: LookupError: no bus" in run.text


@pytest.mark.parametrize("plugins", [(), ("xdist",)])
def test_details_of_a_kind_may_be_anything(project: Project, plugins: tuple[str, ...]) -> None:
    """What JSON does not know is put as text: it breaks neither the file nor a worker's report."""
    project.write("app.py", "OPEN = set()\n")
    details = 'dict(path=Path("/x"), names={"a"}, raw=b"b", rate=float("nan"), at=(1, 2.5, None))'
    project.write(
        "conftest.py",
        f"""{_TRACKER}
    from pathlib import Path
    Handles.describe = lambda self, key, value, old: Description(str(value), details={details})
    """,
    )
    project.write("test_it.py", "import app\ndef test_leaks(): app.OPEN.add('one')\n")
    args = ("-n1",) if plugins else ()
    run = project.run(*args, plugins=plugins, env={"PYTHONPATH": str(project.path)})

    details_seen = run.one("test_leaks")["details"]
    del details_seen["source_line"]
    assert details_seen == {
        "path": "/x", "names": ["a"], "raw": "b'b'", "rate": "nan", "at": [1, 2.5, None],
    }  # fmt: skip
    assert run.code == 1, run.text


def test_a_fault_at_the_end_of_the_run_is_ours(project: Project) -> None:
    """The other reports are made, the run ends with 3 and one line, and no traceback hides pytest's."""
    project.write(
        "conftest.py",
        """
        from pytest_resource_hygiene.reports import document
        def broken(*args): raise RuntimeError("my own fault")
        document.write_document = broken
        """,
    )
    project.write("test_it.py", LEAK)
    run = project.run()

    assert run.code == 3, run.text
    assert "own fault, not the tests': at the end of the run: RuntimeError: my own fault" in run.out
    assert "LEAKED test_it.py::test_leaks" in run.out
    assert "Traceback" not in run.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_that_comes_back_to_pytest_writes_nothing(project: Project) -> None:
    """A test whose forked child does not end by itself has two pytests; the reports are the first's."""
    project.write(
        "test_it.py",
        """
        import os
        from pathlib import Path
        def test_it():
            child = os.fork()
            if not child: return
            os.waitpid(child, 0)
            assert not Path("findings.json").exists()
        """,
    )
    run = project.run()

    assert run.document is not None, run.text
    assert run.code == 0, run.text


def test_a_file_that_can_be_written_no_more_at_the_end_is_told(project: Project) -> None:
    """One line and status 3, not a traceback: what was found is on the terminal all the same."""
    project.write("test_it.py", LEAK + "\n    open('out', 'w').close()\n")
    run = project.run("--resource-hygiene-json=out/x.json")

    assert run.code == 3
    assert "cannot write --resource-hygiene-json=out/x.json" in run.out
    assert run.outcomes == {"passed": 1, "leaked": 1}
    assert "Traceback" not in run.text
