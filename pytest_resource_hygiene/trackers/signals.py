"""Who answers to which signal: handlers, the wakeup descriptor, the mask, and loops' own handlers.

A handler is a slot: it is *replaced*, never added. What piles up all the same are chains, handlers
that keep the one they found and call it afterwards. `chain` measures how deep such a chain is, by
following references from the present handler to handlers that were installed earlier; calls are
not analysed, so a handler that merely keeps an old one counts as well.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
import threading
from threading import get_ident
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.kernel import blocked_signals
from pytest_resource_hygiene.objects import addresses, attribute_of, is_a, referents
from pytest_resource_hygiene.recorder import Creation
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Captured, Description, Moment, Tracker
from pytest_resource_hygiene.trackers._asyncio_table import AsyncioTable
from pytest_resource_hygiene.trackers._signal_calls import SignalCalls

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from pytest_resource_hygiene.audit import Site
    from pytest_resource_hygiene.recorder import Recorder

# The C functions skip the conversion to enums, which costs twenty times the call; and nobody patches
# them: what is put back really is.
_fast: Any = sys.modules.get("_signal", signal)
_getsignal = _fast.getsignal
_signal = _fast.signal
_sigmask: Any = getattr(_fast, "pthread_sigmask", None)
_set_wakeup_fd = _fast.set_wakeup_fd
_MAIN = threading.main_thread().ident
_SIG_BLOCK = int(getattr(signal, "SIG_BLOCK", 0))
# Read each time, for they may be set past the wrapped function; changes of others are counted.
_COMMON = tuple(
    int(number)
    for name in ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM", "CHLD", "PIPE", "BREAK")
    if (number := getattr(signal, f"SIG{name}", None)) is not None
)
_MAX_WALK = 5_000
_C_HANDLER = None  # what `signal.getsignal` says of a handler that Python did not set
_C_FUNCTIONS = frozenset({"signal", "sigaction", "bsd_signal", "sysv_signal"})
_MASK = "mask"
_WAKEUP = "wakeup_fd"


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
        self._changes = 0
        self._depths: dict[int, tuple[tuple[int, Site] | None, int]] = {}
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
        self._calls = SignalCalls(recorder, _COMMON)
        self._loops = recorder.service(AsyncioTable)
        self._loops.describers[self.kind] = self.describe
        self._loops.creators[self.kind] = lambda key: self.creation(key, None)
        recorder.wrap(signal, "set_wakeup_fd", self._recording(lambda *_: _WAKEUP))
        recorder.wrap(signal, "pthread_sigmask", self._recording(lambda *_: _MASK))
        if _caught():
            # Not ``enable``: that is a setting of the whole process, most often the test runner's.
            recorder.wrap(faulthandler, "register", self._past_signal)
            recorder.wrap(faulthandler, "unregister", self._past_signal)
            recorder.on("ctypes.dlsym", self._note_symbol)

    def _known_calls(self) -> SignalCalls:
        assert self._calls is not None, "start() comes first"
        return self._calls

    def _recording(self, key_of: Any) -> Any:
        def make(original: Any) -> Any:
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                result = original(*args, **kwargs)
                self._known_calls().note(key_of(*args))
                return result

            return wrapper

        return make

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
                self._caught_before = _caught() - self._past_python
            self._through_ctypes = self._recorder.creation(None)

    def reading(self) -> object:
        """Read the slots of the common signals, in C; changes of others are counted."""
        loops: Any = self._loops
        return (
            _slots(),
            self._changes + self._known_calls().others,
            loops.signal_handler_count() if loops.has_loops else 0,
            len(loops.caught_handlers),
            _caught() if self._through_ctypes is not None else None,
        )

    def probes(self) -> Collection[Callable[[], object]]:
        """Ask for the slots that can be set past the wrapped functions, all but those of loops."""
        return (_slots, _caught) if self._through_ctypes is not None else (_slots,)

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List all slots, and the handlers that live loops keep."""
        slots: dict[Hashable, Any] = {number: _getsignal(number) for number in self._numbers}
        if self._past_python or self._through_ctypes is not None:
            for number in self._caught_in_c():
                if _is_plain(slots.get(number)):
                    slots[number] = _C_HANDLER
        slots[_WAKEUP] = _wakeup_fd()
        if _sigmask is not None:
            slots[_MASK] = frozenset(map(int, _sigmask(_SIG_BLOCK, ())))
        if self._loops is not None:
            slots.update(self._loops.signal_handlers())
        return slots

    def _caught_in_c(self) -> Collection[int]:
        caught = _caught()
        if self._through_ctypes is not None:
            return caught - self._caught_before
        return caught & self._past_python

    def drain(self) -> Collection[Captured]:
        """Return the handlers of loops that a runner was about to close."""
        assert self._loops is not None
        caught, self._loops.caught_handlers = self._loops.caught_handlers, []
        return caught

    def forget(self) -> None:
        """Drop the records of changes that were undone."""
        self._known_calls().forget()

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Return who changed the slot last."""
        if isinstance(key, tuple):
            key = key[2]
        seen = self._known_calls().last(key)
        if seen is not None:
            return Creation(*seen)
        return self._through_ctypes if value is _C_HANDLER else None

    def anchor(self, key: Hashable, value: Any) -> Any:
        """Return the handler, if it is an object."""
        return value if callable(value) and not isinstance(value, BuiltinFunctionType) else None

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say signal, old and new handler, and how deep they are chained."""
        if key == _WAKEUP:
            return Description(
                summary=f"wakeup fd {_shown_fd(old)} replaced by {_shown_fd(value)}",
                target=_WAKEUP,
                details={"old": old, "new": value},
                hint="put the previous one back with signal.set_wakeup_fd()",
            )
        if key == _MASK:
            added, gone = sorted(value - (old or set())), sorted((old or set()) - value)
            words = [f"{_names(added)} now blocked"] if added else []
            words += [f"{_names(gone)} no longer blocked"] if gone else []
            return Description(
                summary=f"signal mask: {', '.join(words)}",
                target=f"{_MASK} {_names(added)} {_names(gone)}".strip(),
                details={"blocked": _names(added), "unblocked": _names(gone)},
                hint="put the previous mask back with signal.pthread_sigmask(SIG_SETMASK, old)",
            )
        return self._describe_handler(key, value, old)

    def _describe_handler(self, key: Hashable, value: Any, old: Any) -> Description:
        in_loop = isinstance(key, tuple)
        number: Any = key[2] if isinstance(key, tuple) else key
        name, new = _name(number), _handler_name(value)
        details: dict[str, Any] = {"signal": name, "new": new}
        if in_loop:
            return Description(
                summary=f"{name}: loop signal handler {new}",
                target=f"{name} {new}",
                details=details,
                hint=f"call loop.remove_signal_handler(signal.{name}) when done",
            )
        details["old"] = _handler_name(old)
        depth = self.chain(number, value)
        deep = f" ({name}: {depth} handlers deep)" if depth > 1 else ""
        if depth > 1:
            details["depth"] = depth
        return Description(
            summary=f"{name}: handler {details['old']} replaced by {new}{deep}",
            target=f"{name} {new}",
            details=details,
            hint=f"call faulthandler.unregister(signal.{name}), or what undoes it in the C library"
            if value is _C_HANDLER
            else f"keep what signal.signal(signal.{name}, ...) returned and set it again when done",
        )

    def chain(self, number: int, handler: Any) -> int:
        """Return how many handlers once installed for the signal the present one refers to."""
        if not callable(handler):
            return 0
        installed = self._known_calls().installed(number)
        known = [ref() for ref, _ in installed]
        others = {_identity(one) for one in known if one is not None} - {_identity(handler)}
        if not others:
            return 1
        # Without another installation no chain grows, and the walk is asked for in every judgement.
        state = _identity(handler), installed[-1][1]
        if self._depths.get(number, (None, 0))[0] != state:
            self._depths[number] = state, 1 + len(_reached(handler, others))
        return self._depths[number][1]

    def is_default(self, key: Hashable, value: Any) -> bool:
        """Return whether no code of anybody's answers to the signal."""
        is_first = value is signal.default_int_handler
        return isinstance(key, int) and (is_first or (_is_plain(value) and value == signal.SIG_DFL))

    def restore(self, key: Hashable, value: Any, old: Any) -> bool:
        """Set the slot to what it was."""
        if System.get_ident() != _MAIN or isinstance(key, tuple):
            return False
        if key == _WAKEUP:
            _set_wakeup_fd(old if isinstance(old, int) else -1)
        elif key == _MASK:
            _sigmask(signal.SIG_SETMASK, old)
        elif isinstance(key, int) and old is not None:
            if value is _C_HANDLER and key in self._past_python:
                faulthandler.unregister(key)
            _signal(key, int(old) if isinstance(old, int) else old)
        else:  # a handler that was set from C cannot be set from Python
            return False
        return True

    def iter_limits(self) -> Iterator[tuple[str, str, int, Creation | None]]:
        """Count each signal's chain as its listeners."""
        for number, installed in self._known_calls().by_signal():
            handler = _getsignal(number)
            # A tool's handler reaches the whole session, and its chain is not the project's.
            if len(installed) > 1 and not self._is_tool(handler):
                depth = self.chain(number, handler)
                yield "process", _name(number), depth, Creation(*installed[-1][1])

    def _is_tool(self, handler: Any) -> bool:
        return self._recorder is not None and self._recorder.is_tool_code(handler)

    def blind_spot(self) -> str | None:
        """Name what Windows does not have."""
        return None if _sigmask is not None else "no signal masks on this platform"

    def specimen(self) -> AbstractContextManager[object] | None:
        """Hold a handler for a signal that is hardly ever used."""
        number = getattr(signal, "SIGURG", None)
        return _Handler(number) if number is not None else None


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


