"""Who listens: on blinker signals, pyee emitters, loggers, hooks for errors, warnings, registries.

Listeners are counted, each by itself; hooks and warning filters are slots, which are *replaced*.
Handlers of a logger are told apart by class and position only: a logging configuration that is run
again puts new objects where the old ones were, and nothing has grown.

Cannot see: handlers of a `logging.Logger` that was made by hand and is unknown to `getLogger`; a
filter put into the list of a logger without `addFilter`, before something else changes.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
import warnings
from collections import Counter
from types import MethodType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import addresses, attribute_of, code_of
from pytest_resource_hygiene.tracker import Description, Moment, Tracker
from pytest_resource_hygiene.trackers._declared_emitters import (
    Declared,
    emitter_from,
    load_emitter,
)
from pytest_resource_hygiene.trackers._emitters import Listener
from pytest_resource_hygiene.trackers._library_emitters import BlinkerSignals, PyeeEmitters
from pytest_resource_hygiene.trackers._logging_listeners import (
    LoggingListener,
    LoggingListeners,
    all_handlers,
    handler_on_a_logger,
)
from pytest_resource_hygiene.trackers._names import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from types import CodeType

    from pytest_resource_hygiene.recorder import Creation, Recorder
    from pytest_resource_hygiene.trackers._emitters import Limit

__all__ = ["ListenerTracker", "emitter_from", "load_emitter", "make_tracker"]

_FILTERS = "warnings.filters"
_SHOW = "warnings.showwarning"

# Slot to the module, the attribute, and where the interpreter keeps its own value.
_HOOKS = {
    "sys.excepthook": (sys, "excepthook", "__excepthook__"),
    "sys.unraisablehook": (sys, "unraisablehook", "__unraisablehook__"),
    "sys.displayhook": (sys, "displayhook", "__displayhook__"),
    "threading.excepthook": (threading, "excepthook", "__excepthook__"),
}
_RUNNER = "_pytest"


class ListenerTracker(Tracker):
    """Listeners by registration; hooks and warning filters by name.

    Args:
        watch_warnings: False where somebody else puts `warnings` back after each test.
    """

    kind = "listeners"
    title = "listener"
    slots = True
    rank = 30
    settles = False

    def __init__(self, *, watch_warnings: bool = True) -> None:
        """Wait for `start`; registries can be declared before."""
        self.watch_warnings = watch_warnings
        self._recorder: Recorder | None = None
        self._filters_changed: Creation | None = None
        self._signals = BlinkerSignals()
        self._emitters = PyeeEmitters()
        self._logging = LoggingListeners()
        self._declared = Declared()

    def start(self, recorder: Recorder) -> None:
        """Wrap the methods through which listeners are registered."""
        self._recorder = recorder
        self._signals.start(recorder)
        self._emitters.start(recorder)
        self._logging.start(recorder)
        if self.watch_warnings:
            # Both filterwarnings() and simplefilter() call it, however they were imported.
            recorder.wrap_result(warnings, "_add_filter", self._note_filter)

    def _note_filter(self, result: object, creation: Creation) -> None:
        self._filters_changed = creation

    def declare(
        self, name: str, listeners: Callable[[], Iterable[tuple[str, object]]]
    ) -> Callable[[], None]:
        """Watch a registry of the project.

        Args:
            name: what reports call it.
            listeners: yields a pair of event and listener for each that is registered now; see
                `emitter_from` and `load_emitter`. It is called once a test.

        Returns:
            A function that undoes the declaration.
        """
        return self._declared.declare(name, listeners)

    def reading(self) -> object:
        """Return registrations seen, handlers alive, and the hooks themselves."""
        return (
            self._signals.events + self._emitters.events + self._logging.events,
            self._set_in_silence(),
        )

    def probes(self) -> Collection[Callable[[], object]]:
        """Ask for what is set by mere assignment, and for declared registries."""
        return (self._set_in_silence,)

    def _set_in_silence(self) -> object:
        # A hook may say anything when it is compared, or raise. Its id stays its own: our entry of
        # it keeps it alive. Up to 8.3, pytest sets the last two to a method of a new object in each
        # phase of a test.
        hooks = (
            sys.excepthook,
            sys.displayhook,
            getattr(sys.unraisablehook, "__func__", sys.unraisablehook),
            getattr(threading.excepthook, "__func__", threading.excepthook),
        )
        return (
            len(all_handlers),
            len(logging.root.handlers),
            addresses(hooks),
            (warnings.showwarning, *warnings.filters) if self.watch_warnings else None,
            self._declared.count(),
        )

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List slots with their values, and listeners, whose values are all equal."""
        found: dict[Hashable, Any] = {
            name: _Hook(getattr(module, attribute), getattr(module, own, None))
            for name, (module, attribute, own) in _HOOKS.items()
        }
        if self.watch_warnings:
            own = getattr(warnings, "_showwarning_orig", None)
            found[_SHOW] = _Hook(warnings.showwarning, own)
            found[_FILTERS] = tuple(one for one in warnings.filters if not _is_spy(one))
        for source in (self._signals, self._emitters, self._logging, self._declared):
            found.update(source.list_listeners())
        return found

    def forget(self) -> None:
        """Drop the records of what is no longer registered."""
        self._filters_changed = None
        self._logging.forget()

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Return how it was registered; assigning a hook leaves no trace."""
        if key == _FILTERS:
            return self._filters_changed
        return value.creation if isinstance(value, Listener) else None

    def anchor(self, key: Hashable, value: Any) -> Any:
        """Return the listener, or the hook."""
        if isinstance(value, Listener):
            return value.find()
        return value.value if isinstance(value, _Hook) else None

    def kept_in(self, key: Hashable, value: Any) -> str | None:
        """Return the name of the logger, which by custom is that of the module that logs."""
        if not isinstance(value, LoggingListener) or not isinstance(key, tuple):
            return None
        # A filter of a handler has the handler's key within its own.
        return str(key[1] if len(key) == len(("handler", "logger", "class", 1)) else key[2])

    def code(self, key: Hashable, value: Any) -> CodeType | None:
        """Return the listener's code, if it is a function."""
        return code_of(self.anchor(key, value))

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say who listens to what."""
        if isinstance(value, Listener):
            return value.describe()
        if key == _FILTERS:
            return _describe_filters(value, old)
        new, before = name_of(value.value), name_of(old.value) if old is not None else "unknown"
        return Description(
            summary=f"{key} replaced: {before} -> {new}",
            target=f"{key} {new}",
            details={"slot": key, "old": before, "new": new},
            hint=f"keep the previous {key} and assign it again when done, "
            "or use monkeypatch.setattr",
        )

    def restore(self, key: Hashable, value: Any, old: Any) -> bool:
        """Put hooks and warning filters back; listeners are not touched."""
        if key == _FILTERS and isinstance(old, tuple):
            _put_back_filters(old)
        elif key == _SHOW and isinstance(old, _Hook):
            warnings.showwarning = old.value
        elif key in _HOOKS and isinstance(old, _Hook):
            module, attribute, _ = _HOOKS[str(key)]
            setattr(module, attribute, old.lasting)
        else:
            return False
        return True

    def is_ours(self, key: Hashable, value: Any) -> bool:
        """Return whether a hook is the test runner's."""
        return isinstance(value, _Hook) and value.is_neutral

    def iter_limits(self) -> Iterator[Limit]:
        """Count signals, emitters, loggers and declared registries.

        Emitters of one class cannot be told apart by their name, so the second gets a number.
        """
        seen: Counter[tuple[str, str]] = Counter()
        for source in (self._signals, self._emitters, self._logging, self._declared):
            for emitter, event, count, creation in source.iter_limits():
                seen[emitter, event] += 1
                number = seen[emitter, event]
                yield emitter if number == 1 else f"{emitter} #{number}", event, count, creation

    def blind_spot(self) -> str | None:
        """Name a library in a release that is unknown here."""
        return self._signals.blind or None

    def specimen(self) -> AbstractContextManager[object]:
        """Give a logger of our own a handler."""
        return handler_on_a_logger()


