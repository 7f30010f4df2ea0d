"""Tests and fixtures as owners: what pytest knows of them, asked only when something leaked."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.fingerprint import relative
from pytest_resource_hygiene.engine.owners import Owner
from pytest_resource_hygiene.model import OwnerInfo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import CodeType

    import pytest

__all__ = ["TestOwner", "fixture_owner"]

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

    __slots__ = ("item",)
    __test__ = False

    def __init__(self, item: pytest.Item) -> None:
        """Own nothing yet."""
        self.item = item
        self.nodeid = item.nodeid
        self.codes = _NO_CODES
        self.value = None
        self.held = {}
        self.caught = []
        self.closed = False

    @property
    def info(self) -> OwnerInfo:  # type: ignore[override]
        """How reports name it."""
        return OwnerInfo("test", self.nodeid, "function")

    @property
    def parts(self) -> Any:
        """Function-scoped fixtures, which answer within their test."""
        return lambda: _function_fixtures(self.item)

    @property
    def place(self) -> Any:
        """Where the test is written."""
        return lambda: _place(_function(self.item))


    @property
    def code(self) -> CodeType | None:  # type: ignore[override]
        """The test function's own code: a frame of it proves that the test was at work."""
        return _code(_function(self.item))


_NO_CODES: frozenset[CodeType] = frozenset()


def fixture_owner(fixturedef: pytest.FixtureDef[Any], request: Any, nodeid: str) -> Owner:
    """Make the owner of a wider fixture."""
    name, functions = _named(fixturedef, request)
    codes = [code for function in functions if (code := _code(function)) is not None]
    root = str(request.config.rootpath)
    place = next(map(_place, functions), None)
    location = f"{relative(place[0], root)}:{place[1]}" if place else ""
    return Owner(
        OwnerInfo("fixture", name, fixturedef.scope, location),
        nodeid,
        codes=codes,
        value=lambda: _value(fixturedef),
        place=lambda: place,
    )


def _value(fixturedef: pytest.FixtureDef[Any]) -> Any:
    result = fixturedef.cached_result
    return result[0] if result is not None else None


def _named(fixturedef: pytest.FixtureDef[Any], request: Any) -> tuple[str, list[Any]]:
    """Return the fixture's name and functions; xunit functions by their own names."""
    for prefix, names in _XUNIT.items():
        if fixturedef.argname.startswith(prefix):
            holder = request.module if "odule" in prefix else request.cls
            found = [(name, getattr(holder, name)) for name in names if hasattr(holder, name)]
            written = [(name, function) for name, function in found if not _is_empty(function)]
            if written:
                return written[0][0], [function for _, function in written]
    return fixturedef.argname, [fixturedef.func]


def _is_empty(function: Any) -> bool:
    return getattr(function, "__module__", "").startswith("unittest.")


def _function_fixtures(item: Any) -> Mapping[CodeType, OwnerInfo]:
    found: dict[CodeType, OwnerInfo] = {}
    info = getattr(item, "_fixtureinfo", None)
    for fixturedefs in getattr(info, "name2fixturedefs", {}).values():
        for fixturedef in fixturedefs:
            code = _code(fixturedef.func)
            if fixturedef.scope == "function" and code is not None:
                root = str(item.config.rootpath)
                location = f"{relative(code.co_filename, root)}:{code.co_firstlineno}"
                found[code] = OwnerInfo("fixture", fixturedef.argname, "function", location)
    for holder in (getattr(item, "cls", None), getattr(item, "module", None)):
        for name in _XUNIT_FUNCTIONS:
            code = _code(getattr(holder, name, None))
            if code is not None and not code.co_filename.endswith(("unittest/case.py", "async_case.py")):
                found.setdefault(code, OwnerInfo("fixture", name, "function"))
    return found


def _function(item: Any) -> Any:
    return getattr(item, "obj", None) or getattr(item, "function", None)


def _unwrapped(function: Any) -> Any:
    try:
        function = inspect.unwrap(function)
    except ValueError:
        pass
    function = getattr(function, "func", function)  # functools.partial
    return getattr(function, "__func__", function)


def _code(function: Any) -> CodeType | None:
    return getattr(_unwrapped(function), "__code__", None) if function is not None else None


def _place(function: Any) -> tuple[str, int, str] | None:
    code = _code(function)
    return (code.co_filename, code.co_firstlineno, code.co_name) if code is not None else None
