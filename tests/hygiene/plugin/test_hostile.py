"""Objects and tests that answer no question as they should: they are seen and judged like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

from pytest_resource_hygiene.pytest_plugin.spare import SpareDescriptors
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from support.inner import Project


def test_a_child_that_runs_on_through_the_runner_leaves_the_file_alone(project: Project) -> None:
    """A forked child that leaves the test by an exception goes on testing, and writes no report."""
    write_suite(
        project,
        """
        def test_forks():
            pid = os.fork()
            if not pid: raise SystemExit(0)
            os.waitpid(pid, 0)
        def test_next(): pass
        """,
    )
    run = project.run("-p", "no:cacheprovider")

    assert run.findings == []
    assert run.summary["tests"] == 2
    assert "LEAKED" not in run.text, "what we hold open of the parent is no leak of the child"


def test_a_callable_that_refuses_to_be_compared_is_seen_like_any_other(project: Project) -> None:
    """Whose ``__eq__`` raises is another than what was there, and the same as itself."""
    write_suite(
        project,
        """
        class Stubborn:
            def __call__(self, *args): pass
            def __eq__(self, other): raise RuntimeError("no comparison")
            __hash__ = None
        def test_quiet(): pass
        def test_hook(): sys.excepthook = Stubborn()
        def test_handler():
            handler = Stubborn()
            KEEP.append(handler)
            signal.signal(signal.SIGUSR2, handler)
        def test_next(): pass
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 2, "leaked": 2}
    assert run.one("test_hook")["summary"].endswith("-> test_it.Stubborn object")
    assert run.one("test_handler")["summary"].endswith("replaced by test_it.Stubborn object")
    assert run.code == 1, run.text


@pytest.mark.parametrize("limit", [300, 60])
def test_a_test_that_uses_up_all_descriptors_is_judged_as_any_other(
    project: Project, limit: int
) -> None:
    """To list them, to load what a finding needs, and to show its line, descriptors are needed."""
    project.write(
        "test_it.py",
        f"""
        import os, resource
        KEEP = []
        def test_exhausts():
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, hard))
            try:
                while True: KEEP.append(open(__file__))  # origin
            except OSError: pass
        def test_takes_the_rest():
            KEEP[0].close()
            KEEP[0] = open(os.devnull)
        def test_clean(): pass
        """,
    )
    run = project.run()

    assert run.outcomes["leaked"] == 2, run.text
    finding = run.one("test_exhausts")
    assert finding["count"] > limit // 3
    assert finding["origin"]["line"] == project.line("test_it.py", "# origin")
    assert "own fault" not in run.text
    assert run.code == 1


def test_a_callable_that_refuses_to_be_asked_is_seen_like_any_other(project: Project) -> None:
    """A framework's "current app" raises `RuntimeError` at whatever is asked of it out of place."""
    project.write(
        "test_it.py",
        """
        import atexit, asyncio, logging, signal, threading
        STOP = threading.Event()
        class Current:
            def __call__(self, *args): STOP.wait()
            def __getattr__(self, name): raise RuntimeError("no app is pushed")
            def __repr__(self): raise RuntimeError("no app is pushed")
        def test_thread(): threading.Thread(target=Current(), name="n", daemon=True).start()
        def test_timer():
            timer = threading.Timer(1000, Current()); timer.daemon = True; timer.start()
        def test_exit(): atexit.register(Current()); STOP.set()
        def test_signal(): signal.signal(signal.SIGUSR1, Current())
        """,
    )
    run = project.run()

    kinds = {one["nodeid"].rpartition("_")[2]: one["kind"] for one in run.failing}
    assert kinds == {
        "thread": "threads", "timer": "timers", "exit": "atexit", "signal": "signals",
    }, run.text  # fmt: skip
    assert run.code == 1, run.text


def test_objects_that_answer_no_question_at_all_are_seen_like_any_other(project: Project) -> None:
    """Not even for their class, nor whether they are true; and the calls of the test get through."""
    write_suite(
        project,
        """
        import _thread
        class Refuses:
            def __call__(self, *args): STOP.wait()
            def __getattribute__(self, name): raise RuntimeError(f"asked for {name}")
            def __bool__(self): raise RuntimeError("asked whether true")
            def __eq__(self, other): raise RuntimeError("asked whether equal")
            __hash__ = None
        class Properties(threading.Thread):
            pid = _target = property(lambda self: self.answer(), lambda self, value: None)
            def answer(self): raise RuntimeError("asked")
            def run(self): STOP.wait()
        STOP = threading.Event()
        def test_hook(): sys.excepthook = Refuses()
        def test_hook_of_threads(): threading.excepthook = Refuses()
        def test_signal(): signal.signal(signal.SIGUSR1, Refuses())
        def test_exit(): atexit.register(Refuses())
        def test_timer():
            timer = threading.Timer(1000, Refuses()); timer.daemon = True; timer.start()
        def test_thread(): Properties(daemon=True).start()
        def test_raw(): _thread.start_new_thread(Refuses(), ())
        def test_next(): STOP.set()
        """,
    )
    run = project.run(grace=0.05)

    kinds = {one["nodeid"].partition("::test_")[2]: one["kind"] for one in run.failing}
    assert kinds == {
        "hook": "listeners", "hook_of_threads": "listeners", "signal": "signals",
        "exit": "atexit", "timer": "timers", "thread": "threads", "raw": "threads",
    }, run.text  # fmt: skip
    assert run.code == 1, run.text


