"""What `signal.signal` was called with, and where: for blame, and for chains of handlers.

asyncio's runner sets a handler in each test and puts back the interpreter's own. So a call is only
put down, and taken out again when the same function undoes it; what those that are left mean is
asked when a slot has changed.
"""

from __future__ import annotations

import signal
import weakref
from types import BuiltinFunctionType, MethodType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.compiled import speedups

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, ItemsView

    from pytest_resource_hygiene.audit import Site, Sites
    from pytest_resource_hygiene.recorder import Recorder

__all__ = ["Installed", "SignalCalls"]

__tracebackhide__ = True  # an error of a function that is wrapped here is not ours

Installed = tuple["weakref.ref[Any]", "Site"]

_MAX_CALLS = 1_000
_STACK, _WINDOW = 0, 2  # of a `Site`

# Number, reference to the handler, what has to be put back to undo it, and where. None is no handler.
_Call = tuple[int, "weakref.ref[Any] | None", object, "Site"]


class Handling:
    """Stands for `signal.signal`, and takes out a call again that the same function undoes.

    Args:
        original: called first; what it returns is returned.
        sites: tells where.
        often: signals that somebody looks at all the time: what is done to them need not be heard.
        calls: the calls that are put down.
        first: what stands in a slot before anybody has set one, as numbers do: keeping it keeps
            nothing alive.
        refer: returns a reference to a handler; None for what cannot have one or needs none.
        overflow: called after a call that is more than ``limit``.
        limit: a number of calls.

    Attributes:
        others: how many calls were for other signals.
    """

    __slots__ = (
        "__dict__", "_calls", "_first", "_limit", "_often", "_original", "_overflow", "_refer",
        "_sites", "others",
    )  # fmt: skip

    def __init__(
        self,
        original: Callable[[Any, Any], Any],
        sites: Sites,
        often: frozenset[int],
        calls: list[_Call],
        first: object,
        refer: Callable[[Any], weakref.ref[Any] | None],
        overflow: Callable[[], None],
        limit: int,
        /,
    ) -> None:
        self.others = 0
        self._original = original
        self._sites = sites
        self._often = often
        self._calls = calls
        self._first = first
        self._refer = refer
        self._overflow = overflow
        self._limit = limit

    def __call__(self, signalnum: Any, handler: Any) -> Any:
        """Set a handler."""
        former = self._original(signalnum, handler)
        if signalnum in self._often:
            site = self._sites.passing_site(None, 1)
        else:
            self.others += 1
            site = self._sites.site(None, 1)
        calls = self._calls
        if calls and calls[-1][2] is handler and _undoes(calls[-1], signalnum, site):
            calls.pop()
        else:
            self._put_down(signalnum, handler, former, site)
        return former

    def _put_down(self, signalnum: int, handler: Any, former: Any, site: Site) -> None:
        # The type is a question that a handler cannot answer itself.
        is_first = former is self._first or issubclass(type(former), int)
        before = former if is_first else None
        self._calls.append((signalnum, self._refer(handler), before, site))
        if len(self._calls) > self._limit:
            self._overflow()


def _undoes(call: _Call, signalnum: int, site: Site) -> bool:
    """Return whether the function that has made a call before is now at work on the same signal."""
    then, now = call[3][_STACK], site[_STACK]
    return call[0] == signalnum and bool(then and now) and then[0] is now[0]


if not TYPE_CHECKING and speedups is not None:
    Handling = speedups.Handling


class SignalCalls:
    """Wraps `signal.signal`, and remembers what handlers it was given.

    Args:
        recorder: tells where.
        often: signals that somebody else looks at all the time.
    """

    def __init__(self, recorder: Recorder, often: Collection[int]) -> None:
        """Wrap the function."""
        self._recorder = recorder
        self._often = frozenset(often)
        self._calls: list[_Call] = []
        self._handling: Handling | None = None
        self._last: dict[Hashable, Site] = {}
        self._installed: dict[int, list[Installed]] = {}
        recorder.wrap(signal, "signal", self._recording)

    def note(self, key: Hashable) -> None:
        """Take down that the caller's caller has changed a slot by another function."""
        site = self._recorder.site(None, 2)
        self._understand()
        self._last[key] = site

    def last(self, key: Hashable) -> Site | None:
        """Return where a slot was last changed, since all was forgotten."""
        self._understand()
        return self._last.get(key)

    def forget(self) -> None:
        """Drop all but the handlers."""
        self._understand()
        self._last.clear()

    def close(self) -> None:
        """Drop everything: records name tests, and the collector does not look into them."""
        self._calls.clear()
        self._last, self._installed = {}, {}

    def installed(self, number: int) -> list[Installed]:
        """Return the handlers that were installed for a signal and are alive, the latest last."""
        self._understand()
        return self._installed.get(number, [])

    def by_signal(self) -> ItemsView[int, list[Installed]]:
        """Return these for all signals."""
        self._understand()
        return self._installed.items()

    @property
    def others(self) -> int:
        """How many calls were for other signals than those that somebody looks at all the time."""
        return self._handling.others if self._handling is not None else 0

    def _recording(self, original: Callable[[Any, Any], Any]) -> Handling:
        self._handling = Handling(
            original,
            self._recorder,
            self._often,
            self._calls,
            signal.default_int_handler,
            _refer,
            self._understand,
            _MAX_CALLS,
        )
        return self._handling

    def _understand(self) -> None:
        """Go through the calls that were put down."""
        calls = self._calls[:]
        self._calls.clear()
        for signalnum, reference, _, site in calls:
            number = int(signalnum)
            self._last[number] = site
            handler = reference() if reference is not None else None
            if handler is not None and reference is not None:
                self._remember(number, handler, reference, site)

    def _remember(self, number: int, handler: Any, reference: weakref.ref[Any], site: Site) -> None:
        others = []
        for one in self._installed.get(number, ()):
            there = one[0]()
            if there is None:
                continue
            # A method is made anew at each access; what equals what else is the user's code to say.
            if there is handler or (
                type(there) is type(handler) is MethodType and there == handler
            ):
                if one[1][_WINDOW] is site[_WINDOW]:
                    # Put back what was installed in this very window: that is where it was made.
                    site = self._last[number] = one[1]
            else:
                others.append(one)
        self._installed[number] = [*others, (reference, site)]


def _refer(handler: Any) -> weakref.ref[Any] | None:
    """Return a reference to a handler that can be followed: no constant, nothing built in."""
    kind = type(handler)
    if kind is BuiltinFunctionType or issubclass(kind, int):
        return None
    try:
        return weakref.WeakMethod(handler) if kind is MethodType else weakref.ref(handler)
    except TypeError:  # a callable without weak references
        return None
