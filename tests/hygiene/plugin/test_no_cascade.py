"""A leak is reported once, hurts no later test, and what was changed is put back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project

# --- no cascade ---


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


# --- putting back ---

_CHANGES = [
    pytest.param("signal.signal(signal.SIGTERM, noop)",
                 "signal.getsignal(signal.SIGTERM) is not noop", id="handler"),
    pytest.param("signal.setitimer(signal.ITIMER_PROF, 1000)",
                 "signal.getitimer(signal.ITIMER_PROF) == (0, 0)", id="interval timer"),
    pytest.param("signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})",
                 "signal.SIGUSR1 not in signal.pthread_sigmask(signal.SIG_BLOCK, ())", id="mask"),
    pytest.param("signal.set_wakeup_fd(WAKE.fileno())", "signal.set_wakeup_fd(-1) == -1",
                 id="wakeup descriptor"),
    pytest.param("sys.excepthook = noop", "sys.excepthook is not noop", id="excepthook"),
    pytest.param("threading.excepthook = noop", "threading.excepthook is not noop",
                 id="excepthook of threads"),
]  # fmt: skip


def _write_change(project: Project, change: str, check: str) -> None:
    write_suite(
        project,
        f"""
        WAKE = socket.socket(); WAKE.setblocking(False)
        def test_a(): {change}
        def test_b(): assert {check}
        """,
    )


@pytest.mark.parametrize(("change", "check"), _CHANGES)
def test_what_was_changed_is_put_back_after_it_is_reported(
    project: Project, change: str, check: str
) -> None:
    """The next test finds handlers, clocks, mask, wakeup fd and hooks as they were."""
    _write_change(project, change, check)
    run = project.run()

    run.one("test_a")
    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text


@pytest.mark.parametrize(("change", "check"), _CHANGES)
def test_with_restoring_off_everything_stays_and_is_still_reported_once(
    project: Project, change: str, check: str
) -> None:
    """With --no-resource-hygiene-restore nothing is put back, and no later test is blamed."""
    _write_change(project, change, f"not ({check})")
    run = project.run("--no-resource-hygiene-restore")

    assert [one["nodeid"] for one in run.failing if one["made_during"].endswith("a")] == [
        "test_it.py::test_a"
    ]
    assert "failed" not in run.outcomes, run.text


def test_a_loop_that_puts_back_the_default_is_a_note(project: Project) -> None:
    """In the background of a shell SIGINT is ignored; asyncio does not know that, nor care."""
    write_suite(
        project,
        """
        @pytest.fixture(autouse=True, scope="module")
        def background():
            before = signal.signal(signal.SIGINT, signal.SIG_IGN); yield
            signal.signal(signal.SIGINT, before)
        async def listen():
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGINT, noop); loop.remove_signal_handler(signal.SIGINT)
        def test_loop(): asyncio.run(listen())
        def test_hand(): signal.signal(signal.SIGINT, signal.SIG_DFL)
        def test_put_back(): assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        """,
    )
    run = project.run()

    assert run.one()["nodeid"].endswith("test_hand")
    assert [one["nodeid"] for one in run.notes] == ["test_it.py::test_loop"]


def test_a_handler_goes_back_to_what_the_live_fixture_set(project: Project) -> None:
    """Restoring a test's handler stops at the one that a live wider fixture has installed."""
    write_suite(
        project,
        """
        def of_module(*args): pass
        @pytest.fixture(scope="module")
        def handled():
            before = signal.signal(signal.SIGUSR1, of_module); yield
            signal.signal(signal.SIGUSR1, before)
        def test_a(handled): signal.signal(signal.SIGUSR1, noop)
        def test_b(handled): assert signal.getsignal(signal.SIGUSR1) is of_module
        """,
    )
    run = project.run()

    finding = run.one("test_a")

    assert finding["change"] == "replaced"
    assert "of_module" in finding["summary"]
    assert "noop" in finding["summary"]
    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text


def test_a_leaked_task_is_cancelled_on_a_loop_that_lives_on(project: Project) -> None:
    """A task left on a module loop is reported for its test and does not run in the next one."""
    write_suite(
        project,
        """
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        async def forever():
            try: await asyncio.sleep(1000)
            except asyncio.CancelledError: KEEP.append("cancelled"); raise
        async def test_a(): KEEP.append(asyncio.create_task(forever())); await asyncio.sleep(0)
        async def test_b(): assert KEEP[-1] == "cancelled"
        """,
    )
    run = project.run(plugins=["asyncio"])

    assert run.one("test_a")["kind"] == "tasks"
    assert run.one("test_a")["owner"]["name"] == "test_it.py::test_a"
    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text