class _Hook:
    """The value of a hook. The test runner's and the interpreter's own count as the same."""

    __slots__ = ("is_neutral", "lasting", "value")

    def __init__(self, value: Any, own: Any) -> None:
        self.value = value
        self.is_neutral = value is own or _is_runners(value)
        # A method among the runner's hooks serves one phase of a test, which may be over by now.
        self.lasting = own if self.is_neutral and isinstance(value, MethodType) else value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Hook):
            return NotImplemented
        return _is_one(self.value, other.value) or (self.is_neutral and other.is_neutral)

    def __hash__(self) -> int:
        return 0


def _is_one(hook: Any, other: Any) -> bool:
    """Compare by identity: a method is made anew at each access, and what else may say anything."""
    return hook is other or (type(hook) is type(other) is MethodType and hook == other)


def _is_runners(hook: Any) -> bool:
    while isinstance(hook, functools.partial):
        hook = hook.func
    return str(attribute_of(hook, "__module__", "")).partition(".")[0] == _RUNNER


def _is_spy(entry: Any) -> bool:
    # Our own filter among them: it matches nothing and hears everything.
    return getattr(entry[2], "resource_hygiene_spy", False) is True


def _shown_filter(entry: Any) -> str:
    action, message, category, module, line = entry
    texts = [action, getattr(message, "pattern", message) or "", category.__name__]
    if module or line:
        texts.append(getattr(module, "pattern", module) or "")
    return ":".join([*texts, str(line)] if line else texts)


def _describe_filters(value: Any, old: Any) -> Description:
    before = old or ()
    added = [_shown_filter(entry) for entry in value if entry not in before]
    gone = [_shown_filter(entry) for entry in before if entry not in value]
    words = [f"{', '.join(added)} added"] if added else []
    words += [f"{', '.join(gone)} removed"] if gone else []
    return Description(
        summary=f"{_FILTERS}: {'; '.join(words) or 'order changed'}",
        target=f"{_FILTERS} {', '.join(added or gone)}".strip(),
        details={"added": added, "removed": gone},
        hint="change filters in a `with warnings.catch_warnings():` block",
    )


def _put_back_filters(old: tuple[Any, ...]) -> None:
    filters: Any = warnings.filters
    filters[:] = [*(one for one in filters if _is_spy(one)), *old]
    mutated = getattr(warnings, "_filters_mutated", None)
    if mutated is not None:  # what was decided by the other filters is cached
        mutated()


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return ListenerTracker()
