"""Other plugins at work: with each, one leak is found and clean tests are left alone."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.inner import Project, Run

_SUITE = """
    import asyncio, os, signal, socket, subprocess, threading
    import pytest
    KEEP = []
    @pytest.fixture(scope="module")
    def wide():
        with socket.create_server(("127.0.0.1", 0)) as server: yield server
    @pytest.fixture
    def narrow(tmp_path, capfd, caplog, monkeypatch):
        monkeypatch.setenv("X", "y")
        with open(__file__) as file: yield file
    def test_clean(): pass
    def test_wide(wide): pass
    def test_narrow(narrow, wide): print("words")
    class TestOne:
        def test_method(self, wide): subprocess.run(["true"], check=True)
    def test_leaks(): KEEP.append(open(__file__))
    def test_after(wide): pass
    """
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
    project.write("test_it.py", _SUITE)
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
    project.write("test_it.py", _SUITE.replace("KEEP.append(open(__file__))", "pass"))
    run = _run(project, neighbour)
    run.assert_clean()

    assert run.outcomes["passed"] == _CLEAN + 1, run.text


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

    assert run.outcomes["leaked"] == 1, run.text
    assert run.code == 1
    assert {one["nodeid"] for one in run.failing} == {"test_it.py::test_it"}


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


# --- order and choice ---


def test_the_first_leak_stops_a_run_with_x(project: Project) -> None:
    """``-x`` treats a leak as a failure."""
    project.write(
        "test_it.py",
        """
        KEEP = []
        def test_a(): pass
        def test_b(): KEEP.append(open(__file__))
        def test_c(): pass
        """,
    )
    run = project.run("-x")

    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text


def test_maxfail_counts_leaks(project: Project) -> None:
    """``--maxfail=2`` stops after the second leak."""
    project.write(
        "test_it.py",
        """
        import pytest
        KEEP = []
        @pytest.mark.parametrize("n", range(5))
        def test_it(n): KEEP.append(open(__file__))
        """,
    )
    run = project.run("--maxfail=2")

    assert run.outcomes == {"leaked": 2}, run.text


@pytest.mark.parametrize("plugins", [(), ("xdist",)])
def test_the_last_failed_tests_include_leaks(project: Project, plugins: tuple[str, ...]) -> None:
    """``--lf`` runs exactly the tests that leaked."""
    project.write("test_it.py", _SUITE)
    args = ("-n2",) if plugins else ()
    project.run(*args, plugins=plugins)
    run = project.run("--lf", plugins=plugins)

    assert run.outcomes["leaked"] == 1, run.text
    assert run.summary["tests"] == 1


def test_junit_xml_has_a_failure_or_error_for_a_leak(project: Project) -> None:
    """In JUnit XML the leaking test, and no other, has failed, with the finding as its text."""
    project.write("test_it.py", _SUITE)
    project.run("--junit-xml=out.xml")
    cases = ET.parse(project.path / "out.xml").getroot().iter("testcase")
    bad = {
        case.get("name"): (
            case.find("failure") if case.find("error") is None else case.find("error")
        )
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }

    assert set(bad) == {"test_leaks"}
    node = bad["test_leaks"]
    assert node is not None
    assert "fds: file" in f"{node.text} {node.get('message')}"


def test_any_of_pytests_own_plugins_may_be_absent(project: Project) -> None:
    """Without any of those that pytest itself can do without, the leak is found and nothing breaks."""
    absent = (
        "cacheprovider", "capture", "debugging", "doctest", "faulthandler", "junitxml", "legacypath",
        "logging", "monkeypatch", "pastebin", "recwarn", "setuponly", "setupplan", "stepwise",
        "threadexception", "tmpdir", "unittest", "unraisableexception", "warnings",
    )  # fmt: skip
    project.write("test_it.py", """
        import socket
        KEEP = []
        def test_leaks(): KEEP.append(socket.socket())
        def test_clean(): pass
        """)  # fmt: skip
    run = project.run(*(f"-pno:{name}" for name in absent))

    assert run.one()["nodeid"] == "test_it.py::test_leaks"
    assert run.outcomes == {"passed": 1, "leaked": 1}


def test_only_collecting_watches_nothing(project: Project) -> None:
    """``--collect-only`` runs no test, finds nothing, and passes."""
    project.write("test_it.py", _SUITE)
    run = project.run("--collect-only", "-q")

    assert run.code == 0, run.text
    assert "test_leaks" in run.out


def test_a_run_without_tests_ends_as_pytest_ends_it(project: Project) -> None:
    """No tests: status 5, and nothing of ours in the way."""
    run = project.run()

    assert run.code == 5, run.text


def test_a_collection_error_is_pytests(project: Project) -> None:
    """A module that cannot be imported is reported as always."""
    project.write("test_it.py", "import nowhere_at_all\n")
    run = project.run()

    assert run.code == 2, run.text
    assert "INTERNALERROR" not in run.text


def test_an_interrupt_is_an_interrupt(project: Project) -> None:
    """A KeyboardInterrupt in a test ends the run with 2, without a traceback of ours."""
    project.write(
        "test_it.py",
        "KEEP = []\ndef test_it():\n    KEEP.append(open(__file__))\n    raise KeyboardInterrupt\n",
    )
    run = project.run()

    assert run.code == 2, run.text
    assert "INTERNALERROR" not in run.text


def test_an_exit_is_an_exit(project: Project) -> None:
    """``pytest.exit`` in a test ends the run with its status."""
    project.write("test_it.py", "import pytest\ndef test_it(): pytest.exit('enough', 7)\n")
    run = project.run()

    assert run.code == 7, run.text
    assert "INTERNALERROR" not in run.text


# --- the debugger ---


def test_a_breakpoint_that_is_continued_is_not_a_leak(project: Project) -> None:
    """What the debugger changes for itself, such as the handler of SIGINT, is the debugger's."""
    project.write(
        "test_it.py",
        """
        def test_stops():
            breakpoint()
            open(__file__).close()
        def test_after(): pass
        """,
    )
    run = project.run(typed="n\nc\n")
    run.assert_clean()

    assert "PDB set_trace" in run.out
    assert run.outcomes == {"passed": 2}


