"""Daemons of a test come to us when their parent ends; for the test they are process 1's."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="orphans come on Linux")

_HEAD = '''
        import psutil, sys
        from time import monotonic, sleep
        CODE = """if True:
            import os, sys, time
            if os.fork(): os._exit(0)
            os.setsid()
            print(os.getpid(), flush=True)
            null = os.open(os.devnull, os.O_RDWR)
            for number in range(3): os.dup2(null, number)
            time.sleep(float(sys.argv[1]))
            """
        def daemon(seconds):
            command = [sys.executable, "-c", CODE, str(seconds)]
            return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        def is_alive(pid):
            try: os.kill(pid, 0)
            except ProcessLookupError: return False
            return True
        def until_gone(pid):
            end = monotonic() + 20
            while is_alive(pid):
                assert monotonic() < end
                sleep(0.01)
'''


def test_a_daemon_that_ends_is_gone_for_whoever_asks(project: Project) -> None:
    """Process 1 takes its zombie at once; with us it would be there until the test is over."""
    write_suite(
        project,
        _HEAD
        + """
        def test_ends(): until_gone(daemon(0.1))
        def test_is_ended():
            pid = daemon(100)
            os.kill(pid, signal.SIGTERM)
            until_gone(pid)
        def test_is_no_child():
            pid = daemon(0.1)
            for options in (0, os.WNOHANG):
                with pytest.raises(ChildProcessError): os.waitpid(pid, options)
                with pytest.raises(ChildProcessError): os.wait4(pid, options)
                with pytest.raises(ChildProcessError):
                    os.waitid(os.P_PID, pid, os.WEXITED | options)
            until_gone(pid)
        def test_psutil_waits():
            assert psutil.Process(daemon(0.1)).wait(20) is None
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 4}, run.text


def test_a_child_in_a_session_of_its_own_is_no_daemon_however_it_was_spawned(
    project: Project,
) -> None:
    """`os` has the function from `posix`, and so may others have it; it is waited for while it runs."""
    write_suite(project, """
        import posix, sys
        def test_it():
            ready, go_on = os.pipe()
            code = "import os; os.read(0, 1)"
            pid = posix.posix_spawn(
                sys.executable, [sys.executable, "-c", code], os.environ, setsid=True,
                file_actions=[(os.POSIX_SPAWN_DUP2, ready, 0), (os.POSIX_SPAWN_CLOSE, go_on)],
            )
            while os.getsid(pid) != pid: pass
            assert os.waitpid(pid, os.WNOHANG) == (0, 0)
            os.close(go_on)
            assert os.waitpid(pid, 0) == (pid, 0)
            os.close(ready)
        """)  # fmt: skip
    run = project.run()

    assert run.outcomes == {"passed": 1}, run.text


def test_a_child_is_waited_for_as_ever(project: Project) -> None:
    """However it was started, and whoever has sent it a signal when it was a zombie."""
    write_suite(
        project,
        """
        def end(pid):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            os.kill(pid, 0)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        def test_spawned():
            assert end(os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], {})) == 3
        def test_forked():
            pid = os.fork()
            if not pid: os._exit(4)
            assert end(pid) == 4
        def test_on_a_terminal():
            pid, fd = os.forkpty()
            if not pid: os._exit(5)
            assert end(pid) == 5
            os.close(fd)
        def test_popen():
            child = subprocess.Popen(["/bin/sh", "-c", "exit 6"])
            assert end(child.pid) == 6
            child.returncode = 6
        @pytest.fixture(scope="module")
        def wide():
            child = subprocess.Popen(["/bin/sleep", "100"])
            yield child
        def test_first(wide): pass
        def test_later(wide):
            wide.kill()
            assert end(wide.pid) == -9
            wide.returncode = -9
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 6}, run.text


def test_a_child_of_a_child_is_nobody_elses(project: Project) -> None:
    """Orphans do not come to a forked child: what it has are its own children."""
    write_suite(
        project,
        """
        def test_it():
            pid = os.fork()
            if not pid:
                own = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 3"], {})
                os.waitid(os.P_PID, own, os.WEXITED | os.WNOWAIT)
                os.kill(own, 0)
                os._exit(os.waitstatus_to_exitcode(os.waitpid(own, 0)[1]))
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
        """,
    )
    assert project.run().outcomes == {"passed": 1}


def test_a_daemon_that_runs_on_is_a_leak(project: Project) -> None:
    """It is found because it came to us."""
    write_suite(
        project,
        _HEAD
        + """
        def test_it(): KEEP.append(daemon(100))
        def test_next():
            os.kill(KEEP[0], signal.SIGKILL)
            until_gone(KEEP[0])
        """,
    )
    run = project.run()

    assert "orphaned by its parent" in run.one("test_it", kind="processes")["summary"]
    assert run.outcomes == {"passed": 1, "leaked": 1}
