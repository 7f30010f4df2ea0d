"""The parts in C and their twins in Python do the same; and what only a hook in C could do wrong."""

from __future__ import annotations

import gc
import os
import stat
import subprocess
import sys
import textwrap
import threading
from contextlib import ExitStack
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import _pytest.python
import pytest

from pytest_resource_hygiene import audit
from pytest_resource_hygiene.compiled import speedups
from pytest_resource_hygiene.recorder import Recorder

compiled_only = pytest.mark.skipif(speedups is None, reason="the parts in C are not compiled here")

PROLOGUE = """
import os, sys, threading
from pytest_resource_hygiene import audit, recorder as module
from pytest_resource_hygiene.compiled import speedups
recorder = module.Recorder(stop_files=sys.argv[1:])
sites = []

def note(args):
    sites.append(recorder.site(args[0] if isinstance(args[0], str) else type(args[0]).__name__))

def show():
    for stack, owner, window, parent, what in sites:
        names = [f"{code.co_name}+{offset}" for code, offset in zip(stack[::2], stack[1::2])]
        print(names, owner, window, parent and parent.what, what)
"""


def run(code: str, *, pure: bool, arguments: tuple[str, ...] = ()) -> str:
    """Run a script in an interpreter of its own, with or without the parts in C."""
    env = {**os.environ, "RESOURCE_HYGIENE_PURE_PYTHON": "1" if pure else ""}
    script = PROLOGUE + textwrap.dedent(code)
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def both(code: str, *, arguments: tuple[str, ...] = ()) -> str:
    """Return what both versions print, after making sure that it is the same."""
    in_python = run(code, pure=True, arguments=arguments)
    assert run(code, pure=False, arguments=arguments) == in_python
    return in_python


def test_pure_python_is_had_by_asking_for_it() -> None:
    assert run("print(speedups)", pure=True) == "None\n"


def test_same_stack_owner_and_window() -> None:
    printed = both(
        """
        recorder.on("open", note)
        recorder.start()
        recorder.window = "the window"

        def outer():
            for path in ("/dev/null", "/dev/zero"):
                inner(path)

        def inner(path):
            open(path).close()

        outer()
        recorder.owner_var.set("the owner")
        outer()
        recorder.stop()
        outer()
        show()
        """
    )
    lines = printed.splitlines()
    assert len(lines) == 4, "nothing is recorded after the end"
    assert all("'inner+" in line and "'outer+" in line for line in lines)
    assert "None the window None /dev/null" in lines[0]
    assert "the owner the window None /dev/zero" in lines[3]


def test_same_maker_of_a_thread() -> None:
    printed = both(
        """
        recorder.on("open", note)
        recorder.start()

        def work():
            open("/dev/null").close()

        thread = threading.Thread(target=work)
        recorder.threads[thread] = recorder.creation("made the thread")  # of a stack of no frames
        thread.start()
        thread.join()
        recorder.stop()
        show()
        """
    )
    assert "'work+" in printed
    assert "made the thread /dev/null" in printed


def test_same_end_of_a_stack(tmp_path: Path) -> None:
    runner = tmp_path / "runner.py"
    runner.write_text("def run(function):\n    function()\n")
    printed = both(
        """
        import runpy
        run = runpy.run_path(sys.argv[1])["run"]
        recorder.on("open", note)
        recorder.start()

        def deep(n):
            return deep(n - 1) if n else open("/dev/null").close()

        run(lambda: deep(3))
        deep(200)
        recorder.stop()
        show()
        """,
        arguments=(str(runner),),
    )
    first, second = printed.splitlines()
    assert first.count("deep+") == 4
    assert "<module>" not in first, "the stack ends before the runner"
    assert second.count("deep+") == 64, "and nowhere else but at the most frames"


def test_same_with_two_recorders() -> None:
    printed = both(
        """
        other = module.Recorder()
        other.on("open", lambda args: other.site(None))
        recorder.on("open", note)
        other.start()
        recorder.start()

        def opening():
            open("/dev/null").close()

        opening()
        recorder.stop()
        other.stop()
        show()
        """
    )
    assert printed.startswith("['opening+"), "no frame of ours is in front"


