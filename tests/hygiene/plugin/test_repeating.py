"""What is found by running a test again and again: growth, and not what a cache does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

from pytest_resource_hygiene.pytest_plugin.again import is_trend

if TYPE_CHECKING:
    from support.inner import Project


@pytest.mark.parametrize(
    ("deltas", "grows"),
    [
        ([100, 100, 100], True),
        ([100, 130, 90, 110], True),
        ([8, 8], True),
        ([100], False),  # one step is none
        ([100, 100, 7], False),  # the runner's own bookkeeping
        ([100, 0, 100], False),
        ([100, -50, 100], False),
        ([105, 23, 17], False),  # falls off, as what warms up does
    ],
)
def test_memory_is_a_leak_if_each_run_keeps_much_the_same(deltas: list[int], grows: bool) -> None:
    assert is_trend(deltas) is grows


def test_memory_that_each_run_keeps_is_found(project: Project) -> None:
    """A test that keeps a hundred objects of each run fails, its clean neighbour does not."""
    project.write(
        "test_it.py",
        """
        KEPT = []

        def test_keeps():
            KEPT.append([object() for _ in range(100)])

        def test_drops():
            assert [object() for _ in range(100)]
        """,
    )
    run = project.run("--resource-hygiene-repeat=4", "--resource-hygiene-kinds=+memory")

    assert [(one["kind"], one["nodeid"]) for one in run.failing] == [
        ("memory", "test_it.py::test_keeps")
    ], run.text


def test_what_pytest_keeps_of_each_run_is_no_leak_of_a_test(project: Project) -> None:
    """For each fixture of a test that asks for a wider one it keeps a note until that one ends."""
    project.write(
        "test_it.py",
        """
        import pytest

        KEPT = []
        wide = pytest.fixture(scope="session", name="wide")(lambda: None)
        for name in "abcdefgh":
            globals()[name] = pytest.fixture(name=name)(lambda wide: None)

        async def test_async(): pass

        def test_clean(a, b, c, d, e, f, g, h): pass

        def test_keeps(a, b, c, d, e, f, g, h):
            KEPT.append([object() for _ in range(12)])

        def test_last(): pass
        """,
    )
    run = project.run(
        "-p", "asyncio", "--asyncio-mode=auto", "-o", "asyncio_default_fixture_loop_scope=function",
        "--resource-hygiene-repeat=4", "--resource-hygiene-kinds=+memory",
    )  # fmt: skip

    assert [(one["kind"], one["nodeid"]) for one in run.failing] == [
        ("memory", "test_it.py::test_keeps")
    ], run.text


@pytest.mark.parametrize("option", ["--resource-hygiene-repeat=3", "--resource-hygiene-confirm"])
def test_a_test_that_runs_again_is_counted_once(project: Project, option: str) -> None:
    """Whatever it is: an item of a plugin of the project has no fixtures to set up anew."""
    project.write(
        "conftest.py",
        """
        import pytest
        KEEP = []
        class Table(pytest.File):
            def collect(self): yield Row.from_parent(self, name="row")
        class Row(pytest.Item):
            def runtest(self):
                if not KEEP: KEEP.append(open(__file__))
        def pytest_collect_file(file_path, parent):
            if file_path.suffix == ".table": return Table.from_parent(parent, path=file_path)
        """,
    )
    project.write("one.table", "")
    run = project.run(option)

    assert run.outcomes == {"passed": 1}, run.text
    assert run.summary["tests"] == 1


def test_what_a_test_may_leave_is_no_growth(project: Project) -> None:
    """An allowed leak is left by every run; that it grows is no news."""
    write_suite(
        project,
        """
        @pytest.mark.allow_leak("threads", reason="never joined")
        def test_it():
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        """,
    )
    run = project.run("--resource-hygiene-repeat=2")

    assert run.outcomes == {"passed": 1}
    assert [one["severity"] for one in run.findings] == ["allowed"]


def test_a_test_that_cannot_run_twice_keeps_the_outcome_of_its_first_run(project: Project) -> None:
    """That the run which was added for `confirm` fails is no failure of the suite's."""
    project.write("test_it.py", """
        KEEP = []
        def test_once():
            assert not KEEP, "this test runs once in a process"
            KEEP.append(open(__file__))
        """)  # fmt: skip
    run = project.run("--resource-hygiene-confirm")

    assert run.outcomes == {"passed": 1}, run.text
    assert [one["severity"] for one in run.findings] == ["note"]
    assert "failed by itself" in run.findings[0]["details"]["why"]


def test_a_narrower_fixture_that_ends_in_each_run_leaves_nothing(project: Project) -> None:
    """A class-scoped one of a test without a class is over with it, and the wider one has noted it."""
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.fixture(scope="session")
        def wide(): yield

        @pytest.fixture(scope="class")
        def narrow(wide): yield

        def test_empty(narrow): pass
        def test_keeps_wide_open(wide): pass
        """,
    )
    run = project.run("--resource-hygiene-repeat=3", "--resource-hygiene-kinds=+memory")

    assert run.outcomes == {"passed": 2}, run.text


@pytest.mark.parametrize("last", ["KEPT.append(open('/dev/full'))", "pytest.skip()"])
def test_wider_fixtures_that_end_with_the_first_run_are_told(project: Project, last: str) -> None:
    """The next run of the last test does not ask for them."""
    project.write(
        "test_it.py",
        f"""
        import pytest
        KEPT = []

        @pytest.fixture(scope="class")
        def of_class(): KEPT.append(open("/dev/null")); yield

        @pytest.fixture(scope="module")
        def of_module(): KEPT.append(open("/dev/zero")); yield

        class TestAll:
            def test_first(self, of_class, of_module): pass
            def test_last(self): {last}
        """,
    )
    run = project.run("--resource-hygiene-repeat=2")

    owners = {one["owner"]["name"] for one in run.failing}
    assert owners >= {"of_class", "of_module"}, run.text
    assert ("test_it.py::TestAll::test_last" in owners) is ("full" in last)


@pytest.mark.parametrize(("severity", "failing", "notes"), [("off", 0, 0), ("note", 0, 1)])
def test_growth_has_the_severity_of_its_kind(
    project: Project, severity: str, failing: int, notes: int
) -> None:
    """Who hunts for descriptors may leave memory out."""
    project.write("test_it.py", "KEPT = []\ndef test_it(): KEPT.append([[] for _ in range(99)])\n")
    run = project.run(
        "--resource-hygiene-repeat=3", f"--resource-hygiene-severity=memory: {severity}"
    )

    found = [one["kind"] for one in run.findings]
    assert (len(run.failing), len(run.notes)) == (failing, notes), run.text
    assert found == ["memory"] * notes


def test_each_param_of_a_wider_fixture_is_told_once(project: Project) -> None:
    """The first ends in the setup of the first of the second's runs."""
    project.write(
        "test_it.py",
        """
        import os, pytest
        KEPT = []

        @pytest.fixture(scope="module")
        def server(request):
            KEPT.append(os.dup(0))
            yield request.param

        @pytest.mark.parametrize("server", ["p", "r"], indirect=True)
        def test_asks(server): pass
        """,
    )
    run = project.run("--resource-hygiene-repeat=2")

    assert [one["owner"]["name"] for one in run.failing] == ["server", "server"], run.text
