"""What works for a wider fixture, though nothing keeps it; and what a test begins for itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project


def test_a_task_is_not_a_fixtures_because_it_waits_for_one(project: Project) -> None:
    """A queue leads to whoever waits for it. What the fixture's own method has begun is its own."""
    project.write(
        "test_it.py",
        """
        import asyncio, pytest, pytest_asyncio
        pytestmark = pytest.mark.asyncio(loop_scope="session")
        KEEP = []
        class Client:
            def __init__(self): self.queue, self.event, self.tasks = asyncio.Queue(), asyncio.Event(), []
            def start(self): asyncio.create_task(self.pump())
            async def pump(self):
                while await self.queue.get() is not None: pass
        @pytest_asyncio.fixture(scope="module", loop_scope="session")
        async def client():
            client = Client()
            yield client
            for _ in range(3): client.queue.put_nowait(None)
            await asyncio.sleep(0.01)
        async def test_starts(client): client.start()
        async def test_adds(client): client.tasks.append(asyncio.create_task(client.pump()))
        async def test_leaks_a_getter(client): asyncio.create_task(client.queue.get())
        async def test_leaks_a_waiter(client):
            async def wait(): await client.event.wait()
            asyncio.create_task(wait()); await asyncio.sleep(0)
        async def test_last(client): client.event.set()
        """,
    )
    run = project.run("-W", "ignore", plugins=["asyncio"])

    assert [(one["nodeid"].partition("::")[2], one["kind"]) for one in run.failing] == [
        ("test_leaks_a_getter", "tasks"), ("test_leaks_a_waiter", "tasks"),
    ], run.text  # fmt: skip


def test_a_thread_is_not_a_fixtures_because_it_waits_for_one(project: Project) -> None:
    """What a helper begins with an event's or a queue's own method works for neither."""
    write_suite(
        project,
        """
        import _thread, queue
        class Service:
            def __init__(self): self.stopped, self.jobs = threading.Event(), queue.Queue()
            def stop(self): self.stopped.set(); self.jobs.put(None)
            def run(self): self.stopped.wait()
            def begin(self): _thread.start_new_thread(self.run, ())
        @pytest.fixture(scope="module")
        def service():
            service = Service()
            yield service
            service.stop()
        def begin(target): threading.Thread(target=target, daemon=True).start()
        def test_event(service): begin(service.stopped.wait)
        def test_queue(service): begin(service.jobs.get)
        def test_service(service): begin(lambda: service.stopped.wait())
        def test_raw(service): _thread.start_new_thread(service.stopped.wait, ())
        def test_raw_method(service): _thread.start_new_thread(service.run, ())
        def test_of_the_fixtures_own(service): service.begin()
        """,
    )
    run = project.run()

    assert run.outcomes == {"leaked": 5, "passed": 1}
    run.one("test_raw", kind="threads")
    run.one("test_raw_method", kind="threads")
    run.one("test_event", kind="threads")
    run.one("test_queue", kind="threads")
    run.one("test_service", kind="threads")


def test_a_job_that_is_written_in_a_test_is_the_tests_in_whatever_task_it_runs(
    project: Project,
) -> None:
    """As in the thread of a wider fixture: the worker only runs it."""
    project.write(
        "test_it.py",
        """
        import asyncio, pytest, pytest_asyncio, socket
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        KEEP = []
        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def jobs():
            jobs = asyncio.Queue()
            async def work():
                while job := await jobs.get(): job()
            async with asyncio.TaskGroup() as group:
                group.create_task(work())
                yield jobs
                jobs.put_nowait(None)
        async def test_leaks(jobs):
            done = asyncio.Event()
            def job(): KEEP.append(socket.socket()); done.set()
            jobs.put_nowait(job)
            await done.wait()
        async def test_after(jobs): pass
        """,
    )
    run = project.run("-W", "ignore", plugins=["asyncio"])

    assert run.one(kind="sockets")["nodeid"] == "test_it.py::test_leaks", run.text


