"""What a test makes and ends is free at once: a test may ask whether its objects go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project

# What is made, the object that is asked for, and how it is ended.
_THINGS = {
    "exit callback": ("atexit.register(it.call)", "it", "atexit.unregister(it.call)"),
    "signal": ("signal.signal(signal.SIGUSR1, it.call)", "it",
               "signal.signal(signal.SIGUSR1, signal.SIG_DFL)"),
    "excepthook": ("sys.excepthook = it.call", "it", "sys.excepthook = sys.__excepthook__"),
    "log handler": ("h = logging.NullHandler(); LOG.addHandler(h)", "h", "LOG.removeHandler(h)"),
    "log filter": ("LOG.addFilter(it)", "it", "LOG.removeFilter(it)"),
    "thread": ("t = threading.Thread(target=it.wait); t.start()", "t", "it.end.set(); t.join()"),
    "target": ("t = threading.Thread(target=it.wait); t.start()", "it",
               "it.end.set(); t.join(); del t"),
    "timer": ("t = threading.Timer(100, it.call); t.start()", "t", "t.cancel(); t.join()"),
    "pool": ("p = ThreadPoolExecutor(); p.submit(int).result()", "p", "p.shutdown()"),
    "file": ("f = open(__file__)", "f", "f.close()"),
    "socket": ("s = socket.socket()", "s", "s.close()"),
    "selector": ("s = selectors.DefaultSelector()", "s", "s.close()"),
    "child": ("p = subprocess.Popen(['sleep', '100'])", "p", "p.kill(); p.wait()"),
    "loop": ("l = asyncio.new_event_loop()", "l", "l.close()"),
    "task": ("l = asyncio.new_event_loop(); t = l.create_task(asyncio.sleep(100))", "t",
             "t.cancel(); l.run_until_complete(asyncio.wait([t])); l.close(); del l"),
    "timer of a loop": ("l = asyncio.new_event_loop(); h = l.call_later(100, it.call)", "it",
                        "h.cancel(); l.close(); del h, l"),
    "signal of a loop": ("l = asyncio.new_event_loop(); l.add_signal_handler(10, it.call)", "it",
                         "l.remove_signal_handler(10); l.close(); del l"),
}  # fmt: skip


@pytest.mark.parametrize("how", ["alone", "kinds=all"])
def test_what_is_ended_is_kept_by_nobody(project: Project, how: str) -> None:
    """As opentelemetry's suite asks of a provider that is shut down."""
    tests = "\n".join(
        f"def test_{name.replace(' ', '_')}():\n"
        f"    it = It(); {make}; ref = weakref.ref({asked}); {end}; del {asked}\n"
        f"    {'del it' if asked != 'it' else 'pass'}\n"
        "    gc.collect(); assert ref() is None\n"
        for name, (make, asked, end) in _THINGS.items()
    )
    write_suite(
        project,
        """
        import gc, logging, selectors, weakref
        from concurrent.futures import ThreadPoolExecutor
        LOG = logging.getLogger("somebodys")
        class It:
            def __init__(self): self.end = threading.Event()
            def call(self, *_): pass
            def wait(self): self.end.wait()
            def filter(self, record): return True
        """,
    )
    path = project.path / "test_it.py"
    path.write_text(path.read_text() + "\n" + tests)
    run = project.run(*(["--resource-hygiene-kinds=all"] if how != "alone" else []))

    assert run.outcomes == {"passed": len(_THINGS)}, run.text