def test_same_error_of_a_handler() -> None:
    printed = both(
        """
        def refuse(args):
            raise PermissionError("no")

        recorder.on("open", refuse)
        recorder.start()
        try:
            open("/dev/null")
        except PermissionError as error:
            print("refused:", error)
        recorder.stop()
        """
    )
    assert printed == "refused: no\n"


def test_no_tracer_sees_a_handler() -> None:
    printed = both(
        """
        recorder.on("open", note)
        recorder.start()
        seen = []
        sys.settrace(lambda frame, event, arg: seen.append(frame.f_code.co_name))
        open("/dev/null").close()
        sys.settrace(None)
        recorder.stop()
        print("note" in seen, len(sites))
        """
    )
    assert printed == "False 1\n"


def test_another_interpreter_is_left_alone() -> None:
    printed = both(
        """
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        recorder.on("open", note)
        recorder.start()
        one = interpreters.create()
        before = len(sites)
        interpreters.run_string(one, "open('/dev/null').close()")
        print(len(sites) - before)
        interpreters.destroy(one)
        recorder.stop()
        """
    )
    assert printed == "0\n"


def test_events_while_the_interpreter_ends_do_no_harm() -> None:
    both(
        """
        class Late:
            def __del__(self, open=open):
                open("/dev/null").close()

        recorder.on("open", note)
        recorder.start()
        sys.late = Late()  # outlives the modules
        """
    )


def test_a_pulse_is_another_after_each_record() -> None:
    recorder = Recorder()
    seen = {recorder.pulse}
    for _ in range(3):
        recorder.site(None)
        seen.add(recorder.pulse)
    recorder.stir()
    seen.add(recorder.pulse)
    assert len(seen) == 5


def test_same_openings() -> None:
    printed = both(
        """
        records = []
        openings = audit.Openings(recorder, records.append)
        recorder.on("open", openings)
        recorder.start()

        def opening(name):
            return open(name)

        with opening("/dev/null") as file:
            open(file.fileno(), closefd=False).close()  # a descriptor that exists already
        recorder.stop()
        sites += records
        show()
        print(openings.count)
        """
    )
    first, count = printed.splitlines()
    assert first.startswith("['opening+")
    assert first.endswith("/dev/null")
    assert count == "1"


@compiled_only
@pytest.mark.parametrize("number", [0, 300])
def test_descriptors_are_those_that_python_finds(number: int) -> None:
    assert speedups is not None
    with ExitStack() as stack:
        for _ in range(number):
            stack.enter_context(Path(os.devnull).open())
        found = speedups.descriptors("/proc/self/fd", ())
        assert len(found) >= number
        for fd, device, inode, form, _ in found:
            status = os.fstat(fd)
            assert (device, inode) == (status.st_dev, status.st_ino)
            assert form == stat.S_IFMT(status.st_mode)
        open_now = {int(one.name) for one in Path("/proc/self/fd").iterdir()}
        assert {one[0] for one in found} == open_now - {_next_fd()}


def _next_fd() -> int:
    """Return the number that a listing has had for itself: the lowest that is free."""
    with Path(os.devnull).open() as file:
        return file.fileno()


@compiled_only
def test_a_folder_that_is_not_there_is_told() -> None:
    assert speedups is not None
    with pytest.raises(FileNotFoundError, match="nowhere"):
        speedups.descriptors("/nowhere", ())


@compiled_only
def test_descriptors_with_large_gaps_are_found() -> None:
    """Numbers are tried one after the other only where nearly all of them are open."""
    assert speedups is not None
    high = 900
    with Path(os.devnull).open() as file:
        os.dup2(file.fileno(), high)
        try:
            found = speedups.descriptors("/proc/self/fd", ())
        finally:
            os.close(high)
    assert found[-1][0] == high
    assert found[-1][1:] in {one[1:] for one in found[:-1]}, "the file itself, by its own number"


@compiled_only
@pytest.mark.parametrize(
    "names", [["high"], ["high", "high"], ["closed"], ["low", "closed", "high"], ["strange"]]
)
def test_descriptors_are_the_same_whichever_are_known(names: list[str]) -> None:
    """What is said to be open may be closed by now, and is listed once."""
    assert speedups is not None
    with Path(os.devnull).open() as file:
        high = os.dup2(file.fileno(), 800)
        try:
            numbers = {"low": file.fileno(), "high": high, "closed": high + 1, "strange": -1}
            known = [numbers[name] for name in names] + [10**6] * 40
            found = speedups.descriptors("/proc/self/fd", known)
            assert sorted(found) == sorted(speedups.descriptors("/proc/self/fd", ()))
        finally:
            os.close(high)


