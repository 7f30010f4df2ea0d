"""Who listens: on blinker signals, pyee emitters, loggers, hooks for errors, warnings, registries.

Listeners are counted, each by itself; hooks and warning filters are slots, which are *replaced*.
Handlers of a logger are told apart by class and position only: a logging configuration that is run
again puts new objects where the old ones were, and nothing has grown.

Cannot see: handlers of a `logging.Logger` that was made by hand and is unknown to `getLogger`; a
filter put into the list of a logger without `addFilter`, before something else changes.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections import Counter
from types import MethodType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import code_of, is_a
from pytest_resource_hygiene.quiet import FUNCTION, ID, LENGTH, places_probe
from pytest_resource_hygiene.tracker import Description, Moment, Tracker
from pytest_resource_hygiene.trackers._asyncio_table import AsyncioTable
from pytest_resource_hygiene.trackers._declared_emitters import Declared
from pytest_resource_hygiene.trackers._emitters import Listener
from pytest_resource_hygiene.trackers._hooks import (
    Hook,
    HooksOfImports,
    describe_hook,
    list_hooks,
    put_back_hook,
)
from pytest_resource_hygiene.trackers._imports import ImportWatch
from pytest_resource_hygiene.trackers._logging_listeners import (
    LoggingListener,
    LoggingListeners,
    handler_on_a_logger,
)
from pytest_resource_hygiene.trackers._warning_filters import (
    FILTERS,
    describe_filters,
    list_filters,
    put_back_filters,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from types import CodeType

    from pytest_resource_hygiene.recorder import Creation, Recorder
    from pytest_resource_hygiene.trackers._emitters import Limit
    from pytest_resource_hygiene.trackers._library_emitters import LibraryEmitters

__all__ = ["ListenerTracker", "make_tracker"]

__tracebackhide__ = True  # an error of a function that is wrapped here is not ours


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
        self._loops: AsyncioTable | None = None
        self._filters_changed: Creation | None = None
        self._libraries: list[LibraryEmitters] = []
        self._logging = LoggingListeners()
        self._of_imports = HooksOfImports()
        self._declared = Declared()
        self._places = places_probe(
            (
                # Our entry of a hook keeps it alive, so its id stays its own. Up to 8.3, pytest
                # sets the last two to a method of a new object in each phase of a test.
                (vars(sys), "excepthook", ID),
                (vars(sys), "displayhook", ID),
                (vars(sys), "unraisablehook", FUNCTION),
                (vars(threading), "excepthook", FUNCTION),
                (vars(logging), "_handlerList", LENGTH),
                (vars(logging.root), "handlers", LENGTH),
            )
        )

    def start(self, recorder: Recorder) -> None:
        """Wrap the methods through which listeners are registered."""
        self._recorder = recorder
        self._loops = recorder.service(AsyncioTable)
        recorder.when_imported("blinker", self._watch_blinker)
        recorder.when_imported("pyee.base", self._watch_pyee)
        self._logging.start(recorder)
        self._of_imports.watch(recorder.service(ImportWatch))
        if self.watch_warnings:
            # Both filterwarnings() and simplefilter() call it, however they were imported.
            recorder.wrap_result(warnings, "_add_filter", self._note_filter)

    def _watch_blinker(self) -> None:
        from pytest_resource_hygiene.trackers._blinker_signals import BlinkerSignals

        self._watch(BlinkerSignals())

    def _watch_pyee(self) -> None:
        from pytest_resource_hygiene.trackers._pyee_emitters import PyeeEmitters

        self._watch(PyeeEmitters())

    def _watch(self, library: LibraryEmitters) -> None:
        assert self._recorder is not None, "start() comes first"
        self._libraries.append(library)
        library.start(self._recorder)

    def _sources(self) -> Iterator[LibraryEmitters | LoggingListeners | Declared]:
        yield from self._libraries
        yield self._logging
        yield self._declared

    def _note_filter(self, result: object, creation: Creation) -> None:
        self._filters_changed = creation

    def declare(
        self, name: str, listeners: Callable[[], Iterable[tuple[str, object]]]
    ) -> Callable[[], None]:
        """Watch a registry of the project.

        Args:
            name: what reports call it.
            listeners: yields a pair of event and listener for each that is registered now; see
                `_emitter_specs`. It is called once a test.

        Returns:
            A function that undoes the declaration.
        """
        if self._recorder is not None:
            self._recorder.stir()  # from now on it is asked
        return self._declared.declare(name, listeners)

    def reading(self) -> object:
        """Return registrations seen, handlers alive, and the hooks themselves."""
        registered = self._logging.events
        for library in self._libraries:
            registered += library.events
        return registered, self._places(), self._set_in_silence()

    def probes(self) -> Collection[Callable[[], object]]:
        """Ask for what is set by mere assignment, and for declared registries."""
        if self.watch_warnings or self._declared.registries:
            return (self._places, self._set_in_silence)
        return (self._places,)

    def _set_in_silence(self) -> object:
        return (
            self._shows_warnings() if self.watch_warnings else None,
            len(self._declared.registries),
            self._declared.count(),
        )

    @staticmethod
    def _shows_warnings() -> object:
        return getattr(warnings, "showwarning", None), *warnings.filters

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List slots with their values, and listeners, whose values are all equal."""
        found: dict[Hashable, Any] = {**list_hooks(warnings_too=self.watch_warnings)}
        if self.watch_warnings:
            found[FILTERS] = list_filters()
        for source in self._sources():
            found.update(source.list_listeners())
        return found

    def forget(self) -> None:
        """Drop the records of what is no longer registered."""
        self._filters_changed = None
        self._logging.forget()
        self._of_imports.forget()

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Return how it was registered; assigning a hook leaves no trace, but for an import."""
        if key == FILTERS:
            return self._filters_changed
        if isinstance(value, Hook):
            return self._of_imports.creation_of(str(key), value)
        return value.creation if isinstance(value, Listener) else None

    def anchor(self, key: Hashable, value: Any) -> Any:
        """Return the listener, or the hook."""
        if isinstance(value, Listener):
            return value.find()
        return value.value if isinstance(value, Hook) else None

    def pause(self, keys: Collection[Hashable], seconds: float) -> bool:
        """Let loops run that have something to call at once: it may be the last that has an emitter."""
        return self._loops.run_what_is_ready(seconds) if self._loops is not None else False

    def kept_as(self, key: Hashable, value: Any) -> Any:
        """Return a log handler or filter, or the object whose method a hook is; emitters lead to all."""
        thing = self.anchor(key, value)
        if isinstance(value, LoggingListener):
            return thing
        return thing.__self__ if isinstance(value, Hook) and is_a(thing, MethodType) else None

    def assigned_as(self, key: Hashable, value: Any) -> str | None:
        """Return the name of a hook in its module."""
        return str(key).rpartition(".")[2] if isinstance(value, Hook) else None

    def kept_in(self, key: Hashable, value: Any) -> str | None:
        """Return the name of the logger, which by custom is that of the module that logs."""
        return value.logger if isinstance(value, LoggingListener) else None

    def code(self, key: Hashable, value: Any) -> CodeType | None:
        """Return the listener's code, if it is a function."""
        return code_of(self.anchor(key, value))

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say who listens to what."""
        if isinstance(value, Listener):
            return value.describe()
        if key == FILTERS:
            return describe_filters(value, old)
        return describe_hook(str(key), value, old)

    def restore(self, key: Hashable, value: Any, old: Any) -> bool:
        """Put hooks and warning filters back; listeners are not touched."""
        if key == FILTERS and isinstance(old, tuple):
            put_back_filters(old)
            return True
        return isinstance(old, Hook) and put_back_hook(str(key), old)

    def is_ours(self, key: Hashable, value: Any) -> bool:
        """Return whether a hook is the test runner's."""
        return isinstance(value, Hook) and value.is_neutral

    def iter_limits(self) -> Iterator[Limit]:
        """Count signals, emitters, loggers and declared registries.

        Emitters of one class cannot be told apart by their name, so the second gets a number.
        """
        seen: Counter[tuple[str, str]] = Counter()
        for source in self._sources():
            for emitter, event, count, creation in source.iter_limits():
                seen[emitter, event] += 1
                number = seen[emitter, event]
                yield emitter if number == 1 else f"{emitter} #{number}", event, count, creation

    def blind_spot(self) -> str | None:
        """Name a library in a release that is unknown here."""
        return next((one.blind for one in self._libraries if one.blind), None)

    def specimen(self) -> AbstractContextManager[object]:
        """Give a logger of our own a handler."""
        return handler_on_a_logger()


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return ListenerTracker()
