"""Other plugins at work: with each, one leak is found and clean tests are left alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import SUITE, write_suite

if TYPE_CHECKING:
    from support.inner import Project, Run


_CLEAN = 5


@dataclass(frozen=True)
class Neighbour:
    """A plugin or option, and the words that prove it at work."""

    name: str
    plugins: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    launcher: tuple[str, ...] = ("-m", "pytest")
    proof: str = ""


_NEIGHBOURS = [
    Neighbour("nobody"),
    Neighbour("xdist", ("xdist",), ("-n2",), proof="2 workers"),
    Neighbour("xdist by file", ("xdist",), ("-n2", "--dist=loadfile"), proof="2 workers"),
    Neighbour("xdist with one process", ("xdist",), ("-n0",)),
    Neighbour("xdist told only how", ("xdist",), ("--dist=loadgroup",)),
    Neighbour("rerunfailures", ("rerunfailures",), ("--reruns=1", "--only-rerun=AssertionError")),
    Neighbour("randomly", ("randomly",), ("-p", "randomly"), proof="Using --randomly-seed"),
    Neighbour("cov", ("pytest_cov",), ("--cov=.",), proof="TOTAL"),
    Neighbour("coverage run", launcher=("-m", "coverage", "run", "-m", "pytest")),
    Neighbour("hypothesis", ("hypothesispytest",)),
    Neighbour("subtests", ("subtests",)),
    Neighbour("timeout by signal", ("timeout",), ("--timeout=60", "--timeout-method=signal"),
              proof="timeout method: signal"),
    Neighbour("timeout by thread", ("timeout",), ("--timeout=60", "--timeout-method=thread"),
              proof="timeout method: thread"),
    Neighbour("asyncio strict", ("asyncio",), proof="asyncio: mode=Mode.STRICT"),
    Neighbour("asyncio auto", ("asyncio",), ("--asyncio-mode=auto",), proof="mode=Mode.AUTO"),
    Neighbour("anyio", ("anyio",)),
    Neighbour("no capturing", args=("--capture=no",), proof="words"),
    Neighbour("capturing of sys", args=("--capture=sys",)),
    Neighbour("capturing by tee", args=("--capture=tee-sys",)),
    Neighbour("faulthandler with a timeout", args=("-o", "faulthandler_timeout=60")),
    Neighbour("no cache", args=("-p", "no:cacheprovider")),
    Neighbour("fewer builtin plugins", args=("-p", "no:junitxml", "-p", "no:doctest", "-p", "no:pastebin")),
    Neighbour("no warnings plugin", args=("-p", "no:warnings")),
    Neighbour("import by importlib", args=("--import-mode=importlib",)),
    Neighbour("stepwise", args=("--stepwise-skip",)),
    Neighbour("live logging", args=("-o", "log_cli=true")),
    Neighbour("all together", ("xdist", "timeout", "asyncio", "anyio", "rerunfailures",
                               "pytest_cov", "hypothesispytest"),
              ("-n2", "--timeout=60", "--cov=.")),
]  # fmt: skip
_ALL = [pytest.param(one, id=one.name.replace(" ", "-")) for one in _NEIGHBOURS]


def _run(project: Project, neighbour: Neighbour, *args: str) -> Run:
    return project.run(
        *neighbour.args, *args, plugins=neighbour.plugins, launcher=neighbour.launcher
    )


@pytest.mark.parametrize("neighbour", _ALL)
def test_with_a_neighbour_the_leak_is_found_and_nothing_else(
    project: Project, neighbour: Neighbour
) -> None:
    """One test leaks, five do not; findings and figures say just that."""
    project.write("test_it.py", SUITE)
    run = _run(project, neighbour)

    assert neighbour.proof in run.text
    assert run.one()["nodeid"] == "test_it.py::test_leaks"
    assert run.one()["kind"] == "fds"
    assert run.one()["origin"]["function"] == "test_leaks"
    assert run.outcomes["leaked"] == 1, run.text
    assert run.outcomes["passed"] == _CLEAN, run.text
    assert not {"failed", "error", "errors"} & set(run.outcomes), run.text
    assert run.summary["tests"] >= _CLEAN + 1
    assert run.summary["leaked_tests"] == 1
    assert run.code == 1


@pytest.mark.parametrize("neighbour", _ALL)
def test_with_a_neighbour_a_clean_suite_stays_clean(project: Project, neighbour: Neighbour) -> None:
    """Without the leaking test the run passes without a finding."""
    project.write("test_it.py", SUITE.replace("KEEP.append(open(__file__))", "pass"))
    run = _run(project, neighbour)
    run.assert_clean()

    assert run.outcomes["passed"] == _CLEAN + 1, run.text
    assert run.summary["tests"] >= _CLEAN + 1  # it was watched


# --- xdist ---


@pytest.mark.parametrize("mode", ["fail", "report"])
def test_the_findings_of_all_workers_arrive_at_the_controller(project: Project, mode: str) -> None:
    """Under xdist findings, notes, allowances, figures and blind spots of all workers add up."""
    project.write(
        "test_it.py",
        """
        import pytest
        KEEP = []
        @pytest.mark.parametrize("n", range(8))
        def test_leaks(n): KEEP.append(open(__file__))
        @pytest.mark.parametrize("n", range(4))
        def test_drops(n): open(__file__)
        @pytest.mark.parametrize("n", range(4))
        @pytest.mark.allow_leak("fds", reason="known")
        def test_allowed(n): KEEP.append(open(__file__))
        @pytest.mark.allow_leak("threads", reason="never used")
        def test_clean(): pass
        """,
    )
    run = project.run("-n2", f"--resource-hygiene={mode}", "-W", "ignore", plugins=["xdist"])

    assert len(run.failing) == 8, run.text
    assert len(run.notes) == 4
    assert run.summary["allowed"] == 4
    assert run.summary["tests"] == 17
    assert run.summary["leaked_tests"] == 8
    assert run.document is not None
    assert len(run.document["unused_allowances"]) == 1
    assert "never used" in run.document["unused_allowances"][0]
    assert len(re.findall("^fds: ", run.out, re.MULTILINE)) == 1
    assert "resource hygiene: 17 tests" in run.out
    assert run.code == (1 if mode == "fail" else 0)
    assert run.outcomes.get("leaked", 0) == (8 if mode == "fail" else 0)


def test_a_session_fixture_of_a_worker_is_judged(project: Project) -> None:
    """A session fixture that leaks in a worker arrives at the controller with its owner."""
    project.write(
        "test_it.py",
        """
        import pytest
        KEEP = []
        @pytest.fixture(scope="session")
        def wide(): KEEP.append(open(__file__)); return 1
        def test_a(wide): pass
        """,
    )
    run = project.run("-n1", plugins=["xdist"])

    assert run.one()["owner"] == {"type": "fixture", "name": "wide", "scope": "session"}
    assert run.code == 1


# --- rerunning ---


def test_a_rerun_that_leaks_again_is_counted_once(project: Project) -> None:
    """With rerunfailures a leaking test is run again, and fails as leaked in the end."""
    project.write("test_it.py", "KEEP = []\ndef test_it(): KEEP.append(open(__file__))\n")
    run = project.run("--reruns=2", plugins=["rerunfailures"])

    assert run.outcomes == {"leaked": 1, "rerun": 2}, run.text
    assert run.code == 1
    assert {one["nodeid"] for one in run.failing} == {"test_it.py::test_it"}


def test_a_rerun_that_does_not_leak_again_has_passed_once(project: Project) -> None:
    """The first attempt had passed before it was found to leak; it is no test of its own."""
    project.write(
        "test_it.py", "KEEP = []\ndef test_it():\n    if not KEEP: KEEP.append(open(__file__))\n"
    )
    run = project.run("--reruns=2", "-rA", plugins=["rerunfailures"])

    assert run.outcomes == {"passed": 1, "rerun": 1}, run.text


def test_what_a_failed_setup_has_changed_is_told_after_a_rerun(project: Project) -> None:
    """A rerun drops the finalizers of the wider fixture whose setup has failed, and sets it up again."""
    write_suite(
        project,
        """
        @pytest.fixture(scope="module")
        def serving():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.alarm(1000)
            KEEP.append(os.dup(0))
            raise RuntimeError("no server")
        def test_asks(serving): pass
        """,
    )
    run = project.run("--reruns=2", plugins=["rerunfailures"])

    found = {one["kind"]: one for one in run.failing}
    assert set(found) == {"signals", "timers", "fds"}, run.text
    assert {one["owner"]["name"] for one in run.failing} == {"serving"}
    assert found["fds"]["count"] == 3


def test_a_failing_test_that_is_rerun_does_not_leak_by_that(project: Project) -> None:
    """A flaky test that passes in the second run, cleanly, stays clean."""
    project.write(
        "test_it.py",
        """
        TRIES = []
        def test_it(tmp_path):
            TRIES.append(1)
            with open(__file__): assert len(TRIES) == 2
        """,
    )
    run = project.run("--reruns=2", plugins=["rerunfailures"])
    run.assert_clean()

    assert run.outcomes == {"passed": 1, "rerun": 1}


@pytest.mark.parametrize("asks", ["", "leaky"])
def test_a_rerun_of_a_test_does_not_cure_the_leak_of_a_fixture(project: Project, asks: str) -> None:
    """The last test of a module fails for what is torn down with it, asked for or not."""
    project.write(
        "test_it.py",
        f"""
        import pytest
        KEEP = []
        @pytest.fixture(scope="module")
        def leaky(): KEEP.append(open(__file__))
        def test_uses(leaky): pass
        def test_last({asks}): pass
        """,
    )
    run = project.run("--reruns=2", plugins=["rerunfailures"])

    assert run.outcomes == {"passed": 1, "rerun": 2, "leaked": 1}, run.text
    assert len(run.failing) == (3 if asks else 1)


@pytest.mark.parametrize("by", ["--reruns=1", "marker"])
def test_a_test_that_may_be_rerun_is_not_run_again_to_confirm(project: Project, by: str) -> None:
    """Either is a second run: a flaky test gets the one that it was promised, and so does a leak."""
    marker = "@pytest.mark.flaky(reruns=1)" if by == "marker" else ""
    project.write(
        "test_it.py",
        f"""
        import pytest
        KEEP, TRIES = [], []
        {marker}
        def test_flaky():
            TRIES.append(1)
            assert len(TRIES) == 2
        {marker}
        def test_leaks(): KEEP.append(open(__file__))
        """,
    )
    args = () if by == "marker" else (by,)
    run = project.run("--resource-hygiene-confirm", *args, plugins=["rerunfailures"])

    assert run.outcomes == {"passed": 1, "leaked": 1, "rerun": 2}, run.text


# --- hypothesis, subtests, doctest ---


def test_a_leak_below_hypothesis_is_one_finding(project: Project) -> None:
    """All examples of one test are one test: one finding with a count."""
    project.write(
        "test_it.py",
        """
        from hypothesis import given, settings, strategies as st
        KEEP = []
        @settings(max_examples=10, database=None)
        @given(st.integers())
        def test_leaks(n): KEEP.append(open(__file__))
        @given(st.integers())
        @settings(max_examples=10, database=None)
        def test_clean(n): open(__file__).close()
        """,
    )
    run = project.run(plugins=["hypothesispytest"])

    assert run.one("test_leaks")["count"] >= 5
    assert run.outcomes == {"passed": 1, "leaked": 1}


def test_a_leak_in_a_subtest_is_its_tests(project: Project) -> None:
    """Subtests are part of their test."""
    project.write(
        "test_it.py",
        """
        import unittest
        KEEP = []
        def test_leaks(subtests):
            for n in range(3):
                with subtests.test(n=n): KEEP.append(open(__file__))
        class Case(unittest.TestCase):
            def test_cases(self):
                for n in range(3):
                    with self.subTest(n=n): KEEP.append(open(__file__))
            def test_clean(self):
                with self.subTest(n=1): pass
        """,
    )
    run = project.run()

    assert run.one("test_leaks")["count"] == 3
    assert run.one("test_cases")["count"] == 3
    assert run.outcomes["leaked"] == 2, run.text


def test_a_leak_in_a_doctest_is_found(project: Project) -> None:
    """A doctest item is a test like any other."""
    project.write(
        "mod.py",
        '''
        import os
        def leaky():
            """
            >>> leaky()
            """
            os.dup(0)
        def clean():
            """
            >>> clean()
            """
        ''',
    )
    run = project.run("--doctest-modules")

    assert run.one()["nodeid"].endswith("mod.leaky")
    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text


# --- timeout ---


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_a_timers_of_pytest_timeout_is_its_own(project: Project, method: str) -> None:
    """An own alarm left behind under pytest-timeout is found; the plugin's is not."""
    project.write(
        "test_it.py",
        """
        import signal, threading
        def test_clean(): pass
        def test_leaks(): signal.setitimer(signal.ITIMER_VIRTUAL, 1000)
        """,
    )
    run = project.run("--timeout=60", f"--timeout-method={method}", plugins=["timeout"])

    assert run.one("test_leaks")["kind"] == "timers"
    assert run.outcomes == {"passed": 1, "leaked": 1}
