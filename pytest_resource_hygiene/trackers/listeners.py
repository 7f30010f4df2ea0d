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
import weakref
from collections import Counter
from contextlib import contextmanager
from types import MethodType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import code_of
from pytest_resource_hygiene.tracker import Description, Moment, Tracker
from pytest_resource_hygiene.trackers._emitters import (
    BlinkerSignals,
    Declared,
    Listener,
    PyeeEmitters,
    class_name,
    emitter_from,
    load_emitter,
    name_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from types import CodeType

    from pytest_resource_hygiene.recorder import Creation, Recorder
    from pytest_resource_hygiene.trackers._emitters import Limit

__all__ = ["ListenerTracker", "emitter_from", "load_emitter", "make_tracker"]

_FILTERS = "warnings.filters"
_SHOW = "warnings.showwarning"
_CANARY = "resource_hygiene_canary"

# Slot to the module, the attribute, and where the interpreter keeps its own value.
_HOOKS = {
    "sys.excepthook": (sys, "excepthook", "__excepthook__"),
    "sys.unraisablehook": (sys, "unraisablehook", "__unraisablehook__"),
    "sys.displayhook": (sys, "displayhook", "__displayhook__"),
    "threading.excepthook": (threading, "excepthook", "__excepthook__"),
}
_RUNNER = "_pytest"
_RUNNERS_LOGGING = "_pytest.logging"


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
        self._logging = _Logging()
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
        return (
            len(_handler_list),
            len(logging.root.handlers),
            sys.excepthook,
            sys.displayhook,
            # Up to 8.3, pytest sets both to a method of a new object in each phase of a test.
            getattr(sys.unraisablehook, "__func__", sys.unraisablehook),
            getattr(threading.excepthook, "__func__", threading.excepthook),
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
        if not isinstance(value, _LoggingListener) or not isinstance(key, tuple):
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
        return _handler_on_a_logger()


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
        return bool(self.value == other.value) or (self.is_neutral and other.is_neutral)

    def __hash__(self) -> int:
        return 0


def _is_runners(hook: Any) -> bool:
    while isinstance(hook, functools.partial):
        hook = hook.func
    return str(getattr(hook, "__module__", "")).partition(".")[0] == _RUNNER


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


class _Attached:
    """One handler or filter that was seen when it was added."""

    __slots__ = ("creation", "list_name", "owner", "thing")

    def __init__(self, owner: Any, thing: Any, list_name: str, creation: Creation) -> None:
        self.owner = weakref.ref(owner)
        self.thing = _weakly(thing)
        self.list_name = list_name
        self.creation = creation

    def is_of(self, owner: object, thing: object) -> bool:
        return self.owner() is owner and (self.thing is None or self.thing() is thing)

    def is_live(self) -> bool:
        owner = self.owner()
        if owner is None:
            return False
        things = getattr(owner, self.list_name, ())
        return self.thing is None or any(self.thing() is one for one in list(things))


def _weakly(thing: Any) -> Callable[[], Any] | None:
    try:
        return weakref.ref(thing)
    except TypeError:
        return None


class _LoggingListener(Listener):
    """A handler or a filter, with the name of the logger under which it was found."""

    __slots__ = ("_creation", "_find", "_name", "_path", "_word")

    def __init__(
        self, word: str, path: str, name: str, thing: Any, creation: Creation | None
    ) -> None:
        self._word = word
        self._path = path
        self._name = name
        self._find = _weakly(thing)
        self._creation = creation

    @property
    def creation(self) -> Creation | None:
        return self._creation

    def find(self) -> Any:
        return self._find() if self._find is not None else None

    def describe(self) -> Description:
        short = self._name if self._word == "filter" else self._name.rpartition(".")[2]
        verb = f"remove{self._word.capitalize()}"
        close = " and close the handler" if self._word == "handler" else ""
        return Description(
            summary=f"{self._word} {short} on {self._path}",
            target=f"{self._name} on {self._path}",
            details={"listener": self._name, "emitter": self._path, "event": self._word},
            hint=f"call {verb}() with it{close} when done",
        )


class _Logging:
    """Handlers and filters of all loggers that `logging.getLogger` knows."""

    def __init__(self) -> None:
        """Know none."""
        self.events = 0
        self._made: dict[tuple[int, int], _Attached] = {}
        # By id and with a weak reference: a class of handlers may compare without being hashable.
        self._born: dict[int, tuple[weakref.ref[Any], Creation]] = {}
        self._swept = 0

    def start(self, recorder: Recorder) -> None:
        """Wrap the two methods that add; pytest calls them several times a test.

        `Logger.handlers` can also be assigned; then the place where the handler was made must do.
        """

        def making(original: Callable[..., Any]) -> Callable[..., Any]:
            def __init__(self_: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
                self._born[id(self_)] = weakref.ref(self_), recorder.creation(None)
                original(self_, *args, **kwargs)

            return __init__

        def adding_handler(original: Callable[..., Any]) -> Callable[..., Any]:
            def addHandler(self_: Any, hdlr: Any) -> None:  # noqa: N802 - logging's name
                if hdlr.__class__.__module__ != _RUNNERS_LOGGING and hdlr not in self_.handlers:
                    self._note(self_, hdlr, "handlers", recorder.creation(None))
                original(self_, hdlr)

            return addHandler

        def adding_filter(original: Callable[..., Any]) -> Callable[..., Any]:
            def addFilter(self_: Any, filter: Any) -> None:  # noqa: A002, N802 - logging's names
                if filter not in self_.filters:
                    self._note(self_, filter, "filters", recorder.creation(None))
                original(self_, filter)

            return addFilter

        recorder.wrap(logging.Handler, "__init__", making)
        recorder.wrap(logging.Logger, "addHandler", adding_handler)
        recorder.wrap(logging.Filterer, "addFilter", adding_filter)

    def _note(self, owner: Any, thing: Any, list_name: str, creation: Creation) -> None:
        self.events += 1
        self._made[id(owner), id(thing)] = _Attached(owner, thing, list_name, creation)

    def forget(self) -> None:
        """Drop the records of what is no longer attached."""
        if self._swept != self.events:
            self._swept = self.events
            self._made = {key: made for key, made in list(self._made.items()) if made.is_live()}
        if self._born:
            self._born = {key: born for key, born in list(self._born.items()) if born[0]()}

    def list_listeners(self) -> dict[Hashable, Listener]:
        """List by logger, class and position among those of that class."""
        found: dict[Hashable, Listener] = {}
        for name, logger in _loggers():
            where = f"logger {name!r}" if name else "the root logger"
            if logger.handlers:
                self._add_handlers(found, name, where, logger)
            if logger.filters:
                self._add_filters(found, (name,), where, logger)
        return found

    def _add_handlers(
        self, found: dict[Hashable, Listener], name: str, where: str, logger: logging.Logger
    ) -> None:
        seen: Counter[str] = Counter()
        for handler in _foreign(logger):
            kind = class_name(handler)
            seen[kind] += 1
            key = "handler", name, kind, seen[kind]
            found[key] = _LoggingListener(
                "handler", where, kind, handler, self._made_of(logger, handler)
            )
            if handler.filters:
                short = kind.rpartition(".")[2]
                self._add_filters(found, key, f"handler {short} of {where}", handler)

    def _add_filters(
        self,
        found: dict[Hashable, Listener],
        prefix: tuple[Hashable, ...],
        where: str,
        owner: logging.Filterer,
    ) -> None:
        seen: Counter[str] = Counter()
        for one in list(owner.filters):
            name = name_of(one).removesuffix(" object")
            seen[name] += 1
            key = "filter", *prefix, name, seen[name]
            found[key] = _LoggingListener("filter", where, name, one, self._made_of(owner, one))

    def _made_of(self, owner: object, thing: object) -> Creation | None:
        made = self._made.get((id(owner), id(thing)))
        if made is not None and made.is_of(owner, thing):
            return made.creation
        born = self._born.get(id(thing))
        return born[1] if born is not None and born[0]() is thing else None

    def iter_limits(self) -> Iterator[Limit]:
        """Count the handlers of each logger."""
        for name, logger in _loggers():
            handlers = _foreign(logger) if len(logger.handlers) > 1 else []
            if len(handlers) > 1:
                made = self._made_of(logger, handlers[-1])
                where = f"logger {name!r}" if name else "root logger"
                yield where, "handler", len(handlers), made


def _loggers() -> Iterator[tuple[str, logging.Logger]]:
    yield "", logging.root
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger):  # else a placeholder
            yield name, logger


def _foreign(logger: logging.Logger) -> list[logging.Handler]:
    """Return the handlers that are not the test runner's."""
    return [one for one in logger.handlers if one.__class__.__module__ != _RUNNERS_LOGGING]


# The list of all handlers alive has no public name; without it only `addHandler` is noticed.
_handler_list: list[Any] = getattr(logging, "_handlerList", [])


@contextmanager
def _handler_on_a_logger() -> Iterator[object]:
    logger, handler = logging.getLogger(_CANARY), logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logging.Logger.manager.loggerDict.pop(_CANARY, None)


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return ListenerTracker()