def test_a_handler_that_a_test_sets_itself_is_its_own_whosever_method_it_is(
    project: Project,
) -> None:
    """What the fixture's own method sets is the fixture's, which takes it away."""
    write_suite(
        project,
        """
        import atexit
        class App:
            def start(self):
                atexit.register(self.stop)
                self.before = signal.signal(signal.SIGUSR2, self.on_signal)
                sys.unraisablehook = self.on_signal
            def stop(self):
                atexit.unregister(self.stop)
                signal.signal(signal.SIGUSR2, self.before)
                sys.unraisablehook = sys.__unraisablehook__
            def on_signal(self, *_): pass
        @pytest.fixture(scope="module")
        def app():
            app = App()
            yield app
            app.stop()
        def test_starts(app): app.start()
        def test_leaks(app):
            atexit.register(app.on_signal)
            signal.signal(signal.SIGUSR1, app.on_signal)
            sys.excepthook = app.on_signal
        def test_after(app): pass
        """,
    )
    run = project.run()

    assert {one["nodeid"] for one in run.failing} == {"test_it.py::test_leaks"}, run.text
    assert sorted(one["kind"] for one in run.failing) == ["atexit", "listeners", "signals"]


def test_what_a_fixtures_own_method_begins_to_run_itself_is_the_fixtures(project: Project) -> None:
    """Though it keeps neither thread nor task nor timer: they work for it, and it ends them."""
    project.write(
        "test_it.py",
        """
        import asyncio, pytest, pytest_asyncio, threading
        from functools import partial
        pytestmark = pytest.mark.asyncio(loop_scope="session")
        class Client:
            def __init__(self): self.ended, self.over = threading.Event(), False
            def run(self): self.ended.wait()
            async def poll(self):
                while not self.over: await asyncio.sleep(0.005)
            def begin_thread(self): threading.Thread(target=self.run).start()
            def begin_timer(self): threading.Timer(0.3, self.run).start()
            def begin_task(self): asyncio.create_task(self.poll())
            def begin_partial(self): threading.Thread(target=partial(partial(self.run))).start()
            def begin_closure(self): threading.Thread(target=lambda: self.run()).start()
            def begin_for(self): threading.Thread(target=run_for, args=(self,)).start()
            def begin_by_helper(self): start(partial(Client.run, self))
            def begin_task_for(self): asyncio.create_task(poll_for(self))
            def begin_task_within(self):
                async def poll(): await self.poll()
                asyncio.create_task(poll())
        @pytest_asyncio.fixture(scope="module", loop_scope="session")
        async def client():
            client = Client()
            yield client
            client.over = True
            client.ended.set()
            await asyncio.sleep(0.02)
        def start(job): threading.Thread(target=job).start()
        def run_for(client): client.ended.wait()
        async def poll_for(client): await client.poll()
        @pytest.mark.parametrize("begin", [one for one in vars(Client) if one.startswith("begin_")])
        async def test_begins(client, begin): getattr(client, begin)()
        async def test_leaks(client): asyncio.create_task(client.poll())
        async def test_leaks_another():
            other = Client(); other.begin_task_for(); other.begin_closure()
            threading.Timer(0.5, other.ended.set).start()
        async def test_last(client): pass
        """,
    )
    run = project.run("-W", "ignore", plugins=["asyncio"])

    assert sorted({one["nodeid"].partition("::")[2] for one in run.failing}) == [
        "test_leaks", "test_leaks_another",
    ], run.text  # fmt: skip


def test_a_timer_that_a_test_begins_for_a_fixture_is_its_own_however_often_it_has_rung(
    project: Project,
) -> None:
    """A chain is handed over with its first link; the fixture answers for the last, if it goes on."""
    project.write(
        "test_it.py",
        """
        import asyncio, pytest, threading
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        class App:
            rung, over = 0, False
            def tick(self):
                self.rung += 1
                self.timer = threading.Timer(0.01, self.tick)
                self.timer.daemon = True
                if not self.over: self.timer.start()
            def tick_on_loop(self):
                self.rung += 1
                self.timer = asyncio.get_running_loop().call_later(0.01, self.tick_on_loop)
            async def rings(self):
                while self.rung < 5: await asyncio.sleep(0.005)
        @pytest.fixture(scope="class", params=[App.tick, App.tick_on_loop])
        def app(request):
            app = App(); app.begin = lambda: request.param(app)
            yield app
            app.over = True
            app.timer.cancel()
        @pytest.fixture(scope="class", params=[App.tick, App.tick_on_loop])
        def forgotten(request):
            app = App(); app.begin = lambda: request.param(app)
            yield app
        class TestClean:
            async def test_begins(self, app): app.begin(); await app.rings()
            async def test_after(self, app): pass
        class TestLeaks:
            async def test_begins(self, forgotten): forgotten.begin(); await forgotten.rings()
            async def test_after(self, forgotten): pass
        """,
    )
    run = project.run("-W", "ignore", plugins=["asyncio"])

    assert {(one["owner"]["name"], one["kind"]) for one in run.failing} == {
        ("forgotten", "timers")
    }, run.text
    assert {one["nodeid"].partition("[")[0] for one in run.failing} == {
        "test_it.py::TestLeaks::test_after"
    }, run.text


