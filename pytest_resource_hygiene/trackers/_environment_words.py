"""Puts a changed setting of the process in words; values may be secrets, which are never shown."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.tracker import Description
from pytest_resource_hygiene.trackers._secrets import HIDDEN, names_a_secret, without_passwords

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["describe_modules", "describe_path", "describe_setting", "describe_variable"]

_MAX_SHOWN = 60
_MAX_NAMES = 3
_HINTS = {
    "cwd": "use monkeypatch.chdir() or `with contextlib.chdir(...):`",
    "umask": "call os.umask() again with what it returned",
    "locale": "keep what locale.setlocale(locale.LC_ALL) returned and set it again when done",
}


def describe_variable(name: str, value: str | None, old: str | None) -> Description:
    """Say what an environment variable was and is, unless it may be a secret; None for no value."""
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


def describe_path(value: tuple[str, ...], old: tuple[str, ...] | None) -> Description:
    """Say which entries of `sys.path` were added, and which removed."""
    before = old or ()
    added = [str(entry) for entry in value if entry not in before]
    gone = [str(entry) for entry in before if entry not in value]
    words = [f"{_some(added)} added"] if added else []
    words += [f"{_some(gone)} removed"] if gone else []
    return Description(
        summary=f"sys.path: {', '.join(words) or 'order or repetitions changed'}",
        target=f"sys.path {_some(added or gone)}".strip(),
        details={"setting": "sys.path", "added": added, "removed": gone},
        hint="use monkeypatch.syspath_prepend(), or put the previous list back",
    )


def describe_modules(lost: AbstractSet[str], old: AbstractSet[str] | None) -> Description:
    """Say which modules were taken out of `sys.modules`, and which of them have a successor."""
    names = sorted(lost - (old or frozenset()))
    gone = [name for name in names if name not in sys.modules]
    replaced = [name for name in names if name in sys.modules]
    words = [f"{_some(gone)} removed"] if gone else []
    words += [f"{_some(replaced)} replaced"] if replaced else []
    return Description(
        summary=f"sys.modules: {', '.join(words) or 'put back'}",
        target=f"sys.modules {_some(names)}".strip(),
        details={"setting": "sys.modules", "removed": gone, "replaced": replaced},
        hint="use monkeypatch.delitem() or setitem() on sys.modules, which puts modules back",
    )


def describe_setting(name: str, value: Any, old: Any) -> Description:
    """Say old and new value of the working folder, the umask or the locale."""
    write = oct if name == "umask" else repr
    after = write(value)
    before = write(old) if old is not None else repr(old)
    return Description(
        summary=f"{name} changed: {before} -> {after}",
        target=name,
        details={"setting": name, "old": before, "new": after},
        hint=_HINTS.get(name, ""),
    )


def _shown(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    if names_a_secret(name):
        return HIDDEN
    value = without_passwords(value)
    return repr(value if len(value) <= _MAX_SHOWN else value[: _MAX_SHOWN - 1] + "…")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more
