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
import weakref
from _locale import LC_ALL as _LC_ALL  # built in; `locale` costs more to ask and to import
from _locale import setlocale as _setlocale
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_resource_hygiene.recorder import Creation
from pytest_resource_hygiene.tracker import Description, Moment, Tracker
from pytest_resource_hygiene.trackers._secrets import HIDDEN, names_a_secret, without_passwords

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from pytest_resource_hygiene.recorder import Recorder


# The test runner sets these for every test and every worker.
_RUNNERS = ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_")
_RUNNERS_RAW = frozenset({b"PYTEST_CURRENT_TEST", "PYTEST_CURRENT_TEST"})

_MAX_SHOWN = 60

_CWD = "cwd"
_UMASK = "umask"
_LOCALE = "locale"
_PATH = "sys.path"
_MODULES = "sys.modules"
_CANARY = "RESOURCE_HYGIENE_CANARY"
_HINTS = {
    _CWD: "use monkeypatch.chdir() or `with contextlib.chdir(...):`",
    _UMASK: "call os.umask() again with what it returned",
    _LOCALE: "keep what locale.setlocale(locale.LC_ALL) returned and set it again when done",
    _PATH: "use monkeypatch.syspath_prepend(), or put the previous list back",
    _MODULES: "use monkeypatch.delitem() or setitem() on sys.modules, which puts modules back",
}


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
        self._modules = _Modules()

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
        if name in _RUNNERS_RAW or self._site is None:
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
        with suppress(OSError, ValueError), Path("/proc/self/status").open("rb") as status:
            for line in status:
                if line.startswith(b"Umask:"):
                    return int(line[6:], 8)
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
            return _describe_variable(str(key[1]), value, old)
        if key == _PATH:
            return _describe_path(value, old or ())
        if key == _MODULES:
            return self._describe_modules(value, old or frozenset())
        shown = f"{value:#o}" if key == _UMASK else repr(value)
        before = f"{old:#o}" if key == _UMASK and isinstance(old, int) else repr(old)
        return Description(
            summary=f"{key} changed: {before} -> {shown}",
            target=str(key),
            details={"setting": key, "old": before, "new": shown},
            hint=_HINTS.get(str(key), ""),
        )

    def _describe_modules(self, value: frozenset[str], old: frozenset[str]) -> Description:
        names = sorted(value - old)
        gone = [name for name in names if name not in sys.modules]
        replaced = [name for name in names if name in sys.modules]
        words = [f"{_some(gone)} removed"] if gone else []
        words += [f"{_some(replaced)} replaced"] if replaced else []
        return Description(
            summary=f"{_MODULES}: {', '.join(words) or 'put back'}",
            target=f"{_MODULES} {_some(names)}".strip(),
            details={"setting": _MODULES, "removed": gone, "replaced": replaced},
            hint=_HINTS[_MODULES],
        )

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


class _Modules:
    """Remembers which modules there were, without keeping one alive."""

    def __init__(self) -> None:
        self._seen: dict[str, Any] = {}
        self._lost: dict[str, Any] = {}

    def look(self) -> frozenset[str]:
        """Return the names whose module was taken away, and has not been put back.

        Imported anew after it was removed, a name stays in: the next test, which has to import it,
        did nothing wrong.
        """
        present = {name: _reference(module) for name, module in list(sys.modules.items())}
        for name, reference in list(self._lost.items()):
            if _same(present.get(name), reference):
                del self._lost[name]
        for name, reference in self._seen.items():
            if name not in self._lost and not _same(present.get(name), reference):
                self._lost[name] = reference
        self._seen = present
        return frozenset(self._lost)


def _reference(module: Any) -> Any:
    try:
        return weakref.ref(module)  # one object for all plain references to a module
    except TypeError:  # anything may be put into sys.modules
        return id(module)


def _same(one: Any, other: Any) -> bool:
    return one is other or (isinstance(one, int) and one == other)


def _cwd() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - a path object is of no use here
    except OSError:  # the folder was removed
        return None


def _locale() -> str:
    return _setlocale(_LC_ALL, None)


def _describe_variable(name: str, value: str | None, old: str | None) -> Description:
    new, before = _shown(name, value), _shown(name, old)
    if value is None:
        what = f"removed, was {before}"
    elif old is None:
        what = f"set to {new}"
    else:
        what = f"changed: {before} -> {new}"
    return Description(
        summary=f"environment variable {name} {what}",
        target=name,
        details={"variable": name, "old": before, "new": new},
        hint="use monkeypatch.setenv() or delenv(), or `with mock.patch.dict(os.environ):`",
    )


def _shown(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    if names_a_secret(name):
        return HIDDEN
    value = without_passwords(value)
    return repr(value if len(value) <= _MAX_SHOWN else value[: _MAX_SHOWN - 1] + "…")


def _describe_path(value: tuple[str, ...], old: tuple[str, ...]) -> Description:
    added = [str(entry) for entry in value if entry not in old]
    gone = [str(entry) for entry in old if entry not in value]
    words = [f"{_some(added)} added"] if added else []
    words += [f"{_some(gone)} removed"] if gone else []
    return Description(
        summary=f"{_PATH}: {', '.join(words) or 'order or repetitions changed'}",
        target=f"{_PATH} {_some(added or gone)}".strip(),
        details={"setting": _PATH, "added": added, "removed": gone},
        hint=_HINTS[_PATH],
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


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