@compiled_only
@pytest.mark.parametrize("known", [7, ["a number"]])
def test_descriptors_refuse_what_is_no_number(known: object) -> None:
    assert speedups is not None
    with pytest.raises(TypeError):
        speedups.descriptors("/proc/self/fd", known)


@compiled_only
@pytest.mark.parametrize("arguments", [(), (1,), ((),)])
def test_openings_refuse_what_no_event_tells(arguments: tuple[object, ...]) -> None:
    openings = audit.Openings(Recorder(), [].append)
    with pytest.raises((TypeError, ValueError)):
        openings(*arguments)  # type: ignore[arg-type]
    assert openings.count == 0


@compiled_only
def test_too_many_events_are_refused_and_change_nothing() -> None:
    assert speedups is not None
    code = """
        recorder.on("open", note)
        recorder.start()
        try:
            speedups.set_handlers({f"event.{n}": note for n in range(65)})
        except ValueError as error:
            print(error)
        open("/dev/null").close()
        print(len(sites))
    """
    assert run(code, pure=False) == "at most 64 events, not 65\n1\n"


@compiled_only
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((["a"], "b", ContextVar("c"), 1), "frozenset"),
        ((frozenset(), "b", "c", 1), "ContextVar"),
        ((frozenset(), "b", ContextVar("c"), "d"), "int"),
    ],
)
def test_what_is_no_argument_is_told(arguments: tuple[object, ...], complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        audit.Sites(*arguments)  # type: ignore[arg-type]


@compiled_only
def test_what_an_older_checkout_was_compiled_to_is_left_alone() -> None:
    code = """
        import importlib
        from pytest_resource_hygiene import compiled
        sys.modules["pytest_resource_hygiene._speedups"].INTERFACE -= 1
        print(importlib.reload(compiled).speedups)
    """
    assert run(code, pure=False) == "None\n"


@compiled_only
def test_what_was_never_initialised_is_told() -> None:
    sites = audit.Sites.__new__(audit.Sites)
    openings = audit.Openings.__new__(audit.Openings)
    with pytest.raises(RuntimeError, match="__init__"):
        sites.site(None)
    with pytest.raises(TypeError, match="does not support vectorcall"):
        openings(("/dev/null",))
    with pytest.raises(TypeError):
        audit.Noting.__new__(audit.Noting)(sites)


def test_records_end_with_whoever_holds_them() -> None:
    class Thing:
        """Counted by the collector."""

    recorder = Recorder()
    for _ in range(100):
        recorder.site(Thing())
    assert not [one for one in gc.get_objects() if type(one) is Thing]


def test_a_recorder_in_a_cycle_is_collected() -> None:
    class Marker:
        """Held by the recorder alone."""

    recorder = Recorder()
    recorder.window = Marker()
    recorder.window.recorder = recorder
    del recorder
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is Marker]


@compiled_only
def test_thousands_of_openings_in_a_loop_are_one_record() -> None:
    """Or the collector would count them, and go through everything that much earlier.

    Not where they differ, and not in another thread, whose records are told apart by which they are.
    """

    class Knowing(audit.Sites):
        def maker_of_thread(self) -> str:
            return "the maker"

    ends = frozenset({str(_pytest.python.__file__), str(threading.__file__)})
    sites = Knowing(ends, "", ContextVar("owner"), threading.main_thread().ident or 0)
    records: list[Any] = []
    openings = audit.Openings(sites, records.append)

    def open_all() -> None:
        for name in ("one", "one", "one", "another"):
            openings((name,))

    open_all()
    thread = threading.Thread(target=open_all)
    thread.start()
    thread.join()

    assert [one[4] for one in records] == 2 * ["one", "one", "one", "another"]
    assert [records.index(one) for one in records[:4]] == [0, 0, 0, 3]
    assert len({id(one) for one in records[:4]}) == 2
    assert len({id(one) for one in records[4:]}) == 4
