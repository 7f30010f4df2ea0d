"""Plugins that run loops: on each kind of loop, what a test leaves is found and what it ends is not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project


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


def test_what_a_librarys_own_task_connects_is_the_tests_that_asked_for_it(project: Project) -> None:
    """The library tries each address in a task of its own: no line of the test's is on its stack."""
    project.write("test_it.py", """
        import anyio, pytest, socket
        KEEP = []
        LISTENER = socket.create_server(("127.0.0.1", 0))
        @pytest.mark.asyncio
        async def test_leaks():
            KEEP.append(await anyio.connect_tcp(*LISTENER.getsockname()))  # origin
        @pytest.mark.asyncio
        async def test_closes():
            await (await anyio.connect_tcp(*LISTENER.getsockname())).aclose()
        """)  # fmt: skip
    run = project.run(plugins=("asyncio",))

    finding = run.one("test_leaks", kind="sockets")
    assert {one["nodeid"] for one in run.failing} == {"test_it.py::test_leaks"}, run.text
    assert finding["origin"]["line"] == project.line("test_it.py", "# origin")
    assert finding["origin"]["source"] == "recorded"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_connection_that_a_loop_makes_in_a_turn_of_its_own_is_its_tests(
    project: Project, backend: str
) -> None:
    """With either backend of anyio; what its own runner opens for itself is nobody's leak."""
    pytest.importorskip("trio")
    project.write(
        "test_it.py",
        f"""
        import anyio, pytest, socket
        KEEP = []
        pytestmark = pytest.mark.anyio
        LISTENER = socket.create_server(("127.0.0.1", 0))
        @pytest.fixture(scope="module")
        def anyio_backend(): return {backend!r}
        @pytest.fixture(scope="module")
        async def shared():
            async with await anyio.connect_tcp(*LISTENER.getsockname()) as stream: yield stream
        async def test_closes():
            await (await anyio.connect_tcp(*LISTENER.getsockname())).aclose()
        async def test_shares(shared): pass
        async def test_leaks(): KEEP.append(await anyio.connect_tcp(*LISTENER.getsockname()))
        """,
    )
    run = project.run(plugins=("anyio",))

    assert run.one(kind="sockets")["nodeid"] == "test_it.py::test_leaks", run.text
    assert run.outcomes == {"passed": 2, "leaked": 1}, run.text


def test_what_a_run_within_a_test_cancels_is_no_leak(project: Project) -> None:
    """`asyncio.run` ends its own loop, also where a runner of tests is further up the stack."""
    project.write(
        "test_it.py",
        """
        import asyncio, signal, unittest
        import anyio, pytest
        async def main():
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print)
            task = asyncio.create_task(asyncio.sleep(1000))
            await asyncio.sleep(0)
            return task
        class TestIt(unittest.IsolatedAsyncioTestCase):
            def setUp(self): asyncio.run(main())
            def test_runs(self): asyncio.run(main())
            def test_runner(self):
                with asyncio.Runner() as runner: runner.run(main())
            async def test_leaks(self): self.task = await main()
        def test_anyio(): anyio.run(main)
        @pytest.mark.asyncio
        async def test_marked_leaks(): await main()
        """,
    )
    run = project.run(plugins=["asyncio", "anyio"])

    leaking = {one["nodeid"].rpartition("::")[2] for one in run.failing}
    assert leaking == {"test_leaks", "test_marked_leaks"}, run.text


