"""Fixtures by the functions that users wrote for them; those of xunit go by their own names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.known.fingerprint import relative
from pytest_resource_hygiene.model import OwnerInfo
from pytest_resource_hygiene.objects import attribute_of
from pytest_resource_hygiene.pytest_plugin.user_code import code_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import CodeType

    import pytest

__all__ = ["function_fixtures", "name_and_functions"]

# Wider fixtures that pytest makes of xunit functions, and the functions.
_XUNIT = {
    "_xunit_setup_module_fixture_": ("setup_module", "teardown_module", "setUpModule", "tearDownModule"),
    "_unittest_setUpModule_fixture_": ("setUpModule", "tearDownModule"),
    "_xunit_setup_class_fixture_": ("setup_class", "teardown_class"),
    "_unittest_setUpClass_fixture_": ("setUpClass", "tearDownClass"),
}  # fmt: skip
_XUNIT_OF_TESTS = (
    "setup_method", "teardown_method", "setup_function", "teardown_function",
    "setUp", "tearDown", "asyncSetUp", "asyncTearDown",
)  # fmt: skip
_UNITTESTS_OWN = ("unittest/case.py", "async_case.py")


def name_and_functions(fixturedef: pytest.FixtureDef[Any], request: Any) -> tuple[str, list[Any]]:
    """Return a wider fixture's name and functions."""
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
    """Return whether it is unittest's own, which does nothing."""
    return str(attribute_of(function, "__module__")).startswith("unittest.")


def function_fixtures(
    item: Any, narrowed: Iterable[pytest.FixtureDef[Any]] = ()
) -> Mapping[CodeType, OwnerInfo]:
    """Return the fixtures that live as long as a test and answer within it, by their code.

    Args:
        item: the test.
        narrowed: wider ones that were set up for it alone.
    """
    found: dict[CodeType, OwnerInfo] = {}
    own = {"function"} if getattr(item, "cls", None) else {"function", "class"}
    lasting = [one for one in _fixtures_of(item) if one.scope in own]
    for fixturedef in (*lasting, *narrowed):
        code = code_of(fixturedef.func)
        if code is not None:
            where = _location(code, item)
            found[code] = OwnerInfo("fixture", fixturedef.argname, fixturedef.scope, where)
    for holder in (getattr(item, "cls", None), getattr(item, "module", None)):
        for name in _XUNIT_OF_TESTS:
            code = code_of(getattr(holder, name, None))
            if code is not None and not code.co_filename.endswith(_UNITTESTS_OWN):
                found.setdefault(
                    code, OwnerInfo("fixture", name, "function", _location(code, item))
                )
    return found


def _location(code: CodeType, item: Any) -> str:
    return f"{relative(code.co_filename, str(item.config.rootpath))}:{code.co_firstlineno}"


def _fixtures_of(item: Any) -> Iterable[Any]:
    """Return the fixtures that an item asks for by name, and those it got by ``getfixturevalue``."""
    info = getattr(item, "_fixtureinfo", None)
    for fixturedefs in getattr(info, "name2fixturedefs", {}).values():
        yield from fixturedefs
    yield from getattr(getattr(item, "_request", None), "_fixture_defs", {}).values()
