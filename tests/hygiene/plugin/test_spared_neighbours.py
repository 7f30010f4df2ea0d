"""What our looking at a test must not do to another plugin, nor another plugin to our looking."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_the_grace_does_not_count_for_the_timeout_of_a_test(project: Project, method: str) -> None:
    """By signal the test failed in our own code, and by thread the whole run was ended."""
    project.write(
        "test_it.py",
        """
        import threading
        def test_leaks(): threading.Thread(target=threading.Event().wait, daemon=True).start()
        def test_clean(): pass
        """,
    )
    if method == "signal":  # by thread it would end the run
        project.write("test_slow.py", "import threading\ndef test(): threading.Event().wait(60)\n")
    run = project.run("--timeout=1.5", f"--timeout-method={method}", grace=2, plugins=["timeout"])

    run.one("test_leaks", kind="threads")
    failed = {"failed": 1} if method == "signal" else {}
    assert run.outcomes == {"passed": 1, "leaked": 1, **failed}, run.text


def test_a_timer_of_pytest_timeout_rings_later_by_as_long_as_we_have_waited(
    project: Project,
) -> None:
    """The rest of the teardown, with wider fixtures, has what time was left."""
    write_suite(
        project,
        """
        @pytest.fixture(scope="module")
        def slow():
            yield
            threading.Event().wait(60)
        def test_leaks(slow): threading.Thread(target=threading.Event().wait, daemon=True).start()
        """,
    )
    run = project.run("--timeout=1.5", "--timeout-method=thread", grace=2, plugins=["timeout"])

    assert "Timeout" in run.text
    assert "in slow" in run.text, run.text


def test_a_conftest_may_have_time_sleep_do_nothing(project: Project) -> None:
    """So that what sleeps between two tries is quick. The grace is as long as ever."""
    project.write("conftest.py", "import time\ntime.sleep = lambda seconds: None\n")
    project.write(
        "test_it.py",
        """
        import threading
        def test_late(): threading.Timer(0.3, int).start()
        """,
    )
    run = project.run(grace=30)

    assert run.outcomes == {"passed": 1}
    assert run.summary["overhead_seconds"] > 0.1


def test_a_run_within_a_run_is_watched_as_well(project: Project) -> None:
    """As in the suite of another plugin, which runs pytest in its own process."""
    project.write("conftest.py", 'pytest_plugins = ["pytester"]\n')
    project.write(
        "test_it.py",
        """
        INNER = (
            "import socket\\nKEEP = []\\n"
            "def test_leaks(): KEEP.append(socket.socket())\\n"
            "def test_ends_it(): KEEP.pop().close()\\n"
        )
        def test_inner(pytester):
            pytester.makepyfile(INNER)
            run = pytester.runpytest_inprocess("-p", "resource_hygiene")
            assert run.ret == 1
            assert run.parseoutcomes() == {"passed": 1, "leaked": 1}
        """,
    )
    run = project.run("-W", "ignore")

    assert run.outcomes == {"passed": 1}, run.text


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is what a fake file system hides")
def test_the_fake_file_system_of_a_wider_fixture_hides_nothing_from_us(project: Project) -> None:
    """All of it was missed there, and descriptors of the user's were closed by a number of its own."""
    write_suite(
        project,
        """
        @pytest.fixture(scope="module", autouse=True)
        def fake(fs_module): yield fs_module
        @pytest.fixture(scope="module")
        def held():
            sockets = []
            yield sockets
            for one in sockets: one.close()
        def test_held(held): held.extend(socket.socket() for _ in range(8))
        def test_socket(): KEEP.append(socket.socket())
        def test_memory(): KEEP.append(os.memfd_create("x"))
        def test_signal(): signal.signal(signal.SIGUSR1, print)
        def test_clean(held):
            assert not os.path.exists("/proc")
            for one in held: one.getsockname()
        """,
    )
    run = project.run(plugins=["pyfakefs.pytest_plugin"])

    assert run.outcomes == {"passed": 2, "leaked": 3}, run.text
    run.one("test_socket", kind="sockets")
    run.one("test_memory", kind="fds")
    run.one("test_signal", kind="signals")


def test_our_warning_filter_is_like_any_other_to_those_who_copy_it(project: Project) -> None:
    """scikit-learn gives the filters to its workers, which set them again, in other processes as well."""
    project.write(
        "child.py",
        """
        import pickle, sys, warnings
        warnings.filters = pickle.load(sys.stdin.buffer)
        warnings.warn("said all the same")
        assert "pytest_resource_hygiene" not in sys.modules
        """,
    )
    project.write(
        "test_it.py",
        """
        import pickle, subprocess, sys, warnings
        def test_set_again():
            with warnings.catch_warnings():
                for action, message, category, module, line in list(warnings.filters):
                    assert issubclass(category, Warning)
                    warnings.filterwarnings(action, category=category, lineno=line)
        def test_other_process():
            filters = pickle.dumps(warnings.filters)
            child = [sys.executable, "-S", "-E", "child.py"]  # without our package
            done = subprocess.run(child, input=filters, capture_output=True)
            assert done.returncode == 0, done.stderr
            assert b"said all the same" in done.stderr
        def test_drops(): open(__file__)
        """,
    )
    run = project.run("-W", "default")

    assert run.outcomes["passed"] == 3, run.text
    assert [one["kind"] for one in run.notes] == ["unclosed"]
