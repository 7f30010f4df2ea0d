"""Remembers where things are made: one audit hook, and a few wrapped functions.

The hook runs inside ``open`` and ``socket.socket``, hundreds of times in a test: whatever is not
needed to *recognise* a leak later is left for later. A stack is kept as code objects and
instruction offsets; turning these into lines costs fifty times more and is done for leaks only.

There are no audit events for ``os.pipe``, ``os.dup``, ``signal.signal`` and some more (PEP 578
lists those that exist), so these are wrapped, and unwrapped by `Recorder.stop`.
"""

from __future__ import annotations

import functools
import threading
import weakref
from contextvars import ContextVar
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pytest_resource_hygiene.audit import Handler, Sites, Stack, set_handlers
from pytest_resource_hygiene.post_import import PostImport
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_resource_hygiene.quiet import Passing

__all__ = ["Creation", "Recorder", "Stack", "as_function", "wrapper_file"]

__tracebackhide__ = True  # an error of a function that is wrapped here is not ours

_FILE = (lambda: None).__code__.co_filename

# All handlers by event, and the same while somebody is muted.
_every: dict[str, Handler] = {}
_of_others: dict[str, Handler] = {}
_active: list[Recorder] = []  # a check within a test records beside the plugin's recorder


class Creation(NamedTuple):
    """How a resource came to be, as cheaply as it can be kept.

    Attributes:
        stack: code objects and instruction offsets in turn, innermost first.
        owner: the owner named by the context in which it happened, or None.
        window: the owner whose window was open in the main thread.
        parent: the creation of the thread in which it happened; None for the main thread.
        what: what the event itself told, e.g. a path or a weak reference.
        certain: False where several events fit and one was chosen.
    """

    stack: Stack
    owner: Any
    window: Any
    parent: Creation | None
    what: Any
    certain: bool = True


def as_function(wrapper: Callable[..., Any]) -> FunctionType:
    """Return a function, as `inspect` and `unittest.mock` know one, that calls what is none."""

    def function(*args: Any, **kwargs: Any) -> Any:
        return wrapper(*args, **kwargs)

    assert isinstance(function, FunctionType)
    return function


class _Builtin(staticmethod):  # type: ignore[type-arg]
    """Stands for a builtin: as that, it is no method of the class that has it as an attribute.

    And it is pickled by its name: the process that reads it need not have us.
    """

    def __get__(self, instance: object, owner: type | None = None, /) -> Any:
        return self

    def __reduce__(self) -> str:
        return self.__qualname__


