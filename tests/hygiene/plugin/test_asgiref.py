"""What runs below asgiref: async tests of Django, and whatever a library starts there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.inner import Project


def test_what_an_async_test_of_djangos_leaves_is_found(project: Project) -> None:
    """Asgiref runs it by ``asyncio.run`` in another thread; a test's own use of that asks for its end."""
    project.write(
        "lib/site-packages/asgiref/sync.py",
        """
        import asyncio
        from concurrent.futures import ThreadPoolExecutor
        def async_to_sync(function):
            def call(*args):
                with ThreadPoolExecutor(1) as executor:
                    return executor.submit(asyncio.run, function(*args)).result()
            return call
        """,
    )
    project.write("lib/site-packages/asgiref/__init__.py", "")
    project.write(
        "test_it.py",
        """
        import asyncio, unittest
        from asgiref.sync import async_to_sync
        KEEP = []
        async def leave(): KEEP.append(asyncio.create_task(asyncio.sleep(60))); await asyncio.sleep(0)
        class TestIt(unittest.TestCase):
            @async_to_sync
            async def test_leaks(self): await leave()
            @async_to_sync
            async def test_clean(self): await asyncio.sleep(0)
            def test_asks_for_it(self): async_to_sync(leave)()
        """,
    )
    run = project.run(env={"PYTHONPATH": str(project.path / "lib/site-packages")})

    assert run.outcomes == {"passed": 2, "leaked": 1}, run.text
    run.one("test_leaks", kind="tasks")


def test_what_a_library_starts_below_asgiref_is_no_worker_of_asgirefs(project: Project) -> None:
    """However far out asgiref has called it."""
    packages = "lib/site-packages"
    project.write(f"{packages}/asgiref/__init__.py", "")
    project.write(
        f"{packages}/asgiref/sync.py",
        """
        import asyncio
        def async_to_sync(function): return lambda: asyncio.run(function())
        """,
    )
    project.write(
        f"{packages}/storelib.py",
        """
        import queue, threading
        class Store:
            def __init__(self):
                self.queue = queue.Queue()
                threading.Thread(target=self.write, daemon=True).start()
            def write(self): self.queue.get()
        async def request(): Store()
        """,
    )
    project.write(
        "test_it.py",
        """
        import storelib
        from asgiref.sync import async_to_sync
        def test_leaks(): async_to_sync(storelib.request)()
        def test_leaks_again(): async_to_sync(storelib.request)()
        """,
    )
    run = project.run(env={"PYTHONPATH": str(project.path / packages)})

    assert run.outcomes == {"leaked": 2}, run.text