def test_what_derives_from_pythons_own_and_raises_is_put_in_words(project: Project) -> None:
    """Threads without a name or an end, a timer without a time, a loop and a task that tell nothing.

    And an object that is a coroutine.
    """
    write_suite(
        project,
        """
        from collections.abc import Coroutine
        def refuse(self, *_): raise RuntimeError("asked")
        class Nameless(threading.Thread):
            name = property(refuse, lambda self, name: None)
            def run(self): STOP.wait()
        class Endless(threading.Thread):
            is_alive = refuse
            ident = native_id = property(refuse)
            def run(self): STOP.wait()
        class Ticker(threading.Timer):
            def __init__(self): threading.Thread.__init__(self, daemon=True)
            def run(self): STOP.wait()
        class Loop(asyncio.SelectorEventLoop):
            asked = False
            def is_running(self):
                if self.asked: raise RuntimeError("asked")
                return super().is_running()
        class Task(asyncio.Task):
            get_name = get_coro = __repr__ = refuse
        class Plain(Coroutine):
            def __await__(self): yield
            def send(self, value): return None
            def throw(self, error, *_): raise error
        STOP = threading.Event()
        @pytest.fixture(scope="module")
        def loop():
            loop = asyncio.new_event_loop(); yield loop; loop.close()
        def run(loop, make):
            async def main(): KEEP.append(make()); await asyncio.sleep(0)
            loop.run_until_complete(main())
        def test_thread(): Nameless(daemon=True).start()
        def test_endless(): Endless(name="E", daemon=True).start()
        def test_ticker(): Ticker().start()
        def test_loop(): KEEP.append(Loop()); KEEP[-1].asked = True
        def test_task(loop): run(loop, lambda: Task(asyncio.sleep(1000), loop=loop))
        def test_plain(loop): run(loop, lambda: loop.create_task(Plain()))
        def test_next(): STOP.set()
        """,
    )
    run = project.run(grace=0.05)

    assert {one["nodeid"].partition("::test_")[2]: one["summary"] for one in run.failing} == {
        "thread": "thread '?' running test_it.Nameless.run, daemon",
        "endless": "thread 'E' running test_it.Endless.run, daemon",
        "ticker": "threading.Timer of ? s calling test_it.Ticker.run",
        "loop": "event loop Loop, not closed",
        "task": "task NoneType",
        "plain": "task Plain",
    }, run.text
    assert run.code == 1, run.text


def test_a_fixtures_value_that_refuses_to_be_gone_through_is_no_obstacle(project: Project) -> None:
    """A list or a dictionary may have methods that raise; what it has is still known.

    And a class may refuse to say what its objects can do.
    """
    write_suite(
        project,
        """
        class List(list):
            def __iter__(self): raise RuntimeError("gone through")
        class Dict(dict):
            def __iter__(self): raise RuntimeError("gone through")
            keys = values = items = __iter__
        @pytest.fixture(params=[lambda sock: List([sock]), lambda sock: Dict(sock=sock)])
        def handed(request): return request.param(socket.socket())
        @pytest.fixture(scope="module")
        def pool(): return List()
        class Meta(type):
            def __getattr__(cls, name): raise RuntimeError("asked")
        class Odd(metaclass=Meta): pass
        @pytest.fixture
        def odd(): return Odd()
        def test_odd(odd): KEEP.append(open("/dev/zero"))
        def test_handed_out(handed): pass
        def test_grows(pool): pool.append(socket.socket())
        def test_next(pool): pass
        """,
    )
    run = project.run(grace=0.05)

    assert [one["nodeid"].partition("::")[2].partition("[")[0] for one in run.failing] == [
        "test_odd", "test_handed_out", "test_handed_out", "test_next",
    ], run.text  # fmt: skip
    assert [one["owner"]["name"] for one in run.failing][-1] == "pool"
    assert run.code == 1, run.text


def test_a_setup_function_of_no_module_is_run(project: Project) -> None:
    """As a function that was made of code and globals without a name."""
    write_suite(
        project,
        """
        def setup_module(): KEEP.append(socket.socket())
        setup_module.__module__ = None
        def test_it(): pass
        """,
    )
    run = project.run(grace=0.05)

    assert run.one()["owner"]["name"] == "setup_module"
    assert run.outcomes == {"leaked": 1}, run.text