class Recorder(Sites):
    """Collects `Creation` records while it is started.

    Args:
        stop_files: names of files at whose first frame a stack ends: the test runner's.
    """

    def __init__(self, stop_files: Iterable[str] = ()) -> None:
        """Prepare; nothing is hooked before `start`."""
        # Who is at work in this context. Tasks and loop callbacks copy their context when they are
        # made, so what a server task does during a later test still names the fixture that started
        # the server. One for each recorder: a check within a test has owners of its own.
        owner_var: ContextVar[Any] = ContextVar("resource_hygiene_owner", default=None)
        main_ident = threading.main_thread().ident
        # With two recorders the hook has one more frame of ours, so our file is left out.
        super().__init__(frozenset(stop_files), _FILE, owner_var, main_ident or 0)
        self.threads: weakref.WeakKeyDictionary[Any, Creation] = weakref.WeakKeyDictionary()
        self.events: dict[str, Handler] = {}
        self._wrapped: list[tuple[Any, str, Any, Any]] = []
        self._services: dict[Any, Any] = {}
        self._trackers: list[Any] = []
        self.failures: list[tuple[Any, str, Exception]] = []
        self.passing: list[Passing] = []
        self.started = False
        self._post_import = PostImport()
        # Set by the checker; on its own the recorder knows neither tools nor patience.
        self.is_foreign: Callable[[Creation | None], bool] = lambda creation: False
        self.is_by_tool: Callable[[Creation | None], bool] = lambda creation: False
        self.is_by_user: Callable[[Creation | None], bool] = lambda creation: creation is not None
        self.is_tool_code: Callable[[Any], bool] = lambda function: False
        self.creation_of: Callable[[int, str], Creation | None] = lambda fd, path: None
        self.patience: Callable[[Iterable[Creation | None]], float] = lambda creations: 0.5
        # Told what a wait outside of any judgement cost, and which makings it was in vain for.
        self.waited: Callable[[float, Iterable[Creation | None]], None] = lambda spent, left: None

    def when_imported(self, module: str, callback: Callable[[], None]) -> None:
        """Call back when the module is there: at once, or after somebody else imported it."""
        self._post_import.when_imported(module, callback)

    def on(self, event: str, handler: Handler) -> None:
        """Call ``handler(args)`` at each audit event of that name; several may listen."""
        self.events[event] = _both(self.events.get(event), handler)
        if self.started:
            _rebuild()

    def start(self) -> None:
        """Begin to record."""
        self.started = True
        _active.append(self)
        _rebuild()

    def stop(self) -> None:
        """Stop the trackers and recording; undo every wrap that nobody has replaced since.

        What a tracker raises is kept in `failures`: all else has to be undone in any case.
        """
        while self._trackers:
            tracker = self._trackers.pop()
            try:
                tracker.stop()
            except Exception as error:  # noqa: BLE001 - a tracker may be anybody's
                self.failures.append((tracker, "stopping", error))
        for service in self._services.values():
            service.close()
        self._post_import.stop()
        if self.started:
            _active.remove(self)
            _rebuild()
        self.started = False
        while self._wrapped:
            target, name, original, wrapper = self._wrapped.pop()
            if vars(target).get(name) is wrapper:
                setattr(target, name, original)

    def service(self, make: Callable[[Recorder], Any]) -> Any:
        """Return the one ``make(self)`` of this recorder: what several trackers share."""
        if make not in self._services:
            self._services[make] = make(self)
        return self._services[make]

    def start_tracker(self, tracker: Any) -> None:
        """Start a tracker on this recorder, unless that was done before.

        What it raises is kept in `failures`.
        """
        if tracker not in self._trackers:
            self._trackers.append(tracker)
            try:
                tracker.start(self)
            except Exception as error:  # noqa: BLE001 - a tracker may be anybody's
                self.failures.append((tracker, "starting", error))

    def mute(self) -> Muted:
        """Return a context in which nothing is recorded: for what we make ourselves."""
        return Muted()

    def wrap(
        self, target: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]
    ) -> bool:
        """Replace ``target.name`` by ``make(original)`` until `stop`.

        Returns:
            False if there is no such name on this platform.
        """
        original = getattr(target, name, None)
        if original is None:
            return False
        wrapper: Any = make(original)
        if isinstance(target, ModuleType):
            if isinstance(original, FunctionType) and not isinstance(wrapper, FunctionType):
                wrapper = as_function(wrapper)
            functools.update_wrapper(wrapper, original)
            wrapper.__module__ = target.__name__
            if isinstance(original, BuiltinFunctionType) and isinstance(wrapper, FunctionType):
                wrapper = _Builtin(wrapper)
        else:
            functools.update_wrapper(wrapper, original)
        setattr(target, name, wrapper)
        self._wrapped.append((target, name, original, wrapper))
        return True

    def wrap_result(self, target: Any, name: str, note: Callable[[Any, Creation], None]) -> bool:
        """Call ``note(result, creation)`` after each call of ``target.name``."""

        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                result = original(*args, **kwargs)
                note(result, self.creation(None))
                return result

            return wrapper

        return self.wrap(target, name, make)

    def creation(self, what: Any, depth: int = 2) -> Creation:
        """Record the present stack.

        Args:
            what: kept with the record.
            depth: how many of our own frames to leave out, this one included.
        """
        return Creation(*self.site(what, depth))

    def maker_of_thread(self) -> Creation | None:
        """Return how the thread that asks was made; None for one that nobody was seen making."""
        # Not threading.current_thread(): in a foreign thread that would make a _DummyThread.
        thread = threading._active.get(System.get_ident())  # type: ignore[attr-defined]  # noqa: SLF001
        return self.threads.get(thread) if thread is not None else None


def wrapper_file() -> str:
    """Return the file that the frames of `Recorder.wrap_result` name."""
    return Recorder.wrap_result.__code__.co_filename


class Muted:
    """Context in which the audit hook records nothing of this thread; may be entered within itself.

    What a server thread opens while we look is recorded: it has an owner, and we are not he.
    """

    threads: ClassVar[list[int]] = []  # once for each time it was entered

    def __enter__(self) -> None:
        """Let the handlers ask which thread it is."""
        Muted.threads.append(System.get_ident())
        _publish()

    def __exit__(self, *exc: object) -> None:
        """Spare them the question, if this was the last."""
        Muted.threads.remove(System.get_ident())
        _publish()


def _rebuild() -> None:
    """Have the hook call the handlers of every active recorder."""
    global _every, _of_others  # noqa: PLW0603
    _every = {}
    for recorder in _active:
        for event, handler in recorder.events.items():
            _every[event] = _both(_every.get(event), handler)
    _of_others = {event: _unless_muted(handler) for event, handler in _every.items()}
    _publish()


def _publish() -> None:
    set_handlers(_of_others if Muted.threads else _every)


def _unless_muted(handler: Handler) -> Handler:
    def ask(args: tuple[Any, ...]) -> None:
        if System.get_ident() not in Muted.threads:
            handler(args)

    return ask


def _both(first: Handler | None, second: Handler) -> Handler:
    if first is None:
        return second
    earlier = first

    def both(args: tuple[Any, ...]) -> None:
        earlier(args)
        second(args)

    return both
