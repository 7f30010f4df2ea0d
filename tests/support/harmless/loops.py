"""Event loops, tasks and asynchronous tests that leave nothing."""

from __future__ import annotations

from support.harmless.case import Harmless

__all__ = ["LOOPS"]

_AIO = ("asyncio",)

LOOPS = (
    Harmless("to_thread_in_an_async_test", """
        @again
        @pytest.mark.asyncio
        async def test_it(again):
            assert await asyncio.to_thread(lambda: 1) == 1
        """, plugins=_AIO),
    Harmless("to_thread_below_asyncio_run", """
        @again
        def test_it(again):
            assert asyncio.run(asyncio.to_thread(lambda: 1)) == 1
        """),
    Harmless("address_lookup_on_the_loop", """
        @again
        @pytest.mark.asyncio
        async def test_it(again):
            assert await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)
        """, plugins=_AIO),
    Harmless("asyncio_subprocess_waited_for", """
        @again
        @pytest.mark.asyncio
        async def test_it(again):
            child = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE,
                stdout=subprocess.PIPE)
            assert (await child.communicate(b"x"))[0] == b"x"
        """, plugins=_AIO, waits=True),
    Harmless("asyncio_subprocess_below_asyncio_run", """
        async def main():
            child = await asyncio.create_subprocess_shell("exit 3")
            return await child.wait()
        @again
        def test_it(again):
            assert asyncio.run(main()) == 3
        """, waits=True),
    Harmless("trio_thread_cache", """
        import trio
        @again
        def test_it(again):
            async def main():
                async with trio.open_nursery() as nursery:
                    for _ in range(again + 2): nursery.start_soon(trio.to_thread.run_sync, int)
            trio.run(main)
        """, plugins=("anyio",)),
    Harmless("trio_tests_of_anyio", """
        import anyio, trio
        @pytest.fixture
        def anyio_backend(): return "trio"
        @again
        @pytest.mark.anyio
        async def test_it(again):
            await anyio.to_thread.run_sync(int)
            async with anyio.create_task_group() as group: group.start_soon(anyio.sleep, 0)
        """, plugins=("anyio",)),
    Harmless("anyio_threads_and_tasks_on_asyncio", """
        import anyio
        @pytest.fixture
        def anyio_backend(): return "asyncio"
        @pytest.fixture
        async def resource():
            async with await anyio.open_file(__file__) as file: yield file
        @again
        @pytest.mark.anyio
        async def test_it(resource, again):
            await anyio.to_thread.run_sync(int)
            async with anyio.create_task_group() as group: group.start_soon(anyio.sleep, 0)
            assert (await anyio.run_process(["true"])).returncode == 0
        """, plugins=("anyio",), waits=True),
    Harmless("anyio_module_fixture", """
        import anyio
        @pytest.fixture(scope="module")
        def anyio_backend(): return "asyncio"
        @pytest.fixture(scope="module")
        async def group():
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, 1000); yield group; group.cancel_scope.cancel()
        @again
        @pytest.mark.anyio
        async def test_it(group, again): await anyio.sleep(0)
        """, plugins=("anyio",)),
    Harmless("anyio_blocking_portal", """
        import anyio, anyio.from_thread
        @again
        def test_it(again):
            with anyio.from_thread.start_blocking_portal() as portal:
                assert portal.call(anyio.sleep, 0) is None
                portal.start_task_soon(anyio.sleep, 0).result()
        """, waits=True),
    Harmless("async_generators_closed", """
        async def numbers():
            for number in range(9): yield number
        @again
        @pytest.mark.asyncio
        async def test_closed(again):
            async with contextlib.aclosing(numbers()) as them: await anext(them)
        @pytest.mark.asyncio
        async def test_exhausted():
            assert [n async for n in numbers()]
        @pytest.mark.asyncio
        async def test_dropped():
            async for number in numbers(): break
            await asyncio.sleep(0)
        """, plugins=_AIO),
    Harmless("tasks_cancelled_in_fixtures_and_tests", """
        import pytest_asyncio
        async def forever():
            while True: await asyncio.sleep(1000)
        async def slow_end():
            try: await asyncio.sleep(1000)
            finally:
                for _ in range(3): await asyncio.sleep(0)
        @pytest_asyncio.fixture
        async def awaited():
            task = asyncio.create_task(forever()); yield task
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError): await task
        @pytest_asyncio.fixture
        async def only_cancelled():
            task = asyncio.create_task(slow_end()); yield task; task.cancel()
        @again
        @pytest.mark.asyncio
        async def test_fixtures(awaited, only_cancelled, again): await asyncio.sleep(0)
        @pytest.mark.asyncio
        async def test_cancelled_at_the_end():
            task = asyncio.create_task(slow_end()); await asyncio.sleep(0); task.cancel()
        @pytest.mark.asyncio
        async def test_group():
            async with asyncio.TaskGroup() as group: group.create_task(asyncio.sleep(0.001))
        @pytest.mark.asyncio
        async def test_timeouts():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001): await forever()
            with pytest.raises(TimeoutError): await asyncio.wait_for(forever(), 0.001)
        @pytest.mark.asyncio
        async def test_timer_cancelled():
            asyncio.get_running_loop().call_later(1000, int).cancel()
        """, plugins=_AIO),
    Harmless("what_asyncio_run_itself_cancels", """
        async def forever(): await asyncio.sleep(1000)
        async def main():
            asyncio.create_task(forever()); asyncio.get_running_loop().call_later(1000, int)
            await asyncio.sleep(0)
        @again
        def test_it(again): asyncio.run(main())
        def test_runner():
            with asyncio.Runner() as runner: runner.run(main())
        """),
    Harmless("loop_closed_by_hand", """
        async def main(): await asyncio.sleep(0)
        @again
        def test_it(again):
            loop = asyncio.new_event_loop()
            try: loop.run_until_complete(main())
            finally: loop.close()
        """),
    Harmless("loops_of_wider_scopes", """
        import pytest_asyncio
        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def background():
            task = asyncio.create_task(asyncio.sleep(1000)); yield; task.cancel()
        @again
        @pytest.mark.asyncio(loop_scope="module")
        async def test_module(background, again): await asyncio.sleep(0)
        @again
        @pytest.mark.asyncio(loop_scope="session")
        async def test_session(again): await asyncio.to_thread(int)
        @pytest.mark.asyncio(loop_scope="class")
        class TestClass:
            async def test_a(self): await asyncio.sleep(0)
            async def test_b(self): await asyncio.to_thread(int)
        @pytest.mark.asyncio
        async def test_function(): await asyncio.sleep(0)
        """, plugins=_AIO),
    Harmless("async_fixtures_of_all_scopes", """
        import pytest_asyncio
        def maker(scope):
            @pytest_asyncio.fixture(scope=scope, loop_scope=scope)
            async def fix():
                task = asyncio.create_task(asyncio.sleep(1000))
                server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
                yield
                server.close(); task.cancel()
                with contextlib.suppress(asyncio.CancelledError): await task
            return fix
        of_session, of_module, of_class, of_function = map(maker,
            ["session", "module", "class", "function"])
        @pytest.mark.asyncio(loop_scope="session")
        async def test_session(of_session): pass
        @pytest.mark.asyncio(loop_scope="module")
        async def test_module(of_module, of_session): pass
        class TestOne:
            @pytest.mark.asyncio(loop_scope="class")
            async def test_class(self, of_class, of_module): pass
        @pytest.mark.asyncio
        async def test_function(of_function, of_session): pass
        """, plugins=_AIO),
    Harmless("auto_mode", """
        @pytest.fixture
        async def fix():
            task = asyncio.create_task(asyncio.sleep(1000)); yield; task.cancel()
        @again
        async def test_it(fix, again): await asyncio.to_thread(int)
        """, plugins=_AIO, args=("--asyncio-mode=auto",)),
    Harmless("uvloop_closed", """
        import uvloop
        async def main():
            await asyncio.sleep(0); await asyncio.to_thread(int)
        @again
        def test_runner(again):
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner: runner.run(main())
        @again
        def test_run(again): uvloop.run(main())
        """, waits=True),
    Harmless("uvloop_by_pytest_asyncio", """
        import uvloop
        @pytest.fixture(scope="session")
        def event_loop_policy(): return uvloop.EventLoopPolicy()
        @again
        @pytest.mark.asyncio
        async def test_it(again): await asyncio.sleep(0); await asyncio.to_thread(int)
        """, plugins=_AIO, waits=True, args=("-W", "ignore::DeprecationWarning")),
)  # fmt: skip
