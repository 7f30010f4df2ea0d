"""Async generators that were begun: whoever does not close one leaves its ``finally`` undone."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import answer_of
from pytest_resource_hygiene.recorder import Creation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_resource_hygiene.recorder import Recorder

__all__ = ["BegunGenerators"]

__tracebackhide__ = True  # an error of a function that is wrapped here is not ours


class BegunGenerators:
    """Hears of each async generator when its loop hears of it: at its first step.

    One that is dropped is closed by its loop in a turn or two. So it is listed as long as it is
    there and has not come to its end, unless a pending task goes through it: that one is told.
    """

    def __init__(self, recorder: Recorder) -> None:
        """Wait for asyncio."""
        self._recorder = recorder
        self._begun: list[tuple[weakref.ref[Any], weakref.ref[Any], Any]] = []
        self._unheard: list[weakref.ref[Any]] = []  # loops

    def __bool__(self) -> bool:
        """Return whether any may be there: cheaper than to ask which."""
        return bool(self._begun or self._unheard)

    def hook(self, loop_class: Any) -> None:
        """Hear of those that run on loops of that class."""
        self._recorder.wrap(loop_class, "_asyncgen_firstiter_hook", self._noting)

    def _noting(self, original: Callable[..., None]) -> Callable[..., None]:
        def wrapper(loop: Any, generator: Any) -> None:
            original(loop, generator)
            self.living()
            begun = weakref.ref(generator), weakref.ref(loop), self._recorder.site(None, 1)
            self._begun.append(begun)

        return wrapper

    def take_up(self, loop: weakref.ref[Any]) -> None:
        """Look into a loop that has run before anything here could be heard of."""
        self._unheard.append(loop)

    def living(self) -> list[weakref.ref[Any]]:
        """Return references to those that have not come to their end; a reading."""
        seen = len(self._begun)  # to which other threads may add at any time
        self._begun[:seen] = [one for one in self._begun[:seen] if _is_begun(one[0]())]
        heard = [one[0] for one in self._begun]
        return [*heard, *map(weakref.ref, self._of_unheard())] if self._unheard else heard

    def _of_unheard(self) -> list[Any]:
        loops = [loop for ref in self._unheard if (loop := ref()) is not None]
        begun = [one for loop in loops for one in list(getattr(loop, "_asyncgens", None) or ())]
        return list(filter(_is_begun, begun))

    def listed(self, tasks: Iterable[Any], of: Any = None) -> list[Any]:
        """Return those that wait to be asked for more.

        Args:
            tasks: the pending ones; what these go through is not returned.
            of: a loop; None for all that are not closed.
        """
        unheard = self._of_unheard() if self._unheard and of is None else ()
        found = {id(one): one for one in unheard}
        ours = []  # and not fixtures, which have in their variables what they have made
        for ref, of_loop, how in list(self._begun):
            generator = ref()
            if _is_begun(generator) and _is_alive(of_loop(), of):
                found[id(generator)] = generator
                if not self._recorder.is_foreign(Creation(*how)):
                    ours.append(generator)
        for task in tasks if found else ():
            _leave_out_inner([answer_of(task, "get_coro")], found)
        for generator in ours:
            if id(generator) in found:
                _leave_out_inner([generator], found)
        return list(found.values())

    def creation_of(self, obj: Any) -> Creation | None:
        """Return how one was begun."""
        return next((Creation(*how) for ref, _, how in list(self._begun) if ref() is obj), None)

    def clear(self) -> None:
        """Drop the records."""
        self._begun.clear()


def _is_begun(generator: Any) -> bool:
    return generator is not None and generator.ag_frame is not None


def _is_alive(loop: Any, wanted: Any) -> bool:
    return wanted in {None, loop} and answer_of(loop, "is_closed", True) is False


def _leave_out_inner(parts: list[Any], found: dict[int, Any]) -> None:
    """Leave out what the first of these parts of a chain goes through."""
    first = parts[0]
    for part in parts:  # which grows
        inner = [id(one) for one in gc.get_referents(part) if id(one) in found and one is not first]
        parts += [found.pop(one) for one in dict.fromkeys(inner)]
        parts += _awaited(part)


def _awaited(part: Any) -> list[Any]:
    values = [getattr(part, name, None) for name in ("cr_await", "ag_await", "gi_yieldfrom")]
    return [value for value in values if value is not None]
