"""The places in a suite in which a leak can stand.

A place turns a leak into one test file; in the clean form of the file the thing is closed where it
ought to be.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from support.leaks import HEAD

if TYPE_CHECKING:
    from support.leaks import Leak

__all__ = ["END", "PLACES", "Expected", "Place", "expected_of", "file_name", "file_of"]


@dataclass(frozen=True)
class Expected:
    """Who a finding has to name."""

    type: str
    name: str
    scope: str
    nodeid: str
    made_during: str
    function: str


@dataclass(frozen=True)
class Place:
    """One position in a test file.

    Attributes:
        name: in words.
        text: a file, with ``MAKE`` and ``CLOSE`` on lines of their own, which take the lines of the
            leak, and ``{x}`` for its name.
        owner: type, name and scope that findings must show.
        function: in which the thing is made.
        shown: the test at which the finding appears.
        during: the test during whose run it was made.
        loop: whether a loop runs there.
        plugins: what it needs.
    """

    name: str
    text: str
    owner: tuple[str, str, str]
    function: str
    shown: str = "test_last"
    during: str = "test_last"
    loop: bool = False
    plugins: tuple[str, ...] = ()


_ASYNCIO = ("asyncio",)

PLACES = (
    Place("test_body", """
        def test_last():
            MAKE
            CLOSE
        """, ("test", "", "function"), "test_last"),
    Place("function_fixture_setup", """
        @pytest.fixture
        def fix():
            MAKE
            yield
            CLOSE
        def test_last(fix): pass
        """, ("fixture", "fix", "function"), "fix"),
    Place("function_fixture_teardown", """
        @pytest.fixture
        def fix():
            yield
            MAKE
            CLOSE
        def test_last(fix): pass
        """, ("fixture", "fix", "function"), "fix"),
    Place("class_fixture_setup", """
        class TestOne:
            @pytest.fixture(scope="class")
            def fix(self):
                MAKE
                yield
                CLOSE
            def test_first(self, fix): pass
            def test_last(self, fix): pass
        """, ("fixture", "fix", "class"), "fix", "TestOne::test_last", "TestOne::test_first"),
    Place("class_fixture_teardown", """
        class TestOne:
            @pytest.fixture(scope="class")
            def fix(self):
                yield
                MAKE
                CLOSE
            def test_first(self, fix): pass
            def test_last(self, fix): pass
        """, ("fixture", "fix", "class"), "fix", "TestOne::test_last", "TestOne::test_last"),
    Place("module_fixture_setup", """
        @pytest.fixture(scope="module")
        def fix():
            MAKE
            yield
            CLOSE
        def test_first(fix): pass
        def test_last(): pass
        """, ("fixture", "fix", "module"), "fix", "test_last", "test_first"),
    Place("module_fixture_teardown", """
        @pytest.fixture(scope="module")
        def fix():
            yield
            MAKE
            CLOSE
        def test_first(fix): pass
        def test_last(): pass
        """, ("fixture", "fix", "module"), "fix"),
    Place("session_fixture_setup", """
        @pytest.fixture(scope="session")
        def fix_{x}():
            MAKE
            yield
            CLOSE
        def test_first(fix_{x}): pass
        def test_last(): pass
        """, ("fixture", "fix_{x}", "session"), "fix_{x}", "end", "test_first"),
    Place("session_fixture_teardown", """
        @pytest.fixture(scope="session")
        def fix_{x}():
            yield
            MAKE
            CLOSE
        def test_first(fix_{x}): pass
        def test_last(): pass
        """, ("fixture", "fix_{x}", "session"), "fix_{x}", "end", "end"),
    Place("xunit_setup_function", """
        def setup_function(function):
            MAKE
            KEEP.append(locals())
        def teardown_function(function):
            globals().update(KEEP.pop())
            CLOSE
        def test_last(): pass
        """, ("fixture", "setup_function", "function"), "setup_function"),
    Place("xunit_setup_class", """
        class TestOne:
            @classmethod
            def setup_class(cls):
                MAKE
                KEEP.append(locals())
            @classmethod
            def teardown_class(cls):
                globals().update(KEEP.pop())
                CLOSE
            def test_first(self): pass
            def test_last(self): pass
        """, ("fixture", "setup_class", "class"), "setup_class", "TestOne::test_last",
        "TestOne::test_first"),
    Place("xunit_setup_module", """
        def setup_module(module):
            MAKE
            KEEP.append(locals())
        def teardown_module(module):
            globals().update(KEEP.pop())
            CLOSE
        def test_first(): pass
        def test_last(): pass
        """, ("fixture", "setup_module", "module"), "setup_module", "test_last", "test_first"),
    Place("unittest_test", """
        class Case(unittest.TestCase):
            def test_last(self):
                MAKE
                CLOSE
        """, ("test", "", "function"), "test_last", "Case::test_last", "Case::test_last"),
    Place("unittest_set_up", """
        class Case(unittest.TestCase):
            def setUp(self):
                MAKE
                KEEP.append(locals())
            def tearDown(self):
                globals().update(KEEP.pop())
                CLOSE
            def test_last(self): pass
        """, ("fixture", "setUp", "function"), "setUp", "Case::test_last", "Case::test_last"),
    Place("unittest_set_up_class", """
        class Case(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                MAKE
                KEEP.append(locals())
            @classmethod
            def tearDownClass(cls):
                globals().update(KEEP.pop())
                CLOSE
            def test_first(self): pass
            def test_last(self): pass
        """, ("fixture", "setUpClass", "class"), "setUpClass", "Case::test_last",
        "Case::test_first"),
    Place("async_test", """
        @pytest.mark.asyncio
        async def test_last():
            MAKE
            CLOSE
        """, ("test", "", "function"), "test_last", loop=True, plugins=_ASYNCIO),
    Place("async_fixture_setup", """
        import pytest_asyncio
        @pytest_asyncio.fixture
        async def fix():
            MAKE
            yield
            CLOSE
        @pytest.mark.asyncio
        async def test_last(fix): pass
        """, ("fixture", "fix", "function"), "fix", loop=True, plugins=_ASYNCIO),
    Place("async_fixture_teardown", """
        import pytest_asyncio
        @pytest_asyncio.fixture
        async def fix():
            yield
            MAKE
            CLOSE
        @pytest.mark.asyncio
        async def test_last(fix): pass
        """, ("fixture", "fix", "function"), "fix", loop=True, plugins=_ASYNCIO),
    Place("async_module_fixture", """
        import pytest_asyncio
        pytestmark = pytest.mark.asyncio(loop_scope="module")
        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def fix():
            MAKE
            yield
            CLOSE
        async def test_first(fix): pass
        async def test_last(): pass
        """, ("fixture", "fix", "module"), "fix", "test_last", "test_first", loop=True,
        plugins=_ASYNCIO),
    Place("isolated_asyncio_test", """
        class Case(unittest.IsolatedAsyncioTestCase):
            async def test_last(self):
                MAKE
                CLOSE
        """, ("test", "", "function"), "test_last", "Case::test_last", "Case::test_last",
        loop=True),
    Place("isolated_asyncio_set_up", """
        class Case(unittest.IsolatedAsyncioTestCase):
            async def asyncSetUp(self):
                MAKE
                KEEP.append(locals())
            async def asyncTearDown(self):
                globals().update(KEEP.pop())
                CLOSE
            async def test_last(self): pass
        """, ("fixture", "asyncSetUp", "function"), "asyncSetUp", "Case::test_last",
        "Case::test_last", loop=True),
    Place("anyio_test", """
        @pytest.fixture
        def anyio_backend(): return "asyncio"
        @pytest.mark.anyio
        async def test_last():
            MAKE
            CLOSE
        """, ("test", "", "function"), "test_last", loop=True, plugins=("anyio",)),
    Place("anyio_fixture", """
        @pytest.fixture
        def anyio_backend(): return "asyncio"
        @pytest.fixture
        async def fix():
            MAKE
            yield
            CLOSE
        @pytest.mark.anyio
        async def test_last(fix): pass
        """, ("fixture", "fix", "function"), "fix", loop=True, plugins=("anyio",)),
)  # fmt: skip

# Files are collected in this order; what belongs to the session shows at the last of all tests.
END = "test_zz_end.py::test_end"


def file_name(leak: Leak) -> str:
    """Return the name of the file for a leak."""
    return f"test_{leak.name}.py"


def file_of(place: Place, leak: Leak, *, closed: bool) -> str:
    """Return a test file in which the leak stands at the place.

    Args:
        place: where.
        leak: what.
        closed: whether the thing is closed where it ought to be.
    """
    lines = HEAD.strip().splitlines()
    for line in textwrap.dedent(place.text).strip().replace("{x}", leak.name).splitlines():
        word = line.strip()
        indent = " " * (len(line) - len(line.lstrip()))
        if word == "MAKE":
            lines += textwrap.indent(_made(leak, closed=closed), indent).splitlines()
        elif word == "CLOSE":
            lines += textwrap.indent((closed and leak.close) or "pass", indent).splitlines()
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _made(leak: Leak, *, closed: bool) -> str:
    if closed and leak.kind == "unclosed":  # to close these is not to drop them
        lines = leak.make.splitlines()
        return "\n".join([*lines[:-1], lines[-1].replace("del ", "") + ".close()"])
    return leak.make


def expected_of(place: Place, leak: Leak) -> Expected:
    """Return who a finding of this leak in this place has to name."""
    file = file_name(leak)

    def full(test: str) -> str:
        return END if test == "end" else f"{file}::{test}"

    kind, name, scope = place.owner
    return Expected(
        type=kind,
        name=name.replace("{x}", leak.name) or full(place.shown),
        scope=scope,
        nodeid=full(place.shown),
        made_during=full(place.during),
        function=place.function.replace("{x}", leak.name),
    )
