"""Tests and fixtures as owners: what pytest knows of them, asked only when something leaked."""

from __future__ import annotations

import inspect
import sys
import traceback
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any

from _pytest import threadexception, unraisableexception
from _pytest.logging import caplog_records_key

from pytest_resource_hygiene.engine.fingerprint import relative
from pytest_resource_hygiene.engine.owners import Owner
from pytest_resource_hygiene.model import OwnerInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import CodeType

    import pytest

__all__ = ["TestOwner", "fixture_owner", "waiting_finalizers"]

_XUNIT = {
    "_xunit_setup_module_fixture_": ("setup_module", "teardown_module", "setUpModule", "tearDownModule"),
    "_unittest_setUpModule_fixture_": ("setUpModule", "tearDownModule"),
    "_xunit_setup_class_fixture_": ("setup_class", "teardown_class"),
    "_unittest_setUpClass_fixture_": ("setUpClass", "tearDownClass"),
}  # fmt: skip
_XUNIT_FUNCTIONS = (
    "setup_method", "teardown_method", "setup_function", "teardown_function",
    "setUp", "tearDown", "asyncSetUp", "asyncTearDown",
)  # fmt: skip


class TestOwner(Owner):
    """A test item; made for every test, so everything but its identity is looked up when needed."""

    __slots__ = ("error", "item")
    __test__ = False

    def __init__(self, item: pytest.Item) -> None:
        """Own nothing yet."""
        self.item = item
        self.error: BaseException | None = None  # of a failed setup, where pytest still holds it
        self.nodeid = item.nodeid
        self.codes = _NO_CODES
        self.kept = _NOTHING
        self.value = None
        self.held = {}
        self.caught = []
        self.closed = False

    @property
    def info(self) -> OwnerInfo:
        """How reports name it."""
        return OwnerInfo("test", self.nodeid, "function")

    def parts(self) -> Mapping[CodeType, OwnerInfo]:
        """Return the function-scoped fixtures, which answer within their test."""
        return _function_fixtures(self.item)

    def place(self) -> tuple[str, int, str] | None:
        """Return where the test is written."""
        return _place(_function(self.item))

    def written_at(self, file: str, line: int) -> tuple[str, int, str] | None:
        """Return the line of the docstring or text file that an example of a doctest comes from."""
        doctest: Any = getattr(self.item, "dtest", None)
        name, _, number = file.removeprefix("<doctest ").removesuffix("]>").rpartition("[")
        if doctest is None or name != doctest.name or not number.isdigit():
            return None
        example = doctest.examples[int(number)]
        if doctest.filename is None or doctest.lineno is None:
            return None
        return doctest.filename, doctest.lineno + example.lineno + line, name

    def handed_out(self) -> Iterable[Any]:
        """Return the test's arguments: a wider fixture's value is open as well, and no suspect."""
        arguments = getattr(self.item, "funcargs", None)
        return list(arguments.values()) if isinstance(arguments, dict) else ()

    def let_go(self) -> bool:
        """Drop the test's arguments, the records of its log, and the frames of its failure."""
        clear_frames(self.error)
        return drop_arguments(self.item)

    @property
    def code(self) -> CodeType | None:
        """The test function's own code: a frame of it proves that the test was at work."""
        return _code(_function(self.item))


class FixtureOwner(Owner):
    """A wider fixture."""

    __slots__ = ("elsewhere",)
    elsewhere: Elsewhere

    def setup_ended(self) -> None:
        """Note what the setup has put elsewhere than into the value."""
        self.elsewhere.setup_ended()


# Up to pytest 8.3 there are none: such an exception is local to a context of pytest's.
_WAITING = [
    key
    for module, name in (
        (unraisableexception, "unraisable_exceptions"),
        (threadexception, "thread_exceptions"),
    )
    if (key := getattr(module, name, None)) is not None
]
_NO_CODES: frozenset[CodeType] = frozenset()
_NOTHING: list[Any] = []


