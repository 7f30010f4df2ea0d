"""Who answers to which signal: handlers, the wakeup descriptor, the mask, and loops' own handlers.

A handler is a slot: it is *replaced*, never added. What piles up all the same are chains, handlers
that keep the one they found and call it afterwards: see `_handler_chains`.
"""

from __future__ import annotations

import faulthandler
import signal
from contextlib import suppress
from functools import cached_property
from types import BuiltinFunctionType, MethodType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import is_a
from pytest_resource_hygiene.recorder import Creation
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Captured, Description, Moment, Tracker
from pytest_resource_hygiene.trackers._asyncio_table import AsyncioTable
from pytest_resource_hygiene.trackers._put_back import Settings
from pytest_resource_hygiene.trackers._signal_calls import SignalCalls
from pytest_resource_hygiene.trackers._signal_slots import (
    COMMON,
    MAIN,
    blocked,
    caught_signals,
    getsignal,
    is_constant,
    read_slots,
    set_handler,
    set_mask,
    set_wakeup_fd,
    take_lost_wakeup_fd,
    wakeup_fd,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from pytest_resource_hygiene.recorder import Recorder
    from pytest_resource_hygiene.trackers._handler_chains import HandlerChains

_C_HANDLER = None  # what `signal.getsignal` says of a handler that Python did not set
_C_FUNCTIONS = frozenset({"signal", "sigaction", "bsd_signal", "sysv_signal"})
_MASK = "mask"
_WAKEUP = "wakeup_fd"

__tracebackhide__ = True  # an error of a function that is wrapped here is not ours


class SignalTracker(Tracker):
    """Slots by signal number; handlers of loops by loop and signal."""

    kind = "signals"
    title = "signal listener"
    slots = True
    rank = 45
    settles = False
    collectable = False

    def __init__(self) -> None:
        """Wait for `start`."""
        self._numbers = tuple(sorted(int(number) for number in signal.valid_signals()))
        self._calls: SignalCalls | None = None
        self._settings = Settings()  # of the mask and the wakeup fd
        self._changes = 0
        self._recorder: Recorder | None = None
        self._loops: AsyncioTable | None = None
        # Handlers set past `signal.signal`: by faulthandler, or by C functions that ctypes calls.
        # Those of C libraries (libev's for SIGCHLD, a virtual machine's for SIGSEGV) are theirs.
        self._past_python: set[int] = set()
        self._caught_before: frozenset[int] = frozenset()
        self._through_ctypes: Creation | None = None

    def start(self, recorder: Recorder) -> None:
        """Wrap the functions that change a slot; none of them raises an audit event."""
        self._recorder = recorder
        self._calls = SignalCalls(recorder, COMMON)
        self._loops = recorder.service(AsyncioTable)
        self._loops.closing.describers[self.kind] = self.describe
        self._loops.closing.creators[self.kind] = lambda key: self.creation(key, None)
        recorder.wrap(signal, "set_wakeup_fd", self._recording_wakeup_fd)
        recorder.wrap(signal, "pthread_sigmask", self._recording_mask)
        if caught_signals():
            # Not ``enable``: that is a setting of the whole process, most often the test runner's.
            recorder.wrap(faulthandler, "register", self._past_signal)
            recorder.wrap(faulthandler, "unregister", self._past_signal)
            recorder.on("ctypes.dlsym", self._note_symbol)

    def stop(self) -> None:
        """Forget the tests that installed what is still there."""
        self._known_calls().close()
        self._settings.forget()
        vars(self).pop("_chains", None)

    def _known_recorder(self) -> Recorder:
        assert self._recorder is not None, "start() comes first"
        return self._recorder

    def _known_calls(self) -> SignalCalls:
        assert self._calls is not None, "start() comes first"
        return self._calls

    def _recording_mask(self, original: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if System.get_ident() != MAIN:  # each thread has a mask of its own
                return original(*args, **kwargs)
            before = blocked()
            result = original(*args, **kwargs)
            self._settings.note(_MASK, before, blocked(), self._known_recorder().creation(None))
            return result

        return wrapper

    def _recording_wakeup_fd(self, original: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            former, lost = original(*args, **kwargs), take_lost_wakeup_fd()
            before = lost if former == -1 else former
            made = self._known_recorder().creation(None)
            self._settings.note(_WAKEUP, before, args[0], made)
            return before

        return wrapper

    def _past_signal(self, original: Any) -> Any:
        def wrapper(signum: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(signum, *args, **kwargs)
            self._changes += 1
            self._past_python.add(int(signum))
            self._known_calls().note(int(signum))
            return result

        return wrapper

    def _note_symbol(self, args: tuple[Any, ...]) -> None:
        if args[1] in _C_FUNCTIONS:
            assert self._recorder is not None
            if self._through_ctypes is None:
                self._caught_before = caught_signals() - self._past_python
            self._through_ctypes = self._recorder.creation(None)

    def reading(self) -> object:
        """Read the slots of the common signals, in C; changes of others are counted."""
        loops: Any = self._loops
        return (
            read_slots(),
            self._changes + self._known_calls().others,
            loops.signal_handler_count() if loops.has_loops else 0,
            len(loops.closing.caught_handlers),
            caught_signals() if self._through_ctypes is not None else None,
        )

    def probes(self) -> Collection[Callable[[], object]]:
        """Ask for the slots that can be set past the wrapped functions, all but those of loops."""
        return (read_slots, caught_signals) if self._through_ctypes is not None else (read_slots,)

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List all slots, and the handlers that live loops keep."""
        slots: dict[Hashable, Any] = {number: getsignal(number) for number in self._numbers}
        if self._past_python or self._through_ctypes is not None:
            for number in self._caught_in_c():
                if is_constant(slots.get(number)):
                    slots[number] = _C_HANDLER
        slots[_WAKEUP] = wakeup_fd()
        if (mask := blocked()) is not None:
            slots[_MASK] = mask
        if self._loops is not None:
            slots.update(self._loops.signal_handlers())
        return slots

    def _caught_in_c(self) -> Collection[int]:
        caught = caught_signals()
        if self._through_ctypes is not None:
            return caught - self._caught_before
        return caught & self._past_python

    def drain(self) -> Collection[Captured]:
        """Return the handlers of loops that a runner was about to close."""
        assert self._loops is not None
        closing = self._loops.closing
        caught, closing.caught_handlers = closing.caught_handlers, []
        return caught

    def forget(self) -> None:
        """Drop the records of changes that were undone."""
        self._known_calls().forget()
        self._settings.forget()

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Return who changed the slot last."""
        if isinstance(key, tuple):
            key = key[2]
        if key in {_MASK, _WAKEUP}:
            return self._settings.last(key)
        seen = self._known_calls().last(key)
        if seen is not None:
            return Creation(*seen)
        return self._through_ctypes if value is _C_HANDLER else None

    def anchor(self, key: Hashable, value: Any) -> Any:
        """Return the handler, if it is an object."""
        return value if callable(value) and not is_a(value, BuiltinFunctionType) else None

    def kept_as(self, key: Hashable, value: Any) -> Any:
        """Return the object whose method the handler is."""
        return value.__self__ if is_a(value, MethodType) else None

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say signal, old and new handler, and how deep they are chained."""
        from pytest_resource_hygiene.trackers import _signal_words as words

        if key == _WAKEUP:
            return words.describe_wakeup_fd(value, old)
        if key == _MASK:
            return words.describe_mask(value, old)
        if isinstance(key, tuple):
            return words.describe_loop_handler(key[2], value)
        assert isinstance(key, int), "all other keys are numbers of signals"
        return words.describe_handler(key, value, old, self._depth(key, value))

    def _depth(self, number: int, handler: Any) -> int:
        return self._chains.depth(number, handler)

    @cached_property
    def _chains(self) -> HandlerChains:
        # Loaded with the first handler that is put in words: a clean run never needs it.
        from pytest_resource_hygiene.trackers._handler_chains import HandlerChains

        return HandlerChains(self._known_calls())

    def is_default(self, key: Hashable, value: Any) -> bool:
        """Return whether no code of anybody's answers to the signal."""
        is_first = value is signal.default_int_handler
        return isinstance(key, int) and (
            is_first or (is_constant(value) and value == signal.SIG_DFL)
        )

    def restore(self, key: Hashable, value: Any, old: Any) -> bool:
        """Set the slot to what it was."""
        if System.get_ident() != MAIN:
            return False
        if isinstance(key, tuple):
            taken = _take_from_loop(key[1].ref(), key[2])
            self._settings.forget()  # what the loop has unset with it, it has done for us
            return taken
        if key == _WAKEUP:
            take_lost_wakeup_fd()
            try:
                set_wakeup_fd(old if isinstance(old, int) else -1)
            except (OSError, ValueError):  # it was closed, and may be the number of another file
                return False
        elif key == _MASK:
            set_mask(signal.SIG_SETMASK, old)
        elif isinstance(key, int) and old is not None:
            if value is _C_HANDLER and key in self._past_python:
                faulthandler.unregister(key)
            set_handler(key, int(old) if isinstance(old, int) else old)
        else:  # a handler that was set from C cannot be set from Python
            return False
        return True

    def iter_limits(self) -> Iterator[tuple[str, str, int, Creation | None]]:
        """Count each signal's chain as its listeners."""
        for number, installed in self._known_calls().by_signal():
            handler = getsignal(number)
            # A tool's handler reaches the whole session, and its chain is not the project's.
            if len(installed) > 1 and not self._is_tool(handler):
                from pytest_resource_hygiene.trackers._signal_words import signal_name

                depth = self._depth(number, handler)
                yield "process", signal_name(number), depth, Creation(*installed[-1][1])

    def _is_tool(self, handler: Any) -> bool:
        return self._recorder is not None and self._recorder.is_tool_code(handler)

    def blind_spot(self) -> str | None:
        """Name what Windows does not have."""
        return None if set_mask is not None else "no signal masks on this platform"

    def specimen(self) -> AbstractContextManager[object] | None:
        """Hold a handler for a signal that is hardly ever used."""
        number = getattr(signal, "SIGURG", None)
        return _Handler(number) if number is not None else None


def _take_from_loop(loop: Any, number: int) -> bool:
    """Have a loop forget a handler; with one left, it would keep the wakeup fd of its next one."""
    if loop is None or loop.is_closed() or loop.is_running():
        return False
    with suppress(Exception):  # whatever a loop of somebody's own may raise
        return bool(loop.remove_signal_handler(number))
    return False


class _Handler:
    """Context with a handler set."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number

    def __enter__(self) -> None:
        self._old = signal.signal(self._number, _ignore)

    def __exit__(self, *exc: object) -> None:
        signal.signal(self._number, self._old)


def _ignore(number: int, frame: Any) -> None:
    """Stand in for a handler."""


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return SignalTracker()
