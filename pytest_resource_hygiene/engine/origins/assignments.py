"""Where an owner's own code assigns to an attribute: assigning `sys.excepthook` leaves no other trace."""

from __future__ import annotations

from types import CodeType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Assignment", "assignment_in"]


class Assignment(NamedTuple):
    """One line that assigns to an attribute.

    Attributes:
        within: which of the functions that were looked at it belongs to.
        place: file, line and function.
    """

    within: CodeType
    place: tuple[str, int, str]


def assignment_in(codes: Iterable[CodeType], name: str) -> Assignment | None:
    """Return the only assignment to an attribute of that name, if there is just one.

    Args:
        codes: of the functions in which to look, and in those that are written within them.
        name: of the attribute.
    """
    found = [Assignment(code, place) for code in codes for place in _assignments(code, name)]
    return found[0] if len({one.place for one in found}) == 1 else None


def _assignments(code: CodeType, name: str) -> Iterator[tuple[str, int, str]]:
    if name in code.co_names:
        import dis  # takes a while, and is hardly ever needed

        for instruction in dis.get_instructions(code):
            positions = instruction.positions
            if instruction.opname == "STORE_ATTR" and instruction.argval == name and positions:
                yield code.co_filename, positions.lineno or code.co_firstlineno, code.co_name
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _assignments(constant, name)
