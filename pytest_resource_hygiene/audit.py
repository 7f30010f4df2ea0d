"""The audit hook, and the walk of the frames: in C where that was compiled, else in Python.

An audit hook can never be removed from an interpreter, so there is one per process, and switching
off can only mean that it finds nothing to call.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.compiled import speedups

if TYPE_CHECKING:
    from contextvars import ContextVar
    from types import CodeType, FrameType

__all__ = ["Handler", "Noting", "Openings", "Site", "Sites", "Stack", "Unless", "set_handlers"]

Handler = Callable[[tuple[Any, ...]], None]
Stack = tuple[Any, ...]  # code, offset, code, offset, ... innermost first
Site = tuple[Stack, Any, Any, Any, Any]

_MAX_FRAMES = 64
_getframe = sys._getframe  # noqa: SLF001 - its purpose
_get_ident = threading.get_ident
_handlers: dict[str, Handler] = {}
_is_installed = False
_FILE = (lambda: None).__code__.co_filename


def _hook(event: str, args: tuple[Any, ...]) -> None:
    # Thousands of events a second are none of ours: one look-up is all that they may cost.
    handlers = _handlers
    if event in handlers:
        handlers[event](args)


def set_handlers(handlers: dict[str, Handler], /) -> None:
    """Call ``handlers[event](args)`` at each audit event of that name, and none of those before."""
    global _handlers, _is_installed  # noqa: PLW0603 - an audit hook is per process, for ever
    _handlers = handlers  # replaced as a whole: other threads may be looking
    if not _is_installed:
        _is_installed = True
        sys.addaudithook(_hook)


class Sites:
    """Takes down where things are made, and for whom; a subclass knows who made a thread.

    Args:
        stop_files: names of files; a stack ends before the first frame of one of them.
        own_file: the name, as an object, of a file whose frames are left out.
        owner_var: who is at work in a context.
        main_ident: the ident of the main thread.

    Attributes:
        window: the owner whose window is open in the main thread; to be set.
        begun: the owner that began last.
        begins: how many have begun.
        pulse: equal to that of before only if nothing was taken down since, and nobody called
            `stir`. No number here: two threads that count at once would lose a step, and with it
            the only sign that something has happened.
        lasting: the same, but for what was taken down as passing.
    """

    def __init__(
        self, stop_files: frozenset[str], own_file: str, owner_var: ContextVar[Any], main_ident: int
    ) -> None:
        self.window: Any = None
        self.begun: Any = None
        self.begins = 0
        self.pulse: object = object()
        self.lasting: object = object()
        self.owner_var = owner_var
        self._stop_files = stop_files
        self._own_file = own_file
        self._main_ident = main_ident

    def site(self, what: Any, depth: int = 2) -> Site:
        """Return the stack, the owner of the context, the window, the thread's maker, and ``what``.

        Args:
            what: anything.
            depth: frames to leave out; 0 begins with the function that asks, and the default with
                what raised the event whose handler asks.
        """
        self.lasting = object()
        return self.passing_site(what, depth + 1)

    def passing_site(self, what: Any, depth: int = 2) -> Site:
        """Return the same of something that is over at the end of most tests, as a task is.

        Whoever takes it down has to say then whether it is: see `Quiet`.
        """
        self.pulse = object()
        try:
            frame: FrameType | None = _getframe(depth + 1)
        except ValueError:  # a thread may run nothing but what is wrapped
            frame = None
        stack: list[Any] = []
        while frame is not None and len(stack) < 2 * _MAX_FRAMES:
            # Each look at ``f_code`` is an audit event of its own, so it is taken once.
            code: CodeType = frame.f_code
            file = code.co_filename
            if file in self._stop_files:
                break
            if file is not self._own_file and file is not _FILE:
                stack += (code, frame.f_lasti)
            frame = frame.f_back
        parent = None if _get_ident() == self._main_ident else self.maker_of_thread()
        return tuple(stack), self.owner_var.get(None), self.window, parent, what

    def stir(self) -> None:
        """Have the pulse differ: something has happened that is recorded elsewhere."""
        self.pulse = self.lasting = object()

    def begin(self, owner: Any) -> None:
        """Open the window of an owner, who is at work in this context from now on."""
        self.window = self.begun = owner
        self.begins += 1
        self.owner_var.set(owner)

    def end(self, owner: Any, window: Any) -> None:
        """Open another window if the owner's is open; in the main thread nobody is at work then."""
        if self.window is not owner:
            return
        self.window = window
        if _get_ident() == self._main_ident:
            self.owner_var.set(None)

    def maker_of_thread(self) -> Any:
        """Return the record of the thread that asks, or None; for a subclass to define."""
        raise NotImplementedError


