"""Tests and fixtures as owners: what pytest knows of them, asked only when something leaked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.inventory.owners import Owner
from pytest_resource_hygiene.engine.known.fingerprint import relative
from pytest_resource_hygiene.model import OwnerInfo
from pytest_resource_hygiene.pytest_plugin.fixture_names import (
    function_fixtures,
    name_and_functions,
)
from pytest_resource_hygiene.pytest_plugin.fixture_value import Elsewhere, is_runners, kept_by
from pytest_resource_hygiene.pytest_plugin.user_code import code_of, function_of, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import CodeType

    import pytest

    from pytest_resource_hygiene.engine.inventory.owners import Leads

__all__ = ["FixtureOwner", "TestOwner", "fixture_owner", "waiting_finalizers"]


class TestOwner(Owner):
    """A test item; made for every test, so everything but its identity is looked up when needed."""

    __test__ = False
    error: BaseException | None = None  # of a failed setup, where pytest still holds it
    error_stays = False  # other tests will fail by it
    narrowed: Sequence[pytest.FixtureDef[Any]] = ()  # wider fixtures that end with it all the same

    def __init__(self, item: pytest.Item) -> None:
        """Own nothing yet."""
        self.item = item

    @property
    def nodeid(self) -> str:
        """The test."""
        return self.item.nodeid

    @property
    def info(self) -> OwnerInfo:
        """How reports name it."""
        return OwnerInfo("test", self.nodeid, "function")

    def parts(self) -> Mapping[CodeType, OwnerInfo]:
        """Return the function-scoped fixtures, which answer within their test."""
        return function_fixtures(self.item, self.narrowed)

    def place(self) -> tuple[str, int, str] | None:
        """Return where the test is written."""
        return place_of(function_of(self.item))

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

    def uses(self, fixture: Owner) -> bool:
        """Look for its name among those that pytest has resolved for the test."""
        return fixture.info.name in getattr(self.item, "fixturenames", ())

    def let_go(self, leads: Leads) -> bool:
        """Drop the test's arguments, the records of its log, and the frames of its failure."""
        from pytest_resource_hygiene.pytest_plugin.letting_go import (
            clear_contents,
            clear_frames,
            drop_arguments,
        )

        if self.error_stays:
            clear_frames(self.error)
        else:
            clear_contents(self.error)
        return drop_arguments(self.item, leads)

    @property
    def code(self) -> CodeType | None:
        """The test function's own code: a frame of it proves that the test was at work."""
        return code_of(function_of(self.item))


class FixtureOwner(Owner):
    """A wider fixture.

    Attributes:
        definition: pytest's own object for it.
        elsewhere: what it keeps beside its value.
    """

    definition: pytest.FixtureDef[Any]
    elsewhere: Elsewhere

    def setup_ended(self) -> None:
        """Note what the setup has put elsewhere than into the value, and what no numbers are."""
        self.elsewhere.setup_ended()
        from pytest_resource_hygiene.engine.references.held_numbers import (
            numbers_without_descriptors,
        )

        self.no_numbers = numbers_without_descriptors(self.handed_out())
        variables = self.value() if self.value is not None else ()
        constant = [one for one in variables if type(one) in {int, tuple}]
        self.no_numbers_for_good = numbers_without_descriptors(constant)


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
        item: returns the test that has ended with it, if any, which may hold the value as well.
    """
    name, functions = name_and_functions(fixturedef, request)
    codes = [code for function in functions if (code := code_of(function)) is not None]
    root = str(request.config.rootpath)
    place = next(map(place_of, functions), None)
    elsewhere = Elsewhere(fixturedef, request)
    location = f"{relative(place[0], root)}:{place[1]}" if place else ""
    owner = FixtureOwner(
        OwnerInfo("fixture", name, fixturedef.scope, location),
        nodeid,
        codes=codes,
        value=lambda: [*kept_by(fixturedef), *elsewhere.values()],
        place=lambda: place,
        let_go=lambda leads: _drop_value(fixturedef, item(), leads),
        handed_out=lambda: [fixturedef.cached_result[0]] if fixturedef.cached_result else [],
    )
    owner.definition, owner.elsewhere = fixturedef, elsewhere
    return owner


def _drop_value(fixturedef: Any, item: pytest.Item | None, leads: Leads) -> bool:
    from pytest_resource_hygiene.pytest_plugin.letting_go import drop_arguments

    fixturedef.cached_result = None  # its finalizers have run: `FixtureDef.finish` does it next
    return drop_arguments(item, leads)


def waiting_finalizers(session: pytest.Session, item: pytest.Item | None) -> list[Any]:
    """Return what users have registered to be called when a class, a module or the session ends."""
    stack: dict[Any, Any] = getattr(session._setupstate, "stack", {})  # noqa: SLF001
    return [
        finalizer
        for node, (finalizers, *_) in list(stack.items())
        if node is not item
        for finalizer in finalizers
        if not is_runners(finalizer)
    ]
