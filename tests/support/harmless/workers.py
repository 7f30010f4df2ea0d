"""Threads, executors, pools and child processes that end by themselves or are ended."""

from __future__ import annotations

from support.harmless.case import Harmless

__all__ = ["WORKERS"]

WORKERS = (
    Harmless("processes_that_anyio_keeps_for_a_loop", """
        import anyio.to_process
        @pytest.fixture
        def anyio_backend(): return "asyncio"
        @pytest.mark.anyio
        @again
        async def test_it(again): assert await anyio.to_process.run_sync(abs, -1) == 1
        """, plugins=("anyio",), waits=True),
    Harmless("executor_told_to_shut_down_without_waiting", """
        @again
        def test_it(again):
            pool = ThreadPoolExecutor(4)
            for _ in range(4): pool.submit(int)
            pool.shutdown(wait=False)
        """, waits=True),
    Harmless("executor_used_as_a_context", """
        @again
        def test_it(again):
            with ThreadPoolExecutor(4) as pool:
                assert list(pool.map(int, "123")) == [1, 2, 3]
        """),
    Harmless("executor_dropped_without_shutdown_ends_by_itself", """
        @again
        def test_it(again):
            ThreadPoolExecutor(1).submit(int).result()
        """, waits=True),
    Harmless("process_pool_used_as_a_context", """
        @again
        def test_it(again):
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                assert pool.submit(int, "7").result() == 7
        """, waits=True),
    Harmless("process_pool_with_fork", """
        @again
        def test_it(again):
            with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
                assert list(pool.map(int, "12")) == [1, 2]
        """, waits=True, args=("-W", "ignore::DeprecationWarning")),
    Harmless("multiprocessing_process_spawned_and_joined", """
        @again
        def test_it(again):
            child = multiprocessing.get_context("spawn").Process(target=int)
            child.start(); child.join(); assert child.exitcode == 0
        """, waits=True),
    Harmless("multiprocessing_fork_server", """
        @again
        def test_it(again):
            child = multiprocessing.get_context("forkserver").Process(target=int)
            child.start(); child.join(); assert child.exitcode == 0
        """, waits=True),
    Harmless("multiprocessing_lock_starts_the_resource_tracker", """
        @again
        def test_it(again):
            with multiprocessing.Lock(): pass
            multiprocessing.get_context("spawn").Event().set()
        """),
    Harmless("multiprocessing_queue_closed_and_joined", """
        @again
        def test_it(again):
            queue = multiprocessing.Queue()
            queue.put(1); assert queue.get(timeout=9) == 1
            queue.close(); queue.join_thread()
        """),
    Harmless("shared_memory_closed_and_unlinked", """
        from multiprocessing.shared_memory import SharedMemory
        @again
        def test_it(again):
            block = SharedMemory(create=True, size=100)
            block.close(); block.unlink()
        """),
    Harmless("multiprocessing_heap_arena", """
        @again
        def test_it(again):
            value = multiprocessing.Value("i", 1)
            assert value.value == 1
            array = multiprocessing.Array("d", 10)
        """),
    Harmless("multiprocessing_pool_closed_and_joined", """
        @again
        def test_it(again):
            pool = multiprocessing.get_context("fork").Pool(2)
            assert pool.map(int, "12") == [1, 2]
            pool.close(); pool.join()
        """, waits=True, args=("-W", "ignore::DeprecationWarning")),
    Harmless("multiprocessing_pool_used_as_a_context", """
        @again
        def test_it(again):
            with multiprocessing.get_context("fork").Pool(2) as pool:
                assert pool.map(int, "12") == [1, 2]
        """, waits=True, args=("-W", "ignore::DeprecationWarning")),
    Harmless("multiprocessing_thread_pool", """
        from multiprocessing.pool import ThreadPool
        @again
        def test_it(again):
            with ThreadPool(2) as pool:
                assert pool.map(int, "12") == [1, 2]
        """, waits=True),
    Harmless("multiprocessing_manager_shut_down", """
        @again
        def test_it(again):
            with multiprocessing.get_context("fork").Manager() as manager:
                manager.dict()["a"] = 1
        """, waits=True, args=("-W", "ignore::DeprecationWarning")),
    Harmless("thread_that_lingers_for_150_ms", """
        @again
        def test_it(again):
            threading.Thread(target=time.sleep, args=(0.15,)).start()
        """, waits=True),
    Harmless("daemon_thread_about_to_end", """
        @again
        def test_it(again):
            threading.Thread(target=time.sleep, args=(0.03,), daemon=True).start()
            _thread.start_new_thread(time.sleep, (0.03,))
        """, waits=True),
    Harmless("subprocess_run", """
        @again
        def test_it(again):
            assert subprocess.run(["echo", "hi"], capture_output=True, check=True).stdout
            subprocess.check_output(["true"])
            os.system("true")
            os.popen("echo").close()
        """),
    Harmless("foreign_thread_that_asked_for_its_own_name", """
        @again
        def test_it(again):
            done = threading.Event()
            def run():
                threading.current_thread().name; done.set()
            _thread.start_new_thread(run, ())
            assert done.wait(9)
        """, waits=True),
    Harmless("fork_without_exec_waited_for", """
        @again
        def test_it(again):
            pid = os.fork()
            if pid == 0: os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        """, args=("-W", "ignore::DeprecationWarning")),
)  # fmt: skip
