"""A warning filter that matches nothing and hears everything.

It is in `warnings.filters`, which others read, copy, pickle for their workers and set again there, as
scikit-learn does. So it is made of what every filter is made of: a pattern, and a class of warnings.
"""

from __future__ import annotations

import copyreg
import re
import weakref
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["is_spy", "make_spy"]

_NOTHING = "(?!)"


class _Hearing(type):
    """Makes ``issubclass(category, NeverIssued)`` the moment at which a warning is seen."""

    heard: tuple[weakref.WeakMethod[Callable[[str], None]], str] | None = None

    def __subclasscheck__(cls, category: type) -> bool:
        heard, cls.heard = cls.heard, None  # by the pattern of the same filter, just before
        if heard is not None and category is ResourceWarning:
            tell = heard[0]()
            if tell is not None:
                tell(heard[1])
        return False


# In another process nobody listens, and this package need not be there: a plain class will do.
copyreg.pickle(_Hearing, lambda _: (itemgetter(0), ((Warning,),)))


class NeverIssued(Warning, metaclass=_Hearing):
    """The category of the filter; of no other class it is the base, and nobody issues it."""


class _Pattern:
    """Stands where a filter has its compiled pattern for the message; matches nothing."""

    pattern = _NOTHING
    flags = 0

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = weakref.WeakMethod(tell)

    def match(self, text: str) -> None:
        NeverIssued.heard = self._tell, text

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled as a pattern that matches nothing."""
        return re.compile, (_NOTHING,)


def make_spy(tell: Callable[[str], None]) -> Any:
    """Return a filter that tells a method the text of each ``ResourceWarning``."""
    return "default", _Pattern(tell), NeverIssued, None, 0


def is_spy(entry: Any) -> bool:
    """Return whether a filter is one of these, or was made from one."""
    return entry[2] is NeverIssued
