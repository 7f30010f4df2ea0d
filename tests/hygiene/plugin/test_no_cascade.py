"""A leak is reported once, hurts no later test, and what was changed is put back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project


def test_a_leak_is_reported_once(project: Project) -> None:
    """What one test left is nobody else's: later tests of the run are not accused of it."""
    write_suite(
        project,
        """
        def test_a(): KEEP.append((leave_thread(), open(__file__), socket.socket(), os.pipe()))
        def test_b(): pass
        def test_c(): open(__file__).close()
        def test_d(): leave_thread().set()
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 3, "leaked": 1}
    assert {one["nodeid"] for one in run.failing} == {"test_it.py::test_a"}


def test_a_leak_that_was_allowed_never_hurts_the_next_test(project: Project) -> None:
    """Allowed leaks join the baseline, and what was changed is put back all the same."""
    write_suite(
        project,
        """
        @pytest.mark.allow_leak(reason="a known case")
        def test_a():
            KEEP.append((leave_thread(), open(__file__), socket.socket()))
            signal.signal(signal.SIGUSR1, noop); signal.alarm(1000)
        def test_b(): assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
        def test_c(): assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
        """,
    )
    run = project.run()
    run.assert_clean()

    assert run.summary["allowed"] >= 4
    assert {one["reason"] for one in run.findings} == {"a known case"}


def test_a_test_that_holds_something_at_a_wider_setup_is_judged_for_all(project: Project) -> None:
    """What it leaks afterwards is its own as well, and not the next test's."""
    write_suite(
        project,
        """
        @pytest.fixture(scope="session")
        def wide(): yield
        def test_a(request):
            KEEP.append(open(__file__))
            request.getfixturevalue("wide")
            KEEP.append(leave_thread())
        def test_b(): pass
        def test_c(): KEEP.append(leave_thread())
        """,
    )
    run = project.run()

    found = [(one["nodeid"].rpartition("::")[2], one["kind"]) for one in run.failing]
    assert sorted(found) == [("test_a", "fds"), ("test_a", "threads"), ("test_c", "threads")]


@pytest.mark.skipif(sys.platform != "linux", reason="orphans come on Linux")
def test_who_waits_for_any_child_gets_his_own(project: Project) -> None:
    """An orphan that an earlier test left is no child of a later one, which would wait for ever."""
    write_suite(
        project,
        """
        @pytest.fixture(autouse=True)
        def ends(): signal.alarm(60); yield; signal.alarm(0)  # what waits for ever is killed
        def reap_all(wait):
            pid = os.fork()
            if pid == 0: os._exit(7)
            seen = []
            with pytest.raises(ChildProcessError):
                while True: seen.append(wait())
            assert seen == [(pid, 7 << 8)]
        def test_leaves_orphan(tmp_path):
            subprocess.run(f"sleep 1000 >/dev/null & echo $! > {tmp_path}/pid", shell=True)
            KEEP.append(int((tmp_path / "pid").read_text()))
        def test_wait(): reap_all(os.wait)
        def test_waitpid(): reap_all(lambda: os.waitpid(-1, 0))
        def test_wait3(): reap_all(lambda: os.wait3(0)[:2])
        def test_wait4(): reap_all(lambda: os.wait4(-1, 0)[:2])
        def test_waitid():
            reap_all(lambda: (os.waitid(os.P_ALL, 0, os.WEXITED).si_pid, 7 << 8))
        def test_ends():
            os.kill(KEEP[0], signal.SIGKILL)
        """,
    )
    run = project.run()

    assert "orphaned" in run.one("test_leaves_orphan")["summary"], run.text
    assert run.outcomes == {"passed": 6, "leaked": 1}, run.text


def test_the_end_of_an_earlier_leak_is_not_a_finding(project: Project) -> None:
    """When a later test closes what an earlier one left, that fails nothing."""
    write_suite(
        project,
        """
        def test_a(): KEEP.append(open(__file__))
        def test_b(): KEEP[0].close()
        def test_c(): KEEP.append(open(__file__))
        """,
    )
    run = project.run()

    assert [one["nodeid"] for one in run.failing] == ["test_it.py::test_a", "test_it.py::test_c"]


def test_a_swap_of_descriptors_is_seen(project: Project) -> None:
    """One closed and one opened leaves the count as it was, and is a leak."""
    write_suite(
        project,
        """
        @pytest.fixture(scope="module")
        def file():
            with open(__file__) as file: yield file
        def test_swap(file):
            file.close(); KEEP.append(open(os.devnull))
        """,
    )
    finding = project.run().one(kind="fds")

    assert finding["owner"]["type"] == "test"
    assert "null" in finding["summary"]


def test_what_was_reported_is_not_told_again_when_it_is_dropped(project: Project) -> None:
    """A leak's own warning, when the last reference goes, is no second finding; others' warnings are."""
    write_suite(
        project,
        """
        import subprocess
        @pytest.fixture
        def file(): return open(__file__)
        @pytest.fixture
        def sock(): return socket.socket()
        @pytest.fixture
        def loop(): return asyncio.new_event_loop()
        def test_file(file): pass
        def test_sock(sock): pass
        def test_loop(loop): pass
        def test_child(): KEEP.append(subprocess.Popen(["sleep", "30"]))
        def test_later():
            child = KEEP.pop(); number = child.pid; del child
            os.kill(number, signal.SIGKILL); os.waitpid(number, 0)
        def test_another():
            open(__file__)
        """,
    )
    run = project.run("-W", "ignore", grace=0.05)

    told = {one["nodeid"].partition("::")[2]: one["kind"] for one in run.failing}
    assert told == {
        "test_file": "fds", "test_sock": "sockets", "test_loop": "loops", "test_child": "processes",
    }, run.text  # fmt: skip
    dropped = [one for one in run.findings if one["kind"] == "unclosed"]
    assert [one["nodeid"] for one in dropped] == ["test_it.py::test_another"], run.text


def test_a_timer_that_sets_itself_again_on_a_shared_loop_is_told_once(project: Project) -> None:
    """It goes on in later tests, in a context that is the same for all of them; so does a clean one."""
    write_suite(
        project,
        """
        import pytest_asyncio
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        class Heart:
            def __init__(self): self.has_beaten = asyncio.Event()
            def beat(self):
                self.has_beaten.set()
                self.timer = asyncio.get_running_loop().call_later(0.01, self.beat)
            async def wait(self):
                self.has_beaten.clear(); await self.has_beaten.wait()
        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def heart():
            heart = Heart(); heart.beat()
            yield heart
            heart.timer.cancel()
        async def test_first(heart): await heart.wait()
        async def test_leaks():
            KEEP.append(Heart()); KEEP[0].beat(); await KEEP[0].wait()
        async def test_later(): await KEEP[0].wait()
        async def test_of_its_own():
            heart = Heart(); heart.beat(); await KEEP[0].wait(); heart.timer.cancel()
        async def test_leaks_again():
            KEEP.append(Heart()); KEEP[1].beat(); await KEEP[0].wait()
        async def test_last(heart): await KEEP[0].wait(); await KEEP[1].wait()
        """,
    )
    run = project.run(plugins=["asyncio"])

    told = [one["nodeid"].partition("::")[2] for one in run.failing]
    assert told == ["test_leaks", "test_leaks_again"]
    assert run.outcomes == {"passed": 4, "leaked": 2}, run.text


# --- set from C ---


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which signals are caught")
def test_handlers_and_watchdogs_that_c_code_sets_are_seen(project: Project) -> None:
    """``signal.getsignal`` knows nothing of faulthandler's handlers, nor of those set by ctypes."""
    write_suite(
        project,
        """
        import ctypes, faulthandler
        @ctypes.CFUNCTYPE(None, ctypes.c_int)
        def in_c(number): pass
        def set_in_c(handler):
            function = ctypes.CDLL(None).signal
            function.restype, function.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_void_p]
            return function(int(signal.SIGUSR2), ctypes.cast(handler, ctypes.c_void_p))
        def test_registers(): faulthandler.register(signal.SIGUSR1)
        def test_registers_again(): faulthandler.register(signal.SIGUSR1)
        def test_undoes():
            faulthandler.register(signal.SIGUSR1); faulthandler.unregister(signal.SIGUSR1)
        def test_sets_in_c(): set_in_c(in_c)
        def test_undoes_in_c(): set_in_c(set_in_c(in_c))
        def test_watchdog(): faulthandler.dump_traceback_later(60, repeat=True)
        def test_no_watchdog():
            faulthandler.dump_traceback_later(60); faulthandler.cancel_dump_traceback_later()
        """,
    )
    run = project.run("-o", "faulthandler_timeout=50", grace=0.05)

    found = {one["nodeid"].partition("::")[2]: one["summary"] for one in run.failing}
    assert found == {
        "test_registers": "SIGUSR1: handler SIG_DFL replaced by a handler set from C",
        "test_registers_again": "SIGUSR1: handler SIG_DFL replaced by a handler set from C",
        "test_sets_in_c": "SIGUSR2: handler SIG_DFL replaced by a handler set from C",
        "test_watchdog": "faulthandler's watchdog, to print all stacks, again and again",
    }, run.text


def test_a_test_may_take_away_what_we_look_with(project: Project) -> None:
    """As the suite of attrs does: nothing of ours raises in it, and what it leaks is found."""
    write_suite(
        project,
        """
        @pytest.fixture(autouse=True)
        def without(monkeypatch): monkeypatch.delattr(sys, "_getframe")
        def test_clean():
            eval(compile("1", "made", "exec"), {})
            asyncio.run(asyncio.sleep(0))
        def test_leaks(): KEEP.append((leave_thread(), open(__file__)))
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text
    assert sorted(one["kind"] for one in run.failing) == ["fds", "threads"]
