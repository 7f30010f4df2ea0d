"""What a fixture's thread opens at the very moment at which the setup ends and everything is listed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hygiene.plugin.suites import write_suite

if TYPE_CHECKING:
    from support.inner import Project

_ENDLESS = "import time; time.sleep(600)"


@pytest.mark.skipif(sys.platform != "linux", reason="eventfds")
@pytest.mark.parametrize(
    "work",
    [
        pytest.param("with socket.socket(): stop.wait()", id="socket"),
        pytest.param("with open(__file__): stop.wait()", id="file"),
        pytest.param("ends = os.pipe(); stop.wait(); [os.close(one) for one in ends]", id="pipe"),
        pytest.param("number = os.eventfd(0); stop.wait(); os.close(number)", id="eventfd"),
        pytest.param("loop = asyncio.new_event_loop(); stop.wait(); loop.close()", id="loop"),
        pytest.param("one = threading.Timer(600, int); one.start(); stop.wait(); one.cancel(); one.join()",
                     id="timer"),
        pytest.param("one = subprocess.Popen([sys.executable, '-c', ENDLESS]); stop.wait(); one.kill(); "
                     "one.wait()", id="child"),
    ],
)  # fmt: skip
def test_it_is_the_fixtures(project: Project, work: str) -> None:
    """The interpreter may give the lock away between a call and its record; a look falls in between."""
    write_suite(project, f"""
        import sys
        ENDLESS = {_ENDLESS!r}
        def serve(stop):
            {work}
        @pytest.fixture(scope="class", params=range(30))
        def server(request):
            stop = threading.Event()
            thread = threading.Thread(target=serve, args=(stop,))
            thread.start()
            yield
            stop.set()
            thread.join()
        class TestIt:
            def test_clean(self, server): threading.Event().wait(0.001)
        """)  # fmt: skip
    run = project.run("-W", "ignore")

    assert run.outcomes == {"passed": 30}, run.text
