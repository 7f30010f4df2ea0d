"""Where an owner's own code names what left no other trace: a hook assigned, an epoll made.

Assigning `sys.excepthook` and calling `select.epoll` raise no event, and a class written in C cannot be
wrapped. If just one function of the owner's has the name, it was that one.
"""

from __future__ import annotations

from types import CodeType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from dis import Instruction

__all__ = ["Mention", "assignment_in", "call_in"]


class Mention(NamedTuple):
    """One line that names something.

    Attributes:
        within: which of the functions that were looked at it belongs to.
        place: file, line and function.
    """

    within: CodeType
    place: tuple[str, int, str]


def assignment_in(codes: Iterable[CodeType], name: str) -> Mention | None:
    """Return the only assignment to an attribute of that name, if there is just one.

    Args:
        codes: of the functions in which to look, and in those that are written within them.
        name: of the attribute.
    """
    found = _mentions(codes, {name}, lambda one: one.opname == "STORE_ATTR")
    return found[0] if len({one.place for one in found}) == 1 else None


def call_in(codes: Iterable[CodeType], names: Collection[str]) -> Mention | None:
    """Return the first line that names one of these, if only one of the functions does.

    Args:
        codes: as above.
        names: of functions, classes and constants.
    """
    found = _mentions(codes, names, lambda one: one.opname.startswith("LOAD_"))
    return found[0] if len({one.within for one in found}) == 1 else None


def _mentions(
    codes: Iterable[CodeType], names: Collection[str], fits: Callable[[Instruction], bool]
) -> list[Mention]:
    names = tuple(names)  # a constant need not be hashable
    return [Mention(code, place) for code in codes for place in _lines(code, names, fits)]


def _lines(
    code: CodeType, names: Collection[str], fits: Callable[[Instruction], bool]
) -> Iterator[tuple[str, int, str]]:
    if not set(names).isdisjoint(code.co_names):
        import dis  # takes a while, and is hardly ever needed

        for instruction in dis.get_instructions(code):
            positions = instruction.positions
            if instruction.argval in names and fits(instruction) and positions:
                yield code.co_filename, positions.lineno or code.co_firstlineno, code.co_name
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _lines(constant, names, fits)