def test_a_loop_that_a_fixture_makes_when_it_is_needed_is_its_own_with_all_its_parts(
    project: Project,
) -> None:
    """Its sockets and its epoll; what else runs on it, and a loop of the test's own, is the test's."""
    write_suite(
        project,
        """
        class Lazy:
            loop = None
            def run(self, coro):
                if self.loop is None: self.loop = asyncio.new_event_loop()
                return self.loop.run_until_complete(coro)
        @pytest.fixture(scope="module")
        def lazy():
            lazy = Lazy()
            yield lazy
            lazy.loop.close()
        def test_runs(lazy): lazy.run(asyncio.sleep(0))
        def test_leaks_a_socket(lazy):
            async def main(): KEEP.append(socket.socket())
            lazy.run(main())
        def test_leaks_a_loop(lazy):
            other = Lazy(); KEEP.append(other); other.run(asyncio.sleep(0))
        """,
    )
    run = project.run()

    assert [(one["nodeid"].partition("::")[2], one["kind"]) for one in run.failing] == [
        ("test_leaks_a_socket", "sockets"), ("test_leaks_a_loop", "loops"),
    ], run.text  # fmt: skip


def test_the_thread_of_a_librarys_object_is_the_fixtures_that_has_the_object(
    project: Project,
) -> None:
    """As of a server of gRPC: the thread is given what it works on, and the library keeps neither."""
    project.write(
        "lib/site-packages/servelib/__init__.py",
        """
        import os, threading
        class State:
            def __init__(self): self.ended = threading.Event()
        def serve(state, ends):
            state.ended.wait()
            for end in ends: os.close(end)
        class Server:
            def __init__(self): self.state = State()
            def start(self):
                threading.Thread(target=serve, args=(self.state, os.pipe())).start()
            def stop(self): self.state.ended.set()
        """,
    )
    write_suite(
        project,
        """
        import servelib
        class Servers:
            def start(self):
                self.server = servelib.Server()
                self.server.start()
        @pytest.fixture(scope="module")
        def servers():
            servers = Servers()
            yield servers
            servers.server.stop()
        def test_starts(servers): servers.start()
        def test_leaks(servers):
            other = Servers(); other.start()
            threading.Timer(1, other.server.stop).start()
        """,
    )
    run = project.run("-W", "ignore", env={"PYTHONPATH": str(project.path / "lib/site-packages")})

    assert {one["nodeid"] for one in run.failing} == {"test_it.py::test_leaks"}, run.text


def test_a_listener_that_a_fixtures_own_method_adds_is_the_fixtures(project: Project) -> None:
    """Whatever else listens to the same emitter, which leads to all of them, is the test's."""
    write_suite(
        project,
        """
        import blinker, pyee
        SIGNAL, EMITTER = blinker.Signal("moved"), pyee.EventEmitter()
        class Part:
            def attach(self): EMITTER.on("part", self.hear)
            def hear(self, *_): pass
        class App:
            def __init__(self): self.part = Part()
            def start(self):
                SIGNAL.connect(self.hear, weak=False)
                EMITTER.on("app", self.hear); self.part.attach()
            def stop(self):
                SIGNAL.disconnect(self.hear)
                EMITTER.remove_listener("app", self.hear)
                EMITTER.remove_listener("part", self.part.hear)
            def hear(self, *_): pass
        @pytest.fixture(scope="module")
        def app():
            app = App(); yield app; app.stop()
        @pytest.fixture(scope="module")
        def emitter(): return EMITTER
        def test_starts(app): app.start()
        def test_leaks_by_itself(app): SIGNAL.connect(app.hear, sender=3, weak=False)
        def test_leaks_a_part(app, emitter): Part().attach()
        def test_last(app): pass
        """,
    )
    run = project.run()

    assert [one["nodeid"].partition("::")[2] for one in run.failing] == [
        "test_leaks_by_itself", "test_leaks_a_part",
    ], run.text  # fmt: skip