def drop_arguments(item: Any) -> bool:
    """Drop what pytest holds of a test that has been torn down, as it will do in a moment itself.

    ``runtestprotocol`` keeps the values of fixtures until the last report is written, and the frames
    of a failed test, with all their locals, until the next test is called. What a finalizer or a
    thread raised waits, with its frames, until the end of the teardown.

    Returns:
        Whether there was any such error: what its frames have held may be a cycle.
    """
    arguments = getattr(item, "funcargs", None)
    if isinstance(arguments, dict):
        arguments.clear()
    stash = getattr(item, "stash", None)
    if stash is not None:
        for records in stash.get(caplog_records_key, {}).values():
            records.clear()
    clear_frames(getattr(sys, "last_value", None))
    stash = item.config.stash if item is not None else {}
    waiting = [meta for key in _WAITING for meta in list(stash.get(key, ()))]
    for meta in waiting:
        clear_frames(getattr(meta, "exc_value", None))  # its text is written already
    return bool(waiting)


def clear_frames(error: BaseException | None) -> None:
    """Drop the locals of the frames of an exception and of those that led to it."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            with suppress(RuntimeError):  # of a generator that is running
                frame.clear()
                _ = frame.f_locals  # up to Python 3.12 a copy, made when somebody asked; made anew
        error = error.__cause__ or error.__context__


def fixture_owner(
    fixturedef: pytest.FixtureDef[Any],
    request: Any,
    nodeid: str,
    item: Callable[[], pytest.Item | None] = lambda: None,
) -> FixtureOwner:
    """Make the owner of a wider fixture.

    Args:
        fixturedef: the fixture.
        request: its request.
        nodeid: the test for which it is set up.
        item: returns the test that runs, which may hold the value as well.
    """
    name, functions = _named(fixturedef, request)
    codes = [code for function in functions if (code := _code(function)) is not None]
    root = str(request.config.rootpath)
    place = next(map(_place, functions), None)
    elsewhere = Elsewhere(fixturedef, request)
    location = f"{relative(place[0], root)}:{place[1]}" if place else ""
    owner = FixtureOwner(
        OwnerInfo("fixture", name, fixturedef.scope, location),
        nodeid,
        codes=codes,
        value=lambda: [*_value(fixturedef), *elsewhere.values()],
        place=lambda: place,
        let_go=lambda: _drop_value(fixturedef, item()),
        handed_out=lambda: [fixturedef.cached_result[0]] if fixturedef.cached_result else [],
    )
    owner.elsewhere = elsewhere
    return owner


def _drop_value(fixturedef: Any, item: pytest.Item | None) -> bool:
    fixturedef.cached_result = None  # its finalizers have run: `FixtureDef.finish` does it next
    return drop_arguments(item)


def waiting_finalizers(session: pytest.Session, item: pytest.Item | None) -> list[Any]:
    """Return what users have registered to be called when a class, a module or the session ends."""
    stack: dict[Any, Any] = getattr(session._setupstate, "stack", {})  # noqa: SLF001
    return [
        finalizer
        for node, (finalizers, *_) in list(stack.items())
        if node is not item
        for finalizer in finalizers
        if not _is_runners(finalizer)
    ]


def _is_runners(finalizer: Any) -> bool:
    function = getattr(finalizer, "func", finalizer)
    return str(getattr(function, "__module__", "")).startswith("_pytest.")


def _value(fixturedef: Any) -> list[Any]:
    """Return the fixture's value, and the locals of its generator, which waits at its ``yield``.

    And what was registered to be called at its end, by whomever.
    """
    result = fixturedef.cached_result
    kept = [result[0]] if result is not None else []
    for finalizer in fixturedef._finalizers:  # noqa: SLF001 - nothing else leads to the generator
        if not _is_runners(finalizer):
            kept.append(finalizer)
        for argument in getattr(finalizer, "args", ()):
            frame = getattr(argument, "gi_frame", None)
            if frame is not None:
                kept += frame.f_locals.values()
    # A class or a module is no value: what tests bind in it is not the fixture's.
    return [one for one in kept if not isinstance(one, (type, ModuleType))]


class Elsewhere:
    """What a fixture's setup has bound in its class or module: ``cls.client``, a ``global``.

    xunit functions have no other way to keep anything.
    """

    def __init__(self, fixturedef: Any, request: Any) -> None:
        """Remember what is bound before the setup."""
        function = _unwrapped(fixturedef.func)
        self._class = request.cls if fixturedef.scope == "class" else None
        self._spaces: list[Mapping[str, Any]] = []
        if fixturedef.scope == "class":
            self._spaces.append(vars(request.cls))
        elif fixturedef.scope == "module":
            self._spaces.append(vars(request.module))
        space = getattr(function, "__globals__", None)
        if space is not None and not any(space is one for one in self._spaces):
            self._spaces.append(space)
        self._before = [{name: id(value) for name, value in s.items()} for s in self._spaces]
        self._bound: list[dict[str, int]] | None = None

    def setup_ended(self) -> None:
        """Note which names the setup has bound."""
        self._bound = [
            {name: id(value) for name, value in space.items() if before.get(name) != id(value)}
            for space, before in zip(self._spaces, self._before, strict=True)
        ]
        self._before = []

    def values(self) -> list[Any]:
        """Return what was bound by the setup and still is, and what unittest ends with the class."""
        return [
            *getattr(self._class, "_class_cleanups", ()),  # those of ``addClassCleanup``
            *self._still_bound(),
        ]

    def _still_bound(self) -> list[Any]:
        return [
            space[name]
            for space, bound in zip(self._spaces, self._bound or (), strict=False)
            for name, identity in bound.items()
            if name in space and id(space[name]) == identity
        ]


def _named(fixturedef: pytest.FixtureDef[Any], request: Any) -> tuple[str, list[Any]]:
    """Return the fixture's name and functions; xunit functions by their own names."""
    for prefix, names in _XUNIT.items():
        if fixturedef.argname.startswith(prefix):
            holder = request.module if "odule" in prefix else request.cls
            found = [(name, getattr(holder, name)) for name in names if hasattr(holder, name)]
            written = [(name, function) for name, function in found if not _is_empty(function)]
            if written:
                return written[0][0], [function for _, function in written]
            return fixturedef.argname, []  # the runner's own function stands for nobody's
    return fixturedef.argname, [fixturedef.func]