def test_a_module_that_waits_to_be_used_is_not_loaded_to_be_looked_at(project: Project) -> None:
    """Whether it can be loaded at all is its user's to find out."""
    project.write("late.py", "raise ImportError('loaded')")
    project.write(
        "conftest.py",
        """
        import importlib.util, sys
        def stand_in(name):
            spec = importlib.util.find_spec(name)
            spec.loader = importlib.util.LazyLoader(spec.loader)
            sys.modules[name] = module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        stand_in("late")
        """,
    )
    write_suite(
        project,
        """
        import sys
        class First:
            def __init__(self): self.before = signal.signal(signal.SIGUSR1, self.stop)
            def stop(self, *args): pass
        @pytest.fixture(scope="module")
        def pool(): return []
        def test_keeps(pool): pool.append(socket.socket())
        def test_leaks(pool): KEEP.append(socket.socket())
        def test_replaces(): First(); First()
        def test_last(): assert type(sys.modules["late"]).__name__ == "_LazyModule"
        """,
    )
    run = project.run(grace=0.05, env={"PYTHONPATH": str(project.path)})

    assert run.outcomes == {"passed": 1, "leaked": 3}, run.text
    assert run.code == 1, run.text


def test_to_ask_whether_descriptors_are_left_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be heard: every test that follows would have to be looked at."""
    spare = SpareDescriptors()
    try:
        with monkeypatch.context() as patched:
            patched.setattr(System, "open_fd", None)
            spare.give_if_short()
        assert not spare.is_given
    finally:
        spare.give()
    assert spare.is_given


def test_a_connection_on_a_socket_without_weak_references_is_made_as_ever(project: Project) -> None:
    """The loop takes whatever has the methods of a socket; who made it is not remembered then."""
    write_suite(
        project,
        """
        class Bare:
            __slots__ = ("sock",)
            def __init__(self, sock): self.sock = sock
            def __getattr__(self, name): return getattr(self.sock, name)

        def test_it():
            async def connect():
                ours, theirs = socket.socketpair()
                ours.setblocking(False)
                loop = asyncio.get_running_loop()
                transport = loop._make_socket_transport(Bare(ours), asyncio.Protocol())
                transport.close(); theirs.close(); ours.close()
                await asyncio.sleep(0)
            asyncio.run(connect())
        """,
    )
    assert project.run().outcomes == {"passed": 1}


def test_the_function_of_a_raw_thread_goes_when_the_thread_ends(project: Project) -> None:
    """Nothing else tells the end of such a thread: CPython's own tests wait for just that."""
    write_suite(
        project,
        """
        import _thread, weakref
        def test_waits():
            started, gate = threading.Event(), threading.Event()
            def task(): started.set(); gate.wait()
            gone = threading.Event()
            reference = weakref.ref(task, lambda _: gone.set())
            _thread.start_new_thread(task, ()); del task
            started.wait(); gate.set()
            assert gone.wait(10)
        def test_leaks():
            def task(gate): gate.wait()
            gate = threading.Event(); KEEP.append(gate)
            _thread.start_new_thread(task, (gate,))
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text
    assert run.one("test_leaks")["summary"].startswith("raw thread running test_it.test_leaks")


def test_a_task_that_does_not_tell_its_loop_leaves_the_loop_as_it_is(project: Project) -> None:
    """To look for what hangs on a loop that is about to be closed is our wish, not the user's."""
    write_suite(
        project,
        """
        class Odd(asyncio.Task):
            def get_loop(self): raise RuntimeError("asked")
        def test_it():
            loop = asyncio.new_event_loop()
            odd = Odd(asyncio.sleep(60), loop=loop)
            KEEP.append(loop.create_task(asyncio.sleep(60)))
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
            assert loop.is_closed()
        """,
    )
    run = project.run()

    assert {one["kind"] for one in run.failing} == {"tasks"}, run.text
    assert run.code == 1, run.text


def test_callbacks_of_a_leaked_loop_may_stop_it_or_end_the_program(project: Project) -> None:
    """They are run for a moment, to see whether its tasks end."""
    write_suite(
        project,
        """
        def test_stops():
            loop = asyncio.new_event_loop(); KEEP.append(loop)
            def again(): loop.stop(); loop.call_later(0.005, again)
            loop.create_task(asyncio.sleep(1000)); again()
        def test_ends():
            loop = asyncio.new_event_loop(); KEEP.append(loop)
            async def leave(): sys.exit(3)
            loop.create_task(leave()); loop.create_task(asyncio.sleep(1000))
        def test_next(): pass
        """,
    )
    run = project.run(grace=0.1)

    assert run.code == 1, run.text
    assert run.outcomes == {"passed": 1, "leaked": 2}
    assert {"tasks", "loops"} <= {one["kind"] for one in run.findings if "ends" in one["nodeid"]}
