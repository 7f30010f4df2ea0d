"""Whether anything has happened since the last time that was asked: the whole of the happy path.

What makes an audit event or passes through a wrapped function is taken down by the recorder. Most
of that lasts, and has to be looked at; what passes, as the loop and the tasks of an async test do,
only has to be over. All else is asked for by probes: functions without arguments, whose answers are
compared with the last ones. In C where that was compiled: between two tests a runner goes through
megabytes of its own, and each object that is touched then comes from far away.
"""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.compiled import speedups
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable

    from pytest_resource_hygiene.audit import Sites

__all__ = ["FUNCTION", "ID", "LENGTH", "Passing", "Quiet", "places_probe"]

ID = "i"
"""What stands in a place, by its id: to compare it could run anybody's code."""

FUNCTION = "f"
"""As `ID`, but of a method its function: the object that it is bound to may be new each time."""

LENGTH = "n"
"""How many there are in a list; -1 for anything else."""


def places_probe(places: tuple[tuple[dict[str, Any], str, str], ...]) -> Callable[[], object]:
    """Ask for what modules and objects hold by a name, which is set without any event.

    Args:
        places: each a dictionary, a name in it, and which fact is wanted: `ID`, `FUNCTION` or
            `LENGTH`.
    """
    return lambda: [_fact(names.get(name), fact) for names, name, fact in places]


def _fact(value: Any, fact: str) -> int:
    if fact == LENGTH:
        return len(value) if type(value) is list else -1
    if fact == FUNCTION and type(value) is MethodType:
        return id(value.__func__)
    return id(value)


class Passing:
    """Records of what is over at the end of most tests.

    Args:
        records: each a tuple; others may add to them at any time.
        place: where in a record there is a weak reference to what it is of.
        is_over: returns whether that is over, if it is still there.
    """

    def __init__(
        self, records: deque[Any] | list[Any], place: int, is_over: Callable[[Any], object], /
    ) -> None:
        """Ask nothing yet."""
        self._records = records
        self._place = place
        self._is_over = is_over
        self._seen = 0

    def all_over(self) -> bool:
        """Return whether everything is over."""
        records = list(self._records)
        self._seen = len(records)
        for record in records:
            thing = record[self._place]()
            if thing is not None and not self._is_over(thing):
                return False
        return True

    def drop(self) -> None:
        """Drop the records that were asked for."""
        if len(self._records) == self._seen:
            self._records.clear()


class Quiet:
    """Callable that returns whether nothing has happened since it was last called.

    If anything that lasts was taken down it asks no probe: whoever looks then sees all of it.

    Args:
        sites: tell whether anything was taken down.
        passing: the records of what has to be over; more may come.

    Attributes:
        probes: what is asked for what no event tells of.
        seconds: that `close` has taken.
    """

    def __init__(self, sites: Sites, passing: list[Passing], /) -> None:
        """Be not quiet at first."""
        self._sites = sites
        self._passing = passing
        self._pulse: object = None
        self._lasting: object = None
        self._answers: list[object] | None = None
        self.seconds = 0.0
        self.probes: tuple[Callable[[], object], ...] = ()

    def ask_for(self, probes: Iterable[Callable[[], object]], /) -> None:
        """Ask these from now on; it is not quiet when they are asked first."""
        self.probes = tuple(probes)
        self._answers = None

    def __call__(self) -> bool:
        """Compare with the last time."""
        pulse, self._pulse = self._pulse, self._sites.pulse
        lasting, self._lasting = self._lasting, self._sites.lasting
        if lasting != self._lasting:
            return False
        passing = list(self._passing) if pulse != self._pulse else []
        last, self._answers = self._answers, None
        try:
            if not all(one.all_over() for one in passing):
                self._answers = last
                return False
            answers = [probe() for probe in self.probes]
        except Exception:  # noqa: BLE001 - a closed descriptor, anybody's class: who lists will tell
            return False
        self._answers = answers
        if answers != last:
            return False
        for one in passing:  # not before: whoever looks wants to know how it was made
            one.drop()
        return True

    def close(self, owner: Any, window: object, /) -> bool:
        """End the window of an owner if nothing has happened in it; return whether that is so.

        It is so of one that was ended before. If not, whoever asks next is told of what has happened.

        Args:
            owner: whose window it is; with ``held``, ``caught`` and ``closed``.
            window: the one that is open from then on.
        """
        if owner.closed:
            return True
        began = System.perf_counter()
        quiet = self()
        if not quiet:
            self._lasting = None  # unlike any to come
        closes = quiet and not owner.held and not owner.caught
        if closes:
            owner.closed = True
            self._sites.end(owner, window)
        self.seconds += System.perf_counter() - began
        return closes


if not TYPE_CHECKING and speedups is not None:
    places_probe, Passing, Quiet = speedups.places_probe, speedups.Passing, speedups.Quiet