def test_a_function_of_the_tests_is_its_own_though_a_fixtures_method_has_it_run(
    project: Project,
) -> None:
    """It may lead to the fixture as well; a task that the fixture keeps is the fixture's."""
    project.write(
        "test_it.py",
        """
        import asyncio, pytest, pytest_asyncio, threading
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        class App:
            def __init__(self): self.ended, self.queue, self.kept = threading.Event(), asyncio.Queue(), []
            def in_thread(self, job, *args): threading.Thread(target=job, args=args).start()
            def in_task(self, coro): asyncio.create_task(coro)
            def keep_task(self, coro): self.kept.append(asyncio.create_task(coro))
            def wait(self): self.ended.wait()
        @pytest_asyncio.fixture(loop_scope="module", scope="module")
        async def app():
            app = App()
            yield app
            app.ended.set()
            for task in app.kept: task.cancel()
            await asyncio.sleep(0.01)
        async def test_leaks_a_thread(app): app.in_thread(lambda: app.wait())
        async def test_leaks_another(app):
            def job(app): app.wait()
            app.in_thread(job, app)
        async def test_leaks_a_task(app):
            async def job(): await app.queue.get()
            app.in_task(job()); await asyncio.sleep(0)
        async def test_gives_a_task(app):
            async def job(): await app.queue.get()
            app.keep_task(job()); await asyncio.sleep(0)
        async def test_has_a_method_run(app): app.in_thread(app.wait)
        async def test_last(app): pass
        """,
    )
    run = project.run("-W", "ignore", plugins=["asyncio"])

    assert [one["nodeid"].partition("::")[2] for one in run.failing] == [
        "test_leaks_a_thread", "test_leaks_another", "test_leaks_a_task",
    ], run.text  # fmt: skip


def test_what_a_pending_function_of_the_tests_has_in_its_variables_is_the_tests(
    project: Project,
) -> None:
    """The fixture keeps the task, and so the coroutine; what is in that is not the fixture's."""
    write_suite(
        project,
        """
        import pytest_asyncio
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        class Hub:
            def __init__(self): self.tasks = set()
            def keep(self, coroutine): self.tasks.add(asyncio.create_task(coroutine))
            async def serve(self):
                sock = socket.socket()
                try: await asyncio.sleep(60)
                finally: sock.close()
        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def hub():
            hub = Hub()
            yield hub
            for task in hub.tasks: task.cancel()
            await asyncio.gather(*hub.tasks, return_exceptions=True)
        async def test_leaks(hub):
            async def job():
                sock = socket.socket()
                KEEP.append(sock)
                await asyncio.sleep(60)
            hub.keep(job()); await asyncio.sleep(0)
        async def test_of_the_hub(hub): hub.keep(hub.serve()); await asyncio.sleep(0)
        async def test_after(hub): pass
        """,
    )
    run = project.run("-W", "ignore", plugins=["asyncio"])

    assert run.outcomes == {"passed": 2, "leaked": 1}, run.text
    run.one("test_leaks", kind="sockets")


@pytest.mark.skipif(sys.platform != "linux", reason="an epoll is Linux's")
def test_an_epoll_goes_with_the_thread_that_waits_for_it(project: Project) -> None:
    """No event tells of it: it was the test's, also in a thread that a fixture's server had begun."""
    write_suite(
        project,
        """
        import selectors
        class Shy(threading.Thread):
            native_id = property(lambda self: 1 // 0)
        class Server:
            def __init__(self): self.stop, self.threads = threading.Event(), []
            def accept(self):
                self.threads.append(Shy(target=self.work)); self.threads[-1].start()
            def work(self):
                with selectors.EpollSelector() as selector:
                    while not self.stop.is_set(): selector.select(0.05)
        @pytest.fixture(scope="module")
        def server():
            server = Server()
            yield server
            server.stop.set()
            for thread in server.threads: thread.join()
        def wait(began):
            selector = selectors.EpollSelector()
            began.set()
            selector.select()
        def test_of_the_server(server): server.accept()
        def test_leaks(server):
            began = threading.Event()
            threading.Thread(target=wait, args=(began,), daemon=True).start()
            began.wait()
        def test_after(server): pass
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 2, "leaked": 1}, run.text
    assert "eventpoll" in str(run.one("test_leaks", kind="threads")["details"]["parts"])