def test_the_debugger_stops_at_a_failure_of_the_test(project: Project) -> None:
    """With ``--pdb`` a failing test is entered as always, at its own line."""
    project.write(
        "test_it.py",
        """
        def test_fails():
            value = 41
            assert value == 42
        def test_after(): pass
        """,
    )
    run = project.run("--pdb", typed="p value\nc\n")

    assert "entering PDB" in run.out
    assert "(Pdb) 41" in run.out
    assert run.outcomes == {"failed": 1, "passed": 1}, run.text
    assert run.failing == []


# --- async neighbours with leaks of their own kind ---

_ASYNC = """
    import asyncio
    import pytest
    KEEP = []
    {fixture}
    {mark}
    async def test_leaks():
        KEEP.append(asyncio.ensure_future(asyncio.sleep(1000))); await asyncio.sleep(0)
    {mark}
    async def test_clean():
        await asyncio.gather(asyncio.sleep(0), asyncio.to_thread(int))
    """


@pytest.mark.parametrize(
    ("plugins", "args", "mark", "fixture"),
    [
        pytest.param(("asyncio",), (), "@pytest.mark.asyncio", "", id="asyncio-strict"),
        pytest.param(("asyncio",), ("--asyncio-mode=auto",), "", "", id="asyncio-auto"),
        pytest.param(("asyncio",), (), '@pytest.mark.asyncio(loop_scope="class")', "",
                     id="asyncio-class-loop"),
        pytest.param(("asyncio",), (), '@pytest.mark.asyncio(loop_scope="module")', "",
                     id="asyncio-module-loop"),
        pytest.param(("asyncio",), (), '@pytest.mark.asyncio(loop_scope="session")', "",
                     id="asyncio-session-loop"),
        pytest.param(("anyio",), (), "@pytest.mark.anyio",
                     "@pytest.fixture\n    def anyio_backend(): return 'asyncio'",
                     id="anyio-on-asyncio"),
        pytest.param(("anyio",), (), "@pytest.mark.anyio",
                     "@pytest.fixture(scope='module')\n    def anyio_backend(): return 'asyncio'",
                     id="anyio-module-runner"),
        pytest.param(("anyio",), (), "@pytest.mark.anyio",
                     "@pytest.fixture\n    def anyio_backend():"
                     " return 'asyncio', {'use_uvloop': True}", id="anyio-on-uvloop"),
        pytest.param(("asyncio",), ("-W", "ignore"), "@pytest.mark.asyncio",
                     "@pytest.fixture(scope='session')\n    def event_loop_policy():\n"
                     "        import uvloop; return uvloop.EventLoopPolicy()",
                     id="asyncio-on-uvloop"),
        pytest.param(("asyncio", "xdist"), ("-n2",), "@pytest.mark.asyncio", "",
                     id="asyncio-and-xdist"),
        pytest.param(("asyncio", "timeout"), ("--timeout=60",), "@pytest.mark.asyncio", "",
                     id="asyncio-and-timeout"),
    ],
)  # fmt: skip
def test_a_leaked_task_is_found_and_a_clean_test_is_not(
    project: Project, plugins: tuple[str, ...], args: tuple[str, ...], mark: str, fixture: str
) -> None:
    """On each kind of loop the test that leaves a task is the one that fails."""
    text = _ASYNC.format(mark=mark, fixture=fixture)
    if "class" in mark:
        text = text.replace(
            "async def test_leaks()", "class TestL:\n      async def test_leaks(self)"
        )
        text = text.replace(
            "async def test_clean()", "class TestC:\n      async def test_clean(self)"
        )
    project.write("test_it.py", text)
    run = project.run(*args, plugins=plugins)

    assert run.one("test_leaks")["kind"] == "tasks"
    assert run.one("test_leaks")["origin"]["function"] == "test_leaks"
    assert run.outcomes["leaked"] == 1, run.text
    assert run.outcomes["passed"] == 1, run.text
    assert len(run.failing) == 1, run.text


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


def test_a_connection_that_a_server_of_the_test_accepts_is_the_tests(project: Project) -> None:
    """pytest-asyncio only runs the loop: what asyncio accepts in a callback is of who listens."""
    project.write("test_it.py", """
        import asyncio, pytest
        KEEP = []
        @pytest.mark.asyncio
        async def test_leaks():
            server = await asyncio.start_server(lambda r, w: KEEP.append(w), "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            while not KEEP: await asyncio.sleep(0)
            writer.close(); server.close()
        @pytest.mark.asyncio
        async def test_closes():
            gone = asyncio.Event()
            async def serve(reader, writer):
                await reader.read(); writer.close(); await writer.wait_closed(); gone.set()
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.close(); await gone.wait(); server.close()
        """)  # fmt: skip
    run = project.run(plugins=("asyncio",))

    finding = run.one("test_leaks", kind="sockets")
    assert {one["nodeid"] for one in run.failing} == {"test_it.py::test_leaks"}, run.text
    assert finding["origin"]["file"] == "test_it.py"
