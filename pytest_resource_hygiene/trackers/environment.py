"""Settings of the whole process: variables, working folder, umask, locale, import path, modules.

Every setting is a slot. A key that is gone is a change as well: a variable that the test deleted.

Cannot see: a module in `sys.modules` that is exchanged for another by assignment, before something
else changes; after the exchange was reported or allowed, a second one of the same module.
Values may be secrets: those of variables with a telling name, and passwords in addresses, are
never shown.
"""

from __future__ import annotations

import os
import sys
from _locale import LC_ALL as _LC_ALL  # built in; `locale` costs more to ask and to import
from _locale import setlocale as _setlocale
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_resource_hygiene.recorder import Creation
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Description, Moment, Tracker
from pytest_resource_hygiene.trackers._environment_words import (
    describe_modules,
    describe_path,
    describe_setting,
    describe_variable,
)
from pytest_resource_hygiene.trackers._modules_lost import ModulesLost

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from pytest_resource_hygiene.recorder import Recorder

__tracebackhide__ = True  # an error of a function that is wrapped here is not ours


# The test runner sets these for every test and every worker.
_RUNNERS = ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_")
# As the event has it: in bytes where variables are bytes.
_RUNNERS_RAW = "PYTEST_CURRENT_TEST" if os.name == "nt" else b"PYTEST_CURRENT_TEST"

_CWD = "cwd"
_UMASK = "umask"
_LOCALE = "locale"
_PATH = "sys.path"
_MODULES = "sys.modules"
_CANARY = "RESOURCE_HYGIENE_CANARY"


class EnvironmentTracker(Tracker):
    """Slots: one for each variable, and one each for the other settings."""

    kind = "environment"
    title = "process setting"
    severity: Literal["fail", "note", "off"] = "off"
    slots = True
    rank = 3
    settles = False
    collectable = False
    # Every key is a slot, so one that vanished was changed; for kinds whose keys come and go by
    # nature, a key that vanished is a resource that was closed.
    removals: ClassVar[bool] = True

    def __init__(self) -> None:
        """Wait for `start`."""
        self._events = 0
        self._changed: dict[Hashable, Any] = {}
        self._site: Callable[..., Any] | None = None
        self._umask: Callable[[int], int] = os.umask
        self._modules = ModulesLost()

    def start(self, recorder: Recorder) -> None:
        """Hook what raises audit events, wrap what does not."""
        self._site = recorder.site
        recorder.on("os.putenv", self._note_variable)
        recorder.on("os.unsetenv", self._note_variable)
        recorder.on("os.chdir", self._note_chdir)
        self._umask = os.umask
        recorder.wrap_result(os, "umask", lambda _, creation: self._note(_UMASK, creation))
        recorder.when_imported("locale", lambda: self._wrap_locale(recorder))
        self._modules.look()

    def _wrap_locale(self, recorder: Recorder) -> None:
        def note(_: object, creation: Creation) -> None:
            self._note(_LOCALE, creation)

        recorder.wrap_result(sys.modules["locale"], "setlocale", note)

    def _note(self, key: Hashable, site: Any) -> None:
        self._events += 1
        self._changed[key] = site

    def _note_variable(self, args: tuple[Any, ...]) -> None:
        name = args[0]
        if name == _RUNNERS_RAW or self._site is None:
            return
        self._events += 1
        self._changed["env", os.fsdecode(name)] = self._site(None)

    def _note_chdir(self, args: tuple[Any, ...]) -> None:
        if self._site is not None:
            self._events += 1
            self._changed[_CWD] = self._site(None)

    def reading(self) -> object:
        """Return changes seen, and what can be changed without being seen."""
        return self._events, _locale(), tuple(sys.path), len(sys.modules)

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List every setting with its value."""
        found: dict[Hashable, Any] = {
            ("env", name): value
            for name, value in os.environ.items()
            if not name.startswith(_RUNNERS)
        }
        found[_CWD] = _cwd()
        found[_UMASK] = self._read_umask()
        found[_LOCALE] = _locale()
        found[_PATH] = tuple(sys.path)
        found[_MODULES] = self._modules.look()
        return found

    def _read_umask(self) -> int:
        # The only call that tells it also sets it, for other threads too: better to ask /proc.
        with suppress(OSError, ValueError):
            status = System.read("/proc/self/status")
            return int(status.partition(b"\nUmask:")[2].partition(b"\n")[0], 8)
        mask = self._umask(0o077)
        self._umask(mask)
        return mask

    def forget(self) -> None:
        """Drop the records of changes: they were undone, or have been judged."""
        self._changed.clear()

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Return who changed the setting last; assigning to `sys.path` leaves no trace."""
        site = self._changed.get(key)
        return Creation(*site) if site is not None else None

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say old and new value, unless it may be a secret; None stands for no value."""
        if isinstance(key, tuple):
            return describe_variable(str(key[1]), value, old)
        if key == _PATH:
            return describe_path(value, old)
        if key == _MODULES:
            return describe_modules(value, old)
        return describe_setting(str(key), value, old)

    def restore(self, key: Hashable, value: Any, old: Any) -> bool:
        """Put a setting back; ``old`` None means that the variable was not set."""
        if isinstance(key, tuple):
            name = str(key[1])
            if old is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = old
        elif key == _CWD and old is not None:
            with suppress(OSError):  # the folder may be gone by now
                os.chdir(old)
            return bool(_cwd() == old)
        elif key == _UMASK:
            self._umask(old)
        elif key == _LOCALE and old is not None:
            _setlocale(_LC_ALL, old)
        elif key == _PATH:
            sys.path[:] = old
        else:
            return False
        return True

    def specimen(self) -> AbstractContextManager[object]:
        """Set a variable."""
        return _variable_set()


def _cwd() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - a path object is of no use here
    except OSError:  # the folder was removed
        return None


def _locale() -> str:
    return _setlocale(_LC_ALL, None)


@contextmanager
def _variable_set() -> Iterator[object]:
    os.environ[_CANARY] = "1"
    try:
        yield _CANARY
    finally:
        os.environ.pop(_CANARY, None)


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return EnvironmentTracker()