def test_what_a_job_of_an_idle_worker_opens_is_no_part_of_its_pool(project: Project) -> None:
    """The threads of anyio and trio are kept for the next caller, not what the callers open."""
    pytest.importorskip("trio")
    project.write(
        "test_it.py",
        """
        import anyio, pytest, trio
        KEEP = []
        @pytest.fixture
        def anyio_backend(): return "asyncio"
        @pytest.mark.anyio
        async def test_leaks_a_file(): KEEP.append(await anyio.open_file(__file__))
        @pytest.mark.anyio
        async def test_leaks_again(): KEEP.append(await anyio.to_thread.run_sync(open, __file__))
        def test_leaks_in_trio():
            async def main(): KEEP.append(await trio.to_thread.run_sync(open, __file__))
            trio.run(main)
        @pytest.mark.anyio
        async def test_closes():
            async with await anyio.open_file(__file__) as file: await file.read()
        """,
    )
    run = project.run(plugins=["anyio"])

    assert {one["nodeid"].partition("::")[2] for one in run.failing} == {
        "test_leaks_a_file", "test_leaks_again", "test_leaks_in_trio",
    }  # fmt: skip
    assert {one["kind"] for one in run.failing} == {"fds"}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_job_in_a_thread_is_its_tests_though_one_task_runs_them_all(
    project: Project, backend: str
) -> None:
    """The context of anyio's runner is that of the fixture set up first, whose worker is used again."""
    pytest.importorskip("trio")
    project.write(
        "test_it.py",
        f"""
        import anyio, pytest
        KEEP = []
        pytestmark = pytest.mark.anyio
        @pytest.fixture(scope="module")
        def anyio_backend(): return {backend!r}
        @pytest.fixture(scope="module")
        async def text(anyio_backend): return await anyio.Path(__file__).read_text()
        @pytest.fixture(scope="module")
        async def group(anyio_backend):
            async with anyio.create_task_group() as group:
                yield group
                group.cancel_scope.cancel()
        async def test_leaks(text): KEEP.append(await anyio.open_file(__file__))
        async def test_starts(group): group.start_soon(anyio.sleep_forever)
        async def test_fails(text): assert not text, "as it says"
        """,
    )
    run = project.run("-W", "ignore", plugins=["anyio"])

    assert run.one(kind="fds")["nodeid"].startswith("test_it.py::test_leaks"), run.text
    assert run.outcomes == {"passed": 1, "failed": 1, "leaked": 1}, run.text
    assert "anyio_runner" not in run.text, "no frame of ours in the traceback"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_worker_that_still_runs_a_job_is_not_idle(project: Project, backend: str) -> None:
    """A job that a cancelled test has abandoned goes on; one that ends in time is no leak."""
    pytest.importorskip("trio")
    project.write(
        "test_it.py",
        f"""
        import anyio, pytest, threading
        pytestmark = pytest.mark.anyio
        GO_ON = threading.Event()
        @pytest.fixture
        def anyio_backend(): return {backend!r}
        async def abandon(seconds):
            began = anyio.Event()
            def job():
                anyio.from_thread.run_sync(began.set)
                GO_ON.wait(seconds)
            async with anyio.create_task_group() as group:
                async def run(): await anyio.to_thread.run_sync(job, abandon_on_cancel=True)
                group.start_soon(run)
                await began.wait()
                group.cancel_scope.cancel()
        async def test_leaks(): await abandon(60)
        async def test_ends_in_time(): await abandon(0.02)
        async def test_last(): GO_ON.set()
        """,
    )
    run = project.run(plugins=["anyio"])

    assert run.one(kind="threads")["nodeid"].startswith("test_it.py::test_leaks"), run.text


def test_a_runner_that_began_with_a_fixture_of_the_module_does_not_speak_for_its_tests(
    project: Project,
) -> None:
    """That of anyio runs all of a module in one task, in the context of the fixture that came first."""
    project.write(
        "test_it.py",
        """
        import anyio, pytest
        KEEP = []
        pytestmark = pytest.mark.anyio
        @pytest.fixture(scope="module")
        def anyio_backend(): return "asyncio"
        @pytest.fixture(scope="module")
        async def port(anyio_backend):
            listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
            async def echo(stream):
                async with stream:
                    async for data in stream: await stream.send(data)
            async with anyio.create_task_group() as group:
                group.start_soon(listener.serve, echo)
                yield listener.extra(anyio.abc.SocketAttribute.local_port)
                group.cancel_scope.cancel()
            await listener.aclose()
        async def test_closes(port):
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.send(b"x"); await stream.receive()
        async def test_leaks(port): KEEP.append(await anyio.connect_tcp("127.0.0.1", port))
        async def test_after(port): pass
        """,
    )
    run = project.run(plugins=["anyio"])

    assert {one["nodeid"] for one in run.failing} == {"test_it.py::test_leaks"}, run.text


