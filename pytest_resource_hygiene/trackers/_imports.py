"""Tells when a module's body begins to run for the first time, and when it has.

There is an audit event for the beginning and none for the end. But the import system marks a module
as being initialised, in an attribute of its spec, and takes the mark away when the body has run or
failed. So the spec of a module that is being imported is given a class that hears of that. Nothing
is wrapped, and no frame of ours appears in the traceback of a failing import.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

    from pytest_resource_hygiene.recorder import Recorder, Stack

    _Callbacks = tuple[Callable[[], Any], Callable[[Any, Stack, Any, Any], None]]

__all__ = ["ImportWatch"]

_BOOTSTRAP = "<frozen importlib._bootstrap>"
_MARK = "_initializing"
_NEAR = 5  # frames of ours between the event and the import system


class ImportWatch:
    """Calls back around the first run of each module's body, in whatever thread that is.

    Args:
        recorder: is asked for the audit event, and shares this among several kinds.
    """

    def __init__(self, recorder: Recorder) -> None:
        """Call nobody yet."""
        self._recorder = recorder
        self._callbacks: list[_Callbacks] = []
        recorder.on("exec", self._note_exec)

    def add(self, began: Callable[[], Any], ended: Callable[[Any, Stack, Any, Any], None]) -> None:
        """Call these.

        Args:
            began: returns what is handed to ``ended``.
            ended: gets that, the stack whose innermost frame is the module's body, and the owner
                and the window of that moment.
        """
        self._callbacks.append((began, ended))

    def close(self) -> None:
        """Call nobody any more."""
        self._callbacks.clear()

    def _note_exec(self, args: tuple[Any, ...]) -> None:
        code = args[0]
        if getattr(code, "co_name", "") != "<module>" or not self._recorder.started or _is_traced():
            return
        spec = _spec_of(code)
        if spec is None:
            return
        stack, owner, window, *_ = self._recorder.site(None)
        stack = (code, 0, *stack)
        before = [(ended, began()) for began, ended in self._callbacks]

        def hear() -> None:
            for ended, begun in before:
                ended(begun, stack, owner, window)

        vars(spec)[_HEARER] = hear
        spec.__class__ = _HeardSpec


def _is_traced() -> bool:
    """Return whether a function in Python follows each call: it is to see no call of ours.

    That of coverage is told to leave other packages out, and is there all the time.
    """
    tracer = sys.gettrace()
    if not isinstance(tracer, FunctionType | MethodType):
        return False
    return not tracer.__module__.startswith("coverage.")


_HEARER = "_resource_hygiene_hearer"


def _spec_of(code: CodeType) -> ModuleSpec | None:
    """Return the spec of the module whose body is about to run, if an import runs it."""
    frame = System.getframe(2)  # the event does not tell the module
    for _ in range(_NEAR):
        if frame.f_code.co_filename == _BOOTSTRAP:
            args = frame.f_locals.get("args", ())
            if len(args) < 2 or args[0] is not code or not isinstance(args[1], dict):
                return None
            spec = args[1].get("__spec__")
            return spec if type(spec) is ModuleSpec and getattr(spec, _MARK, False) else None
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None


class _HeardSpec(ModuleSpec):
    """A spec for as long as its module is being imported."""

    @property
    def _initializing(self) -> bool:
        return bool(vars(self).get(_MARK, False))

    @_initializing.setter
    def _initializing(self, value: bool) -> None:
        vars(self)[_MARK] = value
        if not value:
            self.__class__ = ModuleSpec  # type: ignore[assignment]
            hearer = vars(self).pop(_HEARER, None)
            if hearer is not None:
                hearer()


_HeardSpec.__name__ = _HeardSpec.__qualname__ = "ModuleSpec"
