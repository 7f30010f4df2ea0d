"""Who answers for what: a test, a wider fixture, or the process itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import CodeType

    from pytest_resource_hygiene.model import OwnerInfo
    from pytest_resource_hygiene.tracker import Captured

    from .entries import Entry

__all__ = ["Owner"]


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

    __slots__ = (
        "__weakref__", "_handed_out", "_info", "_let_go", "_parts", "_place", "caught", "closed",
        "codes", "held", "kept", "nodeid", "value",
    )  # fmt: skip

    def __init__(
        self,
        info: OwnerInfo,
        nodeid: str = "",
        *,
        codes: Iterable[CodeType] = (),
        value: Callable[[], Iterable[Any]] | None = None,
        parts: Callable[[], Mapping[CodeType, OwnerInfo]] | None = None,
        place: Callable[[], tuple[str, int, str] | None] | None = None,
        let_go: Callable[[], bool] | None = None,
        handed_out: Callable[[], Iterable[Any]] | None = None,
    ) -> None:
        """Own nothing yet."""
        self._info = info
        self.nodeid = nodeid
        self.codes = frozenset(codes)
        self.value = value
        self._parts = parts
        self._place = place
        self._let_go = let_go
        self._handed_out = handed_out
        self.kept: list[Any] = []  # what must not end before it is judged
        self.held: dict[Entry, None] = {}  # a set that keeps its order
        self.caught: list[tuple[Any, Captured, str]] = []
        self.closed = False

    @property
    def info(self) -> OwnerInfo:
        """How reports name it."""
        return self._info

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

    def let_go(self) -> bool:
        """Have the host drop now what it holds of this owner: a test's arguments, a value.

        What ends with these was never leaked; it was only looked at a moment too early.

        Returns:
            Whether errors of finalizers were among it, whose frames have held what raised them.
        """
        return self._let_go() if self._let_go is not None else False

    def handed_out(self) -> Iterable[Any]:
        """Return the values that it gave to others, while the host still holds them."""
        return self._handed_out() if self._handed_out is not None else ()

    @property
    def code(self) -> CodeType | None:
        """Code that proves this owner at work without having been admitted; a test's function."""
        return None

    def __repr__(self) -> str:
        return f"<Owner {self.info}>"
