"""What a conftest or a wider fixture has patched for long must neither blind nor break us."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project

_PATCHED = (
    "threading.Timer", "threading.enumerate", "threading.main_thread",
    "threading.current_thread", "time.sleep", "time.monotonic",
    "socket.socket", "signal.signal", "signal.getsignal", "signal.setitimer", "signal.getitimer",
    "os.waitid", "os.dup", "gc.collect", "gc.get_objects", "gc.get_referrers", "linecache.getline",
)  # fmt: skip


def test_what_a_wider_fixture_patches_neither_blinds_nor_breaks_us(project: Project) -> None:
    """The patches are in force while tests are judged, and while their signals are put back."""
    write_suite(
        project,
        f"""
        from unittest import mock
        Thread, Timer, Socket, set_signal, set_timer = (
            threading.Thread, threading.Timer, socket.socket, signal.signal, signal.setitimer
        )
        @pytest.fixture(scope="module", autouse=True)
        def originals():  # as they are while the plugin watches
            global set_signal, set_timer
            set_signal, set_timer = signal.signal, signal.setitimer
        @pytest.fixture(scope="class", params={_PATCHED!r})
        def patched(request, originals):
            with mock.patch(request.param): yield
        @pytest.mark.usefixtures("patched")
        class TestPatched:
            def test_leaks(self):
                KEEP.append(os.open("/dev/zero", os.O_RDONLY))
                KEEP.append(Socket())
                Thread(target=leave, daemon=True).start()
                timer = Timer(100, noop); timer.daemon = True; timer.start()
                set_signal(signal.SIGUSR1, noop)
                set_timer(signal.ITIMER_VIRTUAL, 100)
            def test_next(self): pass
        never = threading.Event()
        def leave(): never.wait()
        def test_last():
            assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
            assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0
        """,
    )
    run = project.run(grace=0.02)

    count = len(_PATCHED)
    assert run.outcomes == {"passed": count + 1, "leaked": count}
    kinds = [one["kind"] for one in run.failing]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "fds": count, "sockets": count, "threads": count, "timers": 2 * count, "signals": count,
    }  # fmt: skip
    assert run.code == 1, run.text


def test_a_thread_may_be_started_while_the_class_is_patched(project: Project) -> None:
    """What hears of the start asks for the class ``threading.Thread``, which is a mock by now."""
    write_suite(
        project,
        """
        from unittest import mock
        class Worker(threading.Thread):
            def run(self): never.wait()
        never = threading.Event()
        def test_it():
            with mock.patch("threading.Thread"):
                Worker(daemon=True).start()
        """,
    )

    assert project.run().one()["kind"] == "threads"


def test_a_stopped_clock_does_not_stop_us(project: Project) -> None:
    """A loop whose clock stands still never ends a sleep; what is about to end still gets its time."""
    write_suite(
        project,
        """
        @pytest.fixture(scope="module", autouse=True)
        def stopped():
            real = time.sleep
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(time, "monotonic", lambda: 0.0)
                patch.setattr(time, "time", lambda: 0.0)
                patch.setattr(time, "sleep", lambda seconds: None)
                yield real
        class LeaksTest(unittest.IsolatedAsyncioTestCase):
            async def test_leaks(self):
                self.task = asyncio.create_task(asyncio.Event().wait())
        class CleanTest(unittest.IsolatedAsyncioTestCase):
            async def test_ends_soon(self):
                done, loop = asyncio.Event(), asyncio.get_running_loop()
                loop.create_task(done.wait())
                def later():
                    REAL_SLEEP(0.02); loop.call_soon_threadsafe(done.set)
                threading.Thread(target=later).start()
        REAL_SLEEP = time.sleep
        """,
    )
    run = project.run(grace=0.3, timeout=60)

    assert run.one("test_leaks")["kind"] == "tasks"
    assert run.outcomes == {"passed": 1, "leaked": 1}


def test_a_main_thread_without_a_native_id_is_no_stranger(project: Project) -> None:
    """Eventlet puts one of its own in the place of the interpreter's, with no such attribute."""
    project.write("conftest.py", "import threading\ndel threading.main_thread()._native_id\n")
    write_suite(
        project,
        """
        def test_clean():
            thread = threading.Thread(target=int); thread.start(); thread.join()
        def test_leaks(): threading.Thread(target=threading.Event().wait, daemon=True).start()
        """,
    )
    run = project.run()

    assert run.outcomes == {"passed": 1, "leaked": 1}, run.text
    assert [one["kind"] for one in run.failing] == ["threads"]


def test_a_class_in_the_place_of_thread_hides_no_threads_of_the_old_one(project: Project) -> None:
    """A conftest that puts its own there is run before the engine is loaded."""
    project.write(
        "conftest.py",
        """
        import threading
        class Old(threading.Thread): pass
        class Mine(threading.Thread): pass
        threading.Old, threading.Thread = Old, Mine
        """,
    )
    write_suite(
        project,
        """
        def test_mine(): threading.Thread(target=threading.Event().wait, daemon=True).start()
        def test_old(): threading.Old(target=threading.Event().wait, daemon=True).start()
        def test_timer():
            timer = threading.Timer(60, int)
            timer.daemon = True
            timer.start()
        """,
    )
    run = project.run()

    assert [one["kind"] for one in run.failing] == ["threads", "threads", "timers"], run.text
    assert {one["origin"]["source"] for one in run.failing} == {"recorded"}
    assert run.summary["notes"] == 0
