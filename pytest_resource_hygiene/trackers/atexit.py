"""Callbacks registered to run at exit.

The interpreter does not list them, and its counter never goes down, so registrations are recorded
as they are made. Those that bypass the wrapped function are noticed by the counter, without origin.
"""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.tracker import Description, Moment, Tracker

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from pytest_resource_hygiene.recorder import Creation, Recorder


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
            self._registered[self._serial] = func, self._recorder.creation(None)
            return result

        return register

    def _unregistering(self, original: Any) -> Any:
        def unregister(func: Any, /) -> None:
            original(func)
            for key, (known, _) in list(self._registered.items()):
                if known == func:  # as atexit itself compares
                    del self._registered[key]

        return unregister

    def reading(self) -> object:
        """Return registrations recorded, alive, and counted by the interpreter."""
        return self._serial, len(self._registered), _count()

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List what is registered; what was not recorded gets a number only."""
        extra = _count() - self._base - self._serial - self._unseen
        if extra < 0:  # cleared, or counted anew
            self._base += extra
        for _ in range(extra):
            self._unseen += 1
            self._registered["unrecorded", self._unseen] = None, None
        return dict(self._registered)

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Return who registered it."""
        creation: Creation | None = value[1]
        return creation

    def anchor(self, key: Hashable, value: Any) -> Any:
        """Return the callback."""
        return value[0]

    def is_ours(self, key: Hashable, value: Any) -> bool:
        """Return whether pytest registered it for itself, whoever asked for what it serves.

        The first folder that a fixture of the user's gets from ``tmp_path_factory`` has pytest
        register the removal of all of them.
        """
        _, creation = self._registered.get(key, (None, None))
        codes = creation.stack[::2] if creation is not None else ()
        files = (code.co_filename.replace("\\", "/") for code in codes)
        maker = next((file for file in files if file != __file__), "")
        return "/_pytest/" in maker

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say which function will be called."""
        function = value[0]
        if function is None:
            return Description(
                summary="exit callback registered past atexit.register",
                hint="keep the function and call atexit.unregister() when done",
            )
        inner = getattr(function, "func", function)
        name = getattr(inner, "__qualname__", None) or type(inner).__qualname__
        target = f"{getattr(inner, '__module__', None) or 'builtins'}.{name}"
        return Description(
            summary=f"exit callback {target}",
            target=target,
            details={"function": target},
            hint="call atexit.unregister() with the same function when done",
        )

    def iter_limits(self) -> Iterator[tuple[str, str, int, Creation | None]]:
        """Count callbacks registered by tests and fixtures, not those that imports bring along."""
        assert self._recorder is not None
        own = [how for _, how in self._registered.values() if self._recorder.is_by_user(how)]
        if own:
            yield "process", "exit", len(own), own[-1]

    def specimen(self) -> AbstractContextManager[object]:
        """Register a callback."""
        return _Registered()


class _Registered:
    """Context with a callback registered."""

    def __enter__(self) -> None:
        atexit.register(self._call)

    def __exit__(self, *exc: object) -> None:
        atexit.unregister(self._call)

    def _call(self) -> None:
        """Do nothing at exit."""


def _count() -> int:
    return int(getattr(atexit, "_ncallbacks", int)())


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return ExitTracker()