def test_a_leaked_task_that_another_thread_runs_raises_nothing_in_a_later_test(
    project: Project,
) -> None:
    """Were it cancelled, ``asyncio.run`` would raise in its thread, and pytest tell the next test."""
    write_suite(
        project,
        """
        @pytest.mark.parametrize("new_loop", [None, "uvloop"])
        def test_a(new_loop):
            begun = threading.Event()
            factory = pytest.importorskip(new_loop).new_event_loop if new_loop else None
            async def forever(): begun.set(); await asyncio.sleep(1000)
            def run():
                with asyncio.Runner(loop_factory=factory) as runner:
                    KEEP.append(runner); runner.run(forever())
            KEEP.append(threading.Thread(target=run, daemon=True)); KEEP[-1].start(); begun.wait()
        def test_b():
            for runner in KEEP[1::2]: runner.get_loop().call_soon_threadsafe(noop)
            for thread in KEEP[::2]: thread.join(0.05)
        def test_c(): assert all(thread.is_alive() for thread in KEEP[::2])
        """,
    )
    run = project.run("-Werror")

    assert run.outcomes["passed"] == 2, run.text
    assert run.outcomes["leaked"] == 2 - run.outcomes.get("skipped", 0)


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


# --- the server's side of a connection that a test leaves open ---

SERVER = """
        import http.client, http.server
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def do_GET(self):
                if self.path == "/keep": KEEP.append(open(__file__))
                self.send_response(204); self.end_headers()
            def log_message(self, *args): pass
        @pytest.fixture(scope="module")
        def server():
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            thread = threading.Thread(target=server.serve_forever, daemon=True); thread.start()
            yield server.server_address
            if STOPS: server.shutdown(); thread.join(); server.server_close()
        def ask(server, path="/"):
            client = http.client.HTTPConnection(*server)
            client.request("GET", path); client.getresponse().read()
            return client
"""


def test_a_connection_that_a_test_has_left_open_is_no_leak_of_the_server(project: Project) -> None:
    """Its thread waits for the next request; neither the fixture nor the last test can help it."""
    write_suite(
        project,
        SERVER + """
        STOPS = True
        def test_leaks(server): KEEP.append(ask(server))
        @pytest.mark.allow_leak("sockets", reason="known")
        def test_may_leak(server): KEEP.append(ask(server))
        def test_last(server): ask(server).close()
        """,
    )  # fmt: skip
    run = project.run()

    assert run.one("test_leaks")["kind"] == "sockets"
    (note,) = (one for one in run.findings if one["severity"] == "note")
    assert (note["nodeid"], note["kind"]) == ("test_it.py::test_last", "threads")
    assert "has left open" in note["details"]["why"]
    assert run.outcomes == {"passed": 2, "leaked": 1}, run.text


def test_the_servers_end_of_a_connection_need_not_be_true(project: Project) -> None:
    """A class derived from Python's own may say that it has nothing, or refuse to."""
    write_suite(
        project,
        SERVER + """
        STOPS = True
        class Odd(socket.socket):
            def __len__(self): raise RuntimeError("asked")
        def get_request(server):
            sock, address = server.socket.accept()
            return Odd(fileno=sock.detach()), address
        http.server.ThreadingHTTPServer.get_request = get_request
        def test_leaks(server): KEEP.append(ask(server))
        def test_last(server): ask(server).close()
        """,
    )  # fmt: skip
    run = project.run()

    assert run.one()["nodeid"] == "test_it.py::test_leaks"
    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text
    assert run.code == 1, run.text


def test_a_connection_left_open_excuses_nothing_else_of_the_server(project: Project) -> None:
    """Neither its own thread, which leads to all connections, nor what a request has left."""
    write_suite(
        project,
        SERVER + """
        STOPS = False
        def test_leaks(server): KEEP.append(ask(server, "/keep"))
        def test_last(server): ask(server).close()
        """,
    )  # fmt: skip
    run = project.run()

    assert run.one("test_leaks")["kind"] == "sockets"
    left = {one["kind"] for one in run.failing if one["nodeid"].endswith("test_last")}
    assert left == {"threads", "sockets", "fds"}


def test_a_connection_left_open_is_no_leak_of_an_asyncio_server(project: Project) -> None:
    """Its task waits for the next line."""
    write_suite(
        project,
        """
        import pytest_asyncio
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def server():
            async def handle(reader, writer): await reader.read(); writer.close()
            server = await asyncio.start_server(handle, "127.0.0.1", 0)
            yield server.sockets[0].getsockname()
            server.close()  # not wait_closed(): from 3.12.1 on that waits for the connections
        async def test_leaks(server): KEEP.append(await asyncio.open_connection(*server))
        async def test_last(server):
            _, writer = await asyncio.open_connection(*server)
            writer.close(); await writer.wait_closed()
        """,
    )
    run = project.run(plugins=["asyncio"])

    assert run.one()["nodeid"] == "test_it.py::test_leaks"
    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text


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