def _is_empty(function: Any) -> bool:
    return getattr(function, "__module__", "").startswith("unittest.")


def _function_fixtures(item: Any) -> Mapping[CodeType, OwnerInfo]:
    found: dict[CodeType, OwnerInfo] = {}
    own = {"function"} if getattr(item, "cls", None) else {"function", "class"}
    for fixturedef in _fixtures_of(item):
        code = _code(fixturedef.func)
        if fixturedef.scope in own and code is not None:
            root = str(item.config.rootpath)
            location = f"{relative(code.co_filename, root)}:{code.co_firstlineno}"
            found[code] = OwnerInfo("fixture", fixturedef.argname, fixturedef.scope, location)
    for holder in (getattr(item, "cls", None), getattr(item, "module", None)):
        for name in _XUNIT_FUNCTIONS:
            code = _code(getattr(holder, name, None))
            if code is not None and not code.co_filename.endswith(
                ("unittest/case.py", "async_case.py")
            ):
                found.setdefault(code, OwnerInfo("fixture", name, "function"))
    return found


def _fixtures_of(item: Any) -> Iterable[Any]:
    """Return the fixtures that an item asks for by name, and those it got by ``getfixturevalue``."""
    info = getattr(item, "_fixtureinfo", None)
    for fixturedefs in getattr(info, "name2fixturedefs", {}).values():
        yield from fixturedefs
    yield from getattr(getattr(item, "_request", None), "_fixture_defs", {}).values()


def _function(item: Any) -> Any:
    return getattr(item, "obj", None) or getattr(item, "function", None)


def _unwrapped(function: Any) -> Any:
    with suppress(ValueError):  # a decorator that wraps itself
        function = inspect.unwrap(function)
    function = getattr(function, "func", function)  # functools.partial
    return getattr(function, "__func__", function)


def _code(function: Any) -> CodeType | None:
    return getattr(_unwrapped(function), "__code__", None) if function is not None else None


def _place(function: Any) -> tuple[str, int, str] | None:
    code = _code(function)
    return (code.co_filename, code.co_firstlineno, code.co_name) if code is not None else None
