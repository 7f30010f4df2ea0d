"""Leaks that somebody allowed, by marker, setting or hook; and severities."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import LEAK, write_ini

if TYPE_CHECKING:
    from support.inner import Project


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        ('"fds", reason="x"', True),
        ('reason="x"', True),
        ('"threads", reason="x"', False),
        ('"threads", "fds", reason="x"', True),
        ('"fds", match="test_it.py", reason="x"', True),
        ('"fds", match="other.py", reason="x"', False),
        ('"fds", match="in test_leaks", reason="x"', True),
        ('"fds", match="file*open for read", reason="x"', True),
    ],
)
def test_a_marker_allows_what_it_matches(project: Project, arguments: str, allowed: bool) -> None:
    """Kinds restrict, and the glob is held against summary, target and creation site."""
    project.write(
        "test_it.py",
        f"""
        import pytest
        KEEP = []
        @pytest.mark.allow_leak({arguments})
        def test_leaks():
            KEEP.append(open(__file__))
        """,
    )
    run = project.run()

    assert ("leaked" not in run.outcomes) == allowed, run.text


def test_a_marker_may_be_added_while_the_test_runs(project: Project) -> None:
    """As with pytest's own: by a fixture or the test; one that cannot be used is the test's error."""
    project.write(
        "test_it.py",
        """
        import pytest
        KEEP = []
        allow = pytest.mark.allow_leak("fds", reason="x")
        @pytest.fixture
        def leaky(request): request.applymarker(allow)
        def test_fixture(leaky): KEEP.append(open(__file__))
        @pytest.mark.allow_leak("threads", reason="y")
        def test_one_more(leaky): KEEP.append(open(__file__))
        def test_off(request):
            request.node.add_marker(pytest.mark.resource_hygiene("off"))
            KEEP.append(open(__file__))
        def test_leaks(): KEEP.append(open(__file__))
        def test_typo(request): request.node.add_marker(pytest.mark.allow_leak("fd", reason="x"))
        """,
    )
    run = project.run()

    assert run.one()["nodeid"] == "test_it.py::test_leaks"
    assert run.outcomes == {"passed": 4, "leaked": 1, "error": 1}, run.text
    assert "unknown kind 'fd'" in run.out
    assert "protocol.py" not in run.out
    assert run.code == 1


def test_an_allowance_shows_reason_and_issue(project: Project) -> None:
    """An allowed finding carries the reason and the issue into the JSON."""
    project.write(
        "test_it.py",
        """
        import pytest
        KEEP = []
        @pytest.mark.allow_leak("fds", reason="a cache", issue="#7")
        def test_it(): KEEP.append(open(__file__))
        """,
    )
    run = project.run()
    run.assert_clean()
    (finding,) = run.findings

    assert (finding["severity"], finding["reason"], finding["issue"]) == (
        "allowed",
        "a cache",
        "#7",
    )
    assert run.summary["allowed"] == 1


def test_an_allowance_that_matched_nothing_is_named(project: Project) -> None:
    """Unused allowances stand in the closing section and in the JSON, and fail a strict run."""
    project.write(
        "test_it.py",
        """
        import pytest
        @pytest.mark.allow_leak("threads", reason="long gone")
        def test_it(): pass
        """,
    )
    write_ini(project, "resource_hygiene_allow = sockets: *pool* -- was once here")
    run = project.run()

    assert run.code == 0
    assert run.document is not None
    unused = run.document["unused_allowances"]
    assert len(unused) == 2, unused
    assert any("was once here" in line for line in unused)
    assert any("long gone" in line for line in unused)
    assert run.out.count("was once here") == 1
    assert project.run("--resource-hygiene-strict").code == 1


def test_a_severity_of_off_switches_a_kind_off(project: Project) -> None:
    """``kind: off`` leaves not even a note; ``kind: fail`` makes a note a failure."""
    project.write("test_it.py", LEAK)
    run = project.run("--resource-hygiene-severity=fds: off")
    run.assert_clean(notes=False)

    assert run.findings == []


@pytest.mark.parametrize(
    ("kind", "leak"),
    [
        ("environment", "os.environ['RH_LEFT'] = '1'"),
        ("environment", "os.chdir('/')"),
        ("environment", "sys.path.append('/nowhere')"),
        ("temp_paths", "tempfile.mkdtemp()"),
    ],
)
def test_kinds_that_are_off_are_one_flag_away(project: Project, kind: str, leak: str) -> None:
    """Silent by default; found with ``--resource-hygiene-kinds=+kind``."""
    project.write("test_it.py", f"import os, sys, tempfile\ndef test_it(): {leak}\n")
    with tempfile.TemporaryDirectory() as folder:  # not below pytest's own temporary folders
        env = {"TMPDIR": folder}

        assert project.run(env=env).outcomes == {"passed": 1}

        run = project.run(f"--resource-hygiene-kinds=+{kind}", env=env)

    assert run.outcomes == {"leaked": 1}, run.text


def test_a_conftest_that_raises_when_it_is_asked_hides_no_leak(project: Project) -> None:
    """Whether it was expected is not known; that it is there is."""
    project.write(
        "conftest.py",
        """
        def pytest_resource_hygiene_expected(item, leak): raise KeyError("nothing")
        """,
    )
    project.write("test_it.py", LEAK)
    run = project.run()

    assert run.one()["kind"] == "fds"
    assert run.outcomes == {"leaked": 1, "passed": 1}, run.text
    assert "asking conftest files about test_it.py::test_leaks: KeyError: 'nothing'" in run.text
    assert run.code == 3, run.text


def test_a_conftest_may_expect_a_leak(project: Project) -> None:
    """The hook pytest_resource_hygiene_expected gives a reason, and the leak is allowed."""
    project.write(
        "conftest.py",
        """
        def pytest_resource_hygiene_expected(item, leak):
            return "known here" if leak.kind == "fds" else None
        """,
    )
    project.write("test_it.py", LEAK)
    run = project.run()
    run.assert_clean()

    assert [one["reason"] for one in run.findings] == ["known here"]


def test_a_mark_of_a_module_or_class_is_also_for_its_fixtures(project: Project) -> None:
    """Their leaks are told at the last test; a mark of that test is for the test alone."""
    for name, mark in (("marked", "pytestmark = ALLOWED"), ("plain", "")):
        project.write(
            f"test_{name}.py",
            f"""
            import pytest, socket
            KEEP = []
            ALLOWED = pytest.mark.allow_leak("sockets", reason="no close()")
            {mark}
            @pytest.fixture(scope="module")
            def wide(): KEEP.append(socket.socket())
            @pytest.fixture(scope="class")
            def of_class(): KEEP.append(socket.socket())
            @ALLOWED
            class TestMarked:
                def test_it(self, of_class): pass
            class TestPlain:
                def test_it(self, of_class): pass
            @ALLOWED
            def test_last(wide): pass
            """,
        )
    run = project.run()

    failing = {(one["nodeid"], one["owner"]["name"]) for one in run.failing}
    assert failing == {
        ("test_plain.py::TestPlain::test_it", "of_class"), ("test_plain.py::test_last", "wide"),
    }  # fmt: skip
    assert run.summary["allowed"] == 4


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("match=''", "match must be a glob, not ''"),
        ("reason=5", "the reason must be a text, not 5"),
    ],
)
def test_a_mark_that_says_nothing_is_a_mistake(project: Project, args: str, words: str) -> None:
    """An empty glob would allow all, which nobody means who writes one."""
    reason = "" if "reason" in args else ", reason='why'"
    project.write(
        "test_it.py",
        f"""
        import pytest
        @pytest.mark.allow_leak("fds", {args}{reason})
        def test_it(): pass
        """,
    )
    run = project.run()

    assert run.code == 4, run.text
    assert words in run.text


def test_an_allowance_of_what_is_a_note_has_matched_something(project: Project) -> None:
    """Whoever took it away, as told, would fail with ``strict``."""
    project.write("test_it.py", """
        import pytest
        @pytest.mark.allow_leak("unclosed", reason="known to us")
        def test_it(): open(__file__).readline()
        """)  # fmt: skip
    run = project.run()

    assert run.outcomes == {"passed": 1}, run.text
    assert [(one["severity"], one["reason"]) for one in run.findings] == [("note", "known to us")]
    assert run.document["unused_allowances"] == []


@pytest.mark.parametrize("narrow", [("-k", "clean"), ("test_it.py::TestIt::test_clean",)])
def test_a_narrow_run_says_nothing_of_allowances(project: Project, narrow: tuple[str, ...]) -> None:
    """The test that leaks was not run."""
    project.write("test_it.py", """
        import pytest
        KEEP = []
        @pytest.mark.allow_leak("fds", reason="the legacy client")
        class TestIt:
            def test_leaks(self): KEEP.append(open(__file__))
            def test_clean(self): pass
        """)  # fmt: skip
    run = project.run("--resource-hygiene-strict", *narrow)

    assert run.code == 0, run.text
    assert run.document["unused_allowances"] == []
    assert "matched nothing" not in run.text
