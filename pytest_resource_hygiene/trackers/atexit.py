"""Callbacks registered to run at exit.

The interpreter does not list them, and its counter never goes down, so registrations are recorded
as they are made. What bypasses the wrapped function is noticed by the counter. Only code that was
there before us has the original, such as the test runner (older ones register the removal of their
temporary folders so), and nobody knows who called it: that is a note.
"""

from __future__ import annotations

import atexit
import weakref
from types import MethodType
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

from pytest_resource_hygiene.objects import attribute_of, code_of, is_a
from pytest_resource_hygiene.tracker import Captured, Description, Moment, Tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from types import CodeType

    from pytest_resource_hygiene.recorder import Creation, Recorder

__tracebackhide__ = True  # an error of a function that is wrapped here is not ours


_MAX_TAKEN_OUT = 100  # what is put in again comes soon


class ExitTracker(Tracker):
    """Callbacks by registration."""

    kind = "atexit"
    title = "exit callback"
    rank = 20
    settles = False
    collectable = False

    def __init__(self) -> None:
        """Wait for `start`."""
        self._serial = 0
        self._unseen = 0
        self._registered: dict[Hashable, tuple[Any, Creation | None]] = {}
        # Weakly: whoever takes a callback out may count on its object to go.
        self._taken_out: dict[Hashable, tuple[Callable[[], Any], Creation | None]] = {}
        self._recorder: Recorder | None = None
        self._base = 0

    def start(self, recorder: Recorder) -> None:
        """Wrap registration and its undoing."""
        self._recorder = recorder
        self._base = _count()
        recorder.wrap(atexit, "register", self._registering)
        recorder.wrap(atexit, "unregister", self._unregistering)

    def _registering(self, original: Any) -> Any:
        def register(func: Any, /, *args: Any, **kwargs: Any) -> Any:
            result = original(func, *args, **kwargs)
            assert self._recorder is not None
            self._serial += 1
            again = next(
                (key for key, one in self._taken_out.items() if _is_same(one[0](), func)), None
            )
            if again is None:
                self._registered[self._serial] = func, self._recorder.creation(None)
            else:  # moved to the end, as `multiprocessing.get_logger` does with its own
                self._registered[again] = func, self._taken_out.pop(again)[1]
            return result

        return register

    def _unregistering(self, original: Any) -> Any:
        def unregister(func: Any, /) -> None:
            original(func)
            for key, (known, _) in list(self._registered.items()):
                if _is_same(known, func):
                    self._taken_out[key] = _weakly(known), self._registered.pop(key)[1]
            while len(self._taken_out) > _MAX_TAKEN_OUT:
                del self._taken_out[next(iter(self._taken_out))]
            assert self._recorder is not None
            self._recorder.stir()

        return unregister

    def reading(self) -> object:
        """Return registrations recorded, alive, and counted by the interpreter."""
        return self._serial, len(self._registered), _count()

    def probes(self) -> Collection[Callable[[], object]]:
        """Ask the interpreter's counter for what was registered past the wrapped function."""
        return (_count,)

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List what was recorded and is still registered, by number: no listing keeps a callback."""
        self._base += self._unrecorded()  # all that is told of them was told by `drain`
        return {key: key for key in self._registered}

    def forget(self) -> None:
        """Forget what was taken out: put in again later, it is new."""
        self._taken_out.clear()

    def _unrecorded(self) -> int:
        """Return how many more the interpreter has counted; less than none after a clearing."""
        return _count() - self._base - self._serial

    def drain(self) -> Collection[Captured]:
        """Return a note on each registration that was counted and not recorded."""
        caught = []
        for _ in range(self._unrecorded()):
            self._unseen += 1
            key = "unrecorded", self._unseen
            caught.append(Captured(key, None, severity="note", description=_UNRECORDED))
        self._base += len(caught)
        return caught

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Return who registered it."""
        return self._known(key)[1]

    def anchor(self, key: Hashable, value: Any) -> Any:
        """Return the callback."""
        return self._known(key)[0]

    def kept_as(self, key: Hashable, value: Any) -> Any:
        """Return the object whose method the callback is."""
        callback = self._known(key)[0]
        return callback.__self__ if is_a(callback, MethodType) else None

    def code(self, key: Hashable, value: Any) -> CodeType | None:
        """Return the callback's code, if it is a function."""
        return code_of(self._known(key)[0])

    def is_ours(self, key: Hashable, value: Any) -> bool:
        """Return whether the test runner registered it for itself, whoever called that.

        A fixture that is the first to call ``tmp_path_factory`` has pytest register its cleaning.
        """
        creation = self._known(key)[1]
        return self._recorder is not None and self._recorder.is_by_tool(creation)

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say which function will be called."""
        function = self._known(key)[0]
        inner = attribute_of(function, "func", function)
        name = attribute_of(inner, "__qualname__") or type(inner).__qualname__
        target = f"{attribute_of(inner, '__module__') or 'builtins'}.{name}"
        return Description(
            summary=f"exit callback {target}",
            target=target,
            details={"function": target},
            hint="call atexit.unregister() with the same function when done",
        )

    def _known(self, key: Hashable) -> tuple[Any, Creation | None]:
        """Return the callback and how it was registered; nothing of a mere number of listeners."""
        return self._registered.get(key, (None, None))

    def iter_limits(self) -> Iterator[tuple[str, str, int, Creation | None]]:
        """Count callbacks registered by tests and fixtures, not those that imports bring along."""
        assert self._recorder is not None
        by_user, by_tool = self._recorder.is_by_user, self._recorder.is_by_tool
        own = [how for _, how in self._registered.values() if by_user(how) and not by_tool(how)]
        if own:
            yield "process", "exit", len(own), own[-1]

    def specimen(self) -> AbstractContextManager[object]:
        """Register a callback."""
        return _Registered()


def _is_same(known: Any, func: Any) -> bool:
    """Compare as `atexit` itself does; what refuses to be compared is another."""
    try:
        return bool(known == func)
    except Exception:  # noqa: BLE001 - the user's ``__eq__`` may do anything
        return False


def _weakly(function: Any) -> Callable[[], Any]:
    """Refer to a callback; what cannot be referred to weakly is a new one when it comes again."""
    try:
        return WeakMethod(function) if is_a(function, MethodType) else weakref.ref(function)
    except TypeError:
        return _nothing


def _nothing() -> None:
    """Be gone."""


class _Registered:
    """Context with a callback registered."""

    def __enter__(self) -> None:
        atexit.register(self._call)

    def __exit__(self, *exc: object) -> None:
        atexit.unregister(self._call)

    def _call(self) -> None:
        """Do nothing at exit."""


_UNRECORDED = Description(
    summary="exit callback registered past atexit.register",
    hint="call atexit.register() by that name, for this to say who called it",
)

# It has no public name; without it, only what passes through `atexit.register` is seen.
_count: Callable[[], int] = getattr(atexit, "_ncallbacks", int)


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return ExitTracker()