def _caught() -> frozenset[int]:
    """Return the signals that a handler answers to, whoever set it; empty where none can tell.

    The mask is that of Linux, ``proc_pid_status(5)``: bit 0 stands for signal 1.
    """
    try:
        text = System.read("/proc/self/status")
    except OSError:
        return frozenset()
    line = text.partition(b"\nSigCgt:")[2].partition(b"\n")[0]
    mask = int(line, 16) if line.strip() else 0
    return frozenset(number for number in range(1, 65) if mask >> (number - 1) & 1)


def _slots() -> object:
    return (
        # A handler may raise when it is compared. Its id stays its own: our entry keeps it alive.
        addresses(map(_getsignal, _COMMON)),
        blocked_signals(),
        _wakeup_fd(),
    )


def _wakeup_fd() -> int:
    # There is no way to read it but to take it out and put it back, in the main thread.
    if get_ident() != _MAIN:
        return -1
    fd = _set_wakeup_fd(-1)
    if fd != -1:
        _set_wakeup_fd(fd, warn_on_full_buffer=False)
    return int(fd)


def _identity(handler: Any) -> int:
    if is_a(handler, MethodType):  # made anew at each access
        return hash((id(handler.__self__), id(handler.__func__)))
    return id(handler)


def _reached(handler: Any, wanted: set[int]) -> set[int]:
    """Return which of the wanted identities can be reached without passing through a module."""
    found: set[int] = set()
    seen = {id(handler)}
    modules: list[Any] = list(sys.modules.values())
    module_dicts = {id(vars(module)) for module in modules if is_a(module, ModuleType)}
    queue = [handler]
    while queue and len(seen) < _MAX_WALK and len(found) < len(wanted):
        obj = queue.pop()
        if _identity(obj) in wanted:
            found.add(_identity(obj))
        for other in referents(obj):
            if id(other) in seen or id(other) in module_dicts:
                continue
            seen.add(id(other))
            if not is_a(other, (type, ModuleType, str, bytes, int)):
                queue.append(other)
    return found


def _name(number: Any) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _names(numbers: list[int]) -> str:
    return ", ".join(map(_name, numbers))


def _shown_fd(fd: Any) -> str:
    return "none" if fd in {None, -1} else str(fd)


def _is_plain(handler: Any) -> bool:
    """Return whether it is none, but the default or to be ignored; a handler may refuse to compare."""
    return isinstance(handler, int) and handler in {signal.SIG_DFL, signal.SIG_IGN}


def _handler_name(handler: Any) -> str:
    if handler is None:
        return "a handler set from C"
    if _is_plain(handler):
        return signal.Handlers(handler).name
    handler = attribute_of(handler, "_callback", handler)  # an asyncio Handle
    if isinstance(handler, (FunctionType, MethodType, BuiltinFunctionType)):
        module = getattr(handler, "__module__", None)
        return f"{module.lstrip('_')}.{handler.__qualname__}" if module else handler.__qualname__
    return f"{type(handler).__module__}.{type(handler).__qualname__} object"


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return SignalTracker()