def test_a_signal_handler_left_with_a_shared_loop_does_not_trouble_the_next_test(
    project: Project,
) -> None:
    """A loop that still has one keeps its wakeup fd when another test removes its own."""
    project.write(
        "test_it.py",
        """
        import asyncio, pytest, signal
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        async def test_leaks():
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, print)
        async def test_removes():
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGUSR1, print)
            assert loop.remove_signal_handler(signal.SIGUSR1)
        """,
    )
    run = project.run(plugins=["asyncio"])

    assert {one["nodeid"] for one in run.failing} == {"test_it.py::test_leaks"}, run.text


def test_the_workers_that_a_running_loop_keeps_do_not_fail_a_check_in_the_middle(
    project: Project,
) -> None:
    """Whoever runs the loop ends them; a timer is not kept so."""
    project.write(
        "test_it.py",
        """
        import asyncio, pytest
        pytestmark = pytest.mark.asyncio
        async def test_checks(resource_hygiene):
            await asyncio.to_thread(int)
            resource_hygiene.check()
        async def test_leaks(resource_hygiene):
            asyncio.get_running_loop().call_later(3600, print)
            assert [one.kind for one in resource_hygiene.leaks(grace=0)] == ["timers"]
        """,
    )
    run = project.run(plugins=["asyncio"])

    assert run.one()["nodeid"] == "test_it.py::test_leaks", run.text
    assert run.outcomes == {"passed": 1, "leaked": 1}


def test_on_a_loop_of_uvloop_that_lives_on_connections_are_told_and_its_own_parts_are_not(
    project: Project,
) -> None:
    """Libuv opens the null device once for each loop; a connection comes under a number of a pair."""
    pytest.importorskip("uvloop")
    write_suite(
        project,
        """
        import pytest_asyncio, uvloop
        pytestmark = pytest.mark.asyncio(loop_scope="session")
        @pytest.fixture(scope="session")
        def event_loop_policy(): return uvloop.EventLoopPolicy()
        async def serve(reader, writer):
            await reader.read()
            writer.close()
        @pytest_asyncio.fixture(scope="session", loop_scope="session")
        async def server():
            async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
                yield server.sockets[0].getsockname()
        async def test_first(server): pass
        async def test_closes(server):
            _, writer = await asyncio.open_connection(*server)
            writer.close(); await writer.wait_closed()
        async def test_leaks(server): KEEP.append(await asyncio.open_connection(*server))
        async def test_after(server): pass
        """,
    )
    run = project.run("-W", "ignore", plugins=["asyncio"])

    assert run.outcomes == {"passed": 3, "leaked": 1}, run.text
    assert run.one("test_leaks", kind="sockets")["details"]["remote"]


def test_a_listener_on_an_emitter_that_only_the_next_turn_of_a_loop_has_is_no_leak(
    project: Project,
) -> None:
    """The emitter's callback of a task that was cancelled is called when the loop runs again."""
    pytest.importorskip("pyee")
    write_suite(
        project,
        """
        import pytest_asyncio
        from pyee.asyncio import AsyncIOEventEmitter
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        @pytest_asyncio.fixture(scope="class", loop_scope="module")
        async def emitter():
            emitter = AsyncIOEventEmitter()
            @emitter.on("x")
            async def listen(): await asyncio.sleep(50)
            yield emitter
            emitter.cancel()
            await emitter.wait_for_complete()
        class TestIt:
            async def test_it(self, emitter): emitter.emit("x"); await asyncio.sleep(0)
        async def test_after(): pass
        """,
    )
    run = project.run("-W", "ignore", plugins=["asyncio"])

    assert run.outcomes == {"passed": 2}, run.text


@pytest.mark.skipif(sys.platform == "win32", reason="cat is not there")
def test_the_pipes_of_a_leaked_child_are_told_with_it_and_of_no_fixture(project: Project) -> None:
    """Up to Python 3.11 each loop policy leads to a thread that waits for the child, made by that call."""
    write_suite(
        project,
        """
        import pytest_asyncio
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def fixture(): yield 1
        async def test_leaks(fixture):
            KEEP.append(await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1))
        async def test_after(fixture): pass
        """,
    )
    run = project.run("-W", "ignore", plugins=["asyncio"])

    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text
    assert "pipe" in str(run.one("test_leaks", kind="processes")["details"]["parts"])
