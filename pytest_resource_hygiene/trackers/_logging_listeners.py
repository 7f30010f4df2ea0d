"""Handlers and filters of loggers.

They are told apart by class and position only: a configuration of `logging` that is run again puts
new objects where the old ones were, and nothing has grown.
"""

from __future__ import annotations

import logging
import weakref
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.audit import Unless
from pytest_resource_hygiene.recorder import as_function
from pytest_resource_hygiene.tracker import Description
from pytest_resource_hygiene.trackers._emitters import Listener
from pytest_resource_hygiene.trackers._names import class_name, name_of
from pytest_resource_hygiene.trackers._places_in_lists import PlacesInLists

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from pytest_resource_hygiene.recorder import Creation, Recorder
    from pytest_resource_hygiene.trackers._emitters import Limit

__all__ = ["LoggingListener", "LoggingListeners", "handler_on_a_logger"]

__tracebackhide__ = True  # an error of a function that is wrapped here is not ours

_CANARY = "resource_hygiene_canary"
_RUNNERS_LOGGING = "_pytest.logging"

# The list of all handlers alive has no public name; without it only `addHandler` is noticed.
all_handlers: list[Any] = getattr(logging, "_handlerList", [])


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


class LoggingListener(Listener):
    """A handler, or a filter of a logger or of a handler.

    Attributes:
        logger: the name of the logger under which it was found; ``""`` for the root.
    """

    __slots__ = ("_creation", "_find", "_name", "_path", "_word", "logger")

    def __init__(
        self, word: str, logger: str, path: str, name: str, thing: Any, creation: Creation | None
    ) -> None:
        self._word = word
        self.logger = logger
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


class LoggingListeners:
    """Handlers and filters of all loggers that `logging.getLogger` knows."""

    def __init__(self) -> None:
        """Know none."""
        self.events = 0
        self._made: dict[tuple[int, int], _Attached] = {}
        # By id and with a weak reference: a class of handlers may compare without being hashable.
        self._born: dict[int, tuple[weakref.ref[Any], Creation]] = {}
        self._swept = 0
        self._places = PlacesInLists()

    def start(self, recorder: Recorder) -> None:
        """Wrap the two methods that add; pytest calls them several times a test.

        `Logger.handlers` can also be assigned; then the place where the handler was made must do.
        """

        def making(original: Callable[..., Any]) -> Callable[..., Any]:
            def __init__(self_: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
                self._born[id(self_)] = weakref.ref(self_), recorder.creation(None)
                original(self_, *args, **kwargs)

            return __init__

        def adding_filter(original: Callable[..., Any]) -> Callable[..., Any]:
            def addFilter(self_: Any, filter: Any) -> None:  # noqa: A002, N802 - logging's names
                if filter not in self_.filters:
                    self._note(self_, filter, "filters", recorder.creation(None))
                original(self_, filter)

            return addFilter

        recorder.wrap(logging.Handler, "__init__", making)
        recorder.wrap(logging.Logger, "addHandler", partial(self._adding_handler, recorder))
        recorder.wrap(logging.Filterer, "addFilter", adding_filter)

    def _adding_handler(
        self, recorder: Recorder, original: Callable[..., Any]
    ) -> Callable[..., Any]:
        runners: set[type] = set()
        note = self._note

        def add(self: Any, hdlr: Any) -> None:
            if type(hdlr).__module__ == _RUNNERS_LOGGING:
                runners.add(type(hdlr))
            elif hdlr not in self.handlers:
                note(self, hdlr, "handlers", recorder.creation(None))
            original(self, hdlr)

        add.__qualname__ = original.__qualname__  # in the words for a wrong call
        return as_function(Unless(original, add, runners))

    def _note(self, owner: Any, thing: Any, list_name: str, creation: Creation) -> None:
        self.events += 1
        self._made[id(owner), id(thing)] = _Attached(owner, thing, list_name, creation)

    def forget(self) -> None:
        """Drop the records of what is no longer attached."""
        if self._swept != self.events:
            self._swept = self.events
            self._made = {key: made for key, made in list(self._made.items()) if made.is_live()}
        if self._born:
            born = list(self._born.items())
            self._born = {key: one for key, one in born if one[0]() is not None}

    def list_listeners(self) -> dict[Hashable, Listener]:
        """List by logger, class and place among those of that class."""
        found: dict[Hashable, Listener] = {}
        self._places.begin()
        for name, logger in _loggers():
            where = f"logger {name!r}" if name else "the root logger"
            if logger.handlers:
                self._add_handlers(found, name, where, logger)
            if logger.filters:
                self._add_filters(found, (name,), name, where, logger)
        return found

    def _add_handlers(
        self, found: dict[Hashable, Listener], name: str, where: str, logger: logging.Logger
    ) -> None:
        for (kind, number), handler in self._numbered(
            "handler", name, _foreign(logger), class_name
        ):
            key = "handler", name, kind, number
            made = self._made_of(logger, handler)
            found[key] = LoggingListener("handler", name, where, kind, handler, made)
            if handler.filters:
                short = kind.rpartition(".")[2]
                self._add_filters(found, key, name, f"handler {short} of {where}", handler)

    def _numbered(
        self, word: str, owner: Hashable, things: list[Any], name_it: Callable[[Any], str]
    ) -> Iterator[tuple[tuple[str, int], Any]]:
        """Give each thing its name, and a number among those of that name."""
        alike: dict[str, list[Any]] = {}
        for thing in things:
            alike.setdefault(name_it(thing), []).append(thing)
        for name, those in alike.items():
            for number, thing in self._places.numbered((word, owner, name), those):
                yield (name, number), thing

    def _add_filters(
        self,
        found: dict[Hashable, Listener],
        prefix: tuple[Hashable, ...],
        logger: str,
        where: str,
        owner: logging.Filterer,
    ) -> None:
        for (name, number), one in self._numbered(
            "filter", prefix, list(owner.filters), _filter_name
        ):
            key = "filter", *prefix, name, number
            made = self._made_of(owner, one)
            found[key] = LoggingListener("filter", logger, where, name, one, made)

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


def _filter_name(one: Any) -> str:
    return name_of(one).removesuffix(" object")


def _loggers() -> Iterator[tuple[str, logging.Logger]]:
    yield "", logging.root
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger):  # else a placeholder
            yield name, logger


def _foreign(logger: logging.Logger) -> list[logging.Handler]:
    """Return the handlers that are not the test runner's."""
    return [one for one in logger.handlers if one.__class__.__module__ != _RUNNERS_LOGGING]


@contextmanager
def handler_on_a_logger() -> Iterator[object]:
    """Give a logger of our own a handler; leave neither behind."""
    logger, handler = logging.getLogger(_CANARY), logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logging.Logger.manager.loggerDict.pop(_CANARY, None)