class Openings:
    """A handler that takes down what is opened: by a name, or the object that has it open.

    Args:
        sites: takes it down.
        append: gets each record.
        nothing: if given, the event tells of an object. It is kept weakly, and this stands for one
            that has no weak references. Else it tells of a name, or of what is a number already
            and is left out.

    Attributes:
        count: how many names, or how many objects without weak references.
    """

    def __init__(
        self, sites: Sites, append: Callable[[Site], None], nothing: object = None, /
    ) -> None:
        self.count = 0
        self._sites = sites
        self._append = append
        self._nothing = nothing

    def __call__(self, args: tuple[Any, ...]) -> None:
        """Take it down, if the event tells of more than a number."""
        what, take_down = args[0], self._sites.site
        if self._nothing is not None:
            try:
                what, take_down = weakref.ref(what), self._sites.passing_site
            except TypeError:
                self.count += 1
                what = self._nothing
        elif what.__class__ is int:
            return
        else:
            self.count += 1
        self._append(take_down(what))


class Noting:
    """Stands for a function, and notes its first argument, weakly, and where that was.

    Args:
        original: called first; what it returns is returned.
        sites: tells where.
        records: gets a pair of reference and `Site` for each object.
        overflow: called after a record that is more than ``limit``.
        limit: a number of records.

    Attributes:
        quiet_thread: the ident of a thread in which nothing is noted at present, or 0; to be set,
            as ``limit`` is.
    """

    # Not in the dictionary, which `functools.wraps` fills with that of what is wrapped: perhaps
    # another of these, of a recorder that was there before.
    __slots__ = (
        "__dict__", "_original", "_overflow", "_records", "_site", "limit", "quiet_thread",
    )  # fmt: skip

    def __init__(
        self,
        original: Callable[..., Any],
        sites: Sites,
        records: list[tuple[weakref.ref[Any], Site]],
        overflow: Callable[[], None],
        limit: int,
        /,
    ) -> None:
        self.quiet_thread = 0
        self.limit = limit
        self._original = original
        self._site = sites.passing_site
        self._records = records
        self._overflow = overflow

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Be a method in a class, as a function is."""
        return self if instance is None else MethodType(self, instance)

    def __call__(self, thing: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call the original, and take down the object."""
        result = self._original(thing, *args, **kwargs)
        if self.quiet_thread != threading.get_ident():
            self._records.append((weakref.ref(thing), self._site(None, 1)))
            if len(self._records) > self.limit:
                self._overflow()
        return result


class Unless:
    """Stands for a method of one argument that something else is called for.

    Args:
        original: called for an argument of one of ``classes``.
        otherwise: called for all others, and however else somebody calls it.
        classes: exact ones; the set may grow.
    """

    __slots__ = ("__dict__", "_classes", "_original", "_otherwise")  # as above

    def __init__(
        self, original: Callable[..., Any], otherwise: Callable[..., Any], classes: set[type], /
    ) -> None:
        self._original = original
        self._otherwise = otherwise
        self._classes = classes

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Be a method in a class, as a function is."""
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call one or the other."""
        if len(args) == 2 and not kwargs and type(args[1]) in self._classes:
            return self._original(*args)
        return self._otherwise(*args, **kwargs)


if not TYPE_CHECKING and speedups is not None:
    Sites, set_handlers = speedups.Sites, speedups.set_handlers
    Openings, Noting, Unless = speedups.Openings, speedups.Noting, speedups.Unless
