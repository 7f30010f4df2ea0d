"""Who answers for what: a test, a wider fixture, or the process itself."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import CodeType

    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.model import OwnerInfo
    from pytest_resource_hygiene.tracker import Captured

    Leads = Callable[[Any], bool]

__all__ = ["NO_ENTRIES", "Owner"]

NO_ENTRIES: Mapping[Entry, None] = MappingProxyType({})


class Owner:
    """One test or wider fixture at work.

    Args:
        info: how reports name it.
        nodeid: the test during which it began.
        codes: code objects whose frames prove that it was at work.
        value: returns what the fixture keeps: its value, once there is one, and what its setup put
            elsewhere; what these hold is its own.
        parts: returns code objects of function-scoped fixtures that answer within a test, and how
            to name them; asked only when something leaked.
        place: file, line and function to show when no creation was seen.
        let_go: drops what the host still holds of it and is about to drop anyway.
        handed_out: returns the values that it gave to others: of a fixture its own, of a test those
            of its fixtures.
    """

    # For nearly every test all of these are so until it has ended: only what differs is set.
    codes: frozenset[CodeType] = frozenset()
    value: Callable[[], Iterable[Any]] | None = None
    closed = False
    held: Mapping[Entry, None] = NO_ENTRIES  # a set that keeps its order; see `hold`
    caught: Sequence[tuple[Any, Captured, str]] = ()
    kept: Sequence[Any] = ()  # what must not end before it is judged
    no_numbers: frozenset[int] = frozenset()  # in its value, and no descriptors when it was made
    no_numbers_for_good: frozenset[int] = frozenset()  # the same in variables that are constants

    def __init__(
        self,
        info: OwnerInfo,
        nodeid: str = "",
        *,
        codes: Iterable[CodeType] = (),
        value: Callable[[], Iterable[Any]] | None = None,
        parts: Callable[[], Mapping[CodeType, OwnerInfo]] | None = None,
        place: Callable[[], tuple[str, int, str] | None] | None = None,
        let_go: Callable[[Leads], bool] | None = None,
        handed_out: Callable[[], Iterable[Any]] | None = None,
    ) -> None:
        """Own nothing yet."""
        self._info = info
        self._nodeid = nodeid
        if codes:
            self.codes = frozenset(codes)
        if value is not None:
            self.value = value
        self._parts = parts
        self._place = place
        self._let_go = let_go
        self._handed_out = handed_out

    @property
    def info(self) -> OwnerInfo:
        """How reports name it."""
        return self._info

    @property
    def nodeid(self) -> str:
        """The test during which it began."""
        return self._nodeid

    def hold(self, entry: Entry) -> None:
        """Answer for an entry."""
        if isinstance(self.held, dict):
            self.held[entry] = None
        else:
            self.held = {entry: None}

    def release(self, entry: Entry) -> None:
        """Answer for it no longer."""
        if isinstance(self.held, dict):
            self.held.pop(entry, None)

    def parts(self) -> Mapping[CodeType, OwnerInfo]:
        """Return what answers within it: the function-scoped fixtures of a test."""
        return self._parts() if self._parts is not None else {}

    def place(self) -> tuple[str, int, str] | None:
        """Return file, line and function to show when no creation was seen."""
        return self._place() if self._place is not None else None

    def written_at(self, file: str, line: int) -> tuple[str, int, str] | None:
        """Return file, line and name where generated code was written, if the host knows: a doctest.

        Args:
            file: the name that its code gives for a file, in angle brackets.
            line: of that code.
        """
        return None

    def let_go(self, leads: Leads) -> bool:
        """Have the host drop now what it holds of this owner: a test's arguments, a value.

        What ends with these was never leaked; it was only looked at a moment too early.

        Args:
            leads: says whether an object may be what keeps a suspect; others need not be dropped.

        Returns:
            Whether errors of finalizers were among it, whose frames have held what raised them.
        """
        return self._let_go(leads) if self._let_go is not None else False

    def handed_out(self) -> Iterable[Any]:
        """Return the values that it gave to others, while the host still holds them."""
        return self._handed_out() if self._handed_out is not None else ()

    def uses(self, fixture: Owner) -> bool:
        """Return whether this owner has asked for a wider fixture, or one of those it asked for has."""
        return True

    @property
    def code(self) -> CodeType | None:
        """Code that proves this owner at work without having been admitted; a test's function."""
        return None

    def __repr__(self) -> str:
        return f"<Owner {self.info}>"
