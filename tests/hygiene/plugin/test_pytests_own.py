"""pytest's own options, files and ways to end, and its debugger: a leak is a failure in all of them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import SUITE

if TYPE_CHECKING:
    from support.inner import Project


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
    project.write("test_it.py", SUITE)
    args = ("-n2",) if plugins else ()
    project.run(*args, plugins=plugins)
    run = project.run("--lf", plugins=plugins)

    assert run.outcomes["leaked"] == 1, run.text
    assert run.summary["tests"] == 1


def test_junit_xml_has_a_failure_or_error_for_a_leak(project: Project) -> None:
    """In JUnit XML the leaking test, and no other, has failed, with the finding as its text."""
    project.write("test_it.py", SUITE)
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
    project.write("test_it.py", SUITE)
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


def test_a_run_holds_nothing_when_the_interpreter_ends(project: Project) -> None:
    """Its collector frees what it frees without us: a record of ours names tests, which lead to all."""
    project.write(
        "conftest.py",
        """
        import atexit, gc
        atexit.register(gc.set_debug, gc.DEBUG_STATS)
        """,
    )
    project.write(
        "test_it.py",
        """
        import asyncio, logging, signal, socket, threading
        KEEP = []

        def test_handlers():
            signal.signal(signal.SIGUSR1, lambda *_: None)
            logging.getLogger("here").addHandler(logging.NullHandler())

        def test_opened():
            KEEP.extend([open(__file__), socket.socket(), asyncio.new_event_loop()])

        def test_timer():
            KEEP.append(threading.Timer(1000, print))
            KEEP[-1].daemon = True
            KEEP[-1].start()

        def test_loop():
            asyncio.run(asyncio.sleep(0))
        """,
    )
    freed = {
        mode: sum(map(int, re.findall(r"gc: done, (\d+) unreachable", run.err)))
        for mode in ("off", "report")
        if (run := project.run(f"--resource-hygiene={mode}"))
    }

    assert freed["report"] >= freed["off"] > 1000, freed
