"""The stable identity of a finding: the same across runs, machines and shifted lines."""

from __future__ import annotations

import hashlib
import re
import sysconfig
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_resource_hygiene.model import Origin, OwnerInfo

__all__ = ["fingerprint", "relative"]

_STDLIB = sysconfig.get_path("stdlib") + "/"
_VARYING = re.compile(r"0x[0-9a-fA-F]+|\d+|/tmp/\S+|\[[^\]]*\]")  # noqa: S108 - looked for, not used


def fingerprint(
    kind: str, change: str, owner: OwnerInfo, origin: Origin | None, target: str, root: str
) -> str:
    """Hash what stays: kind, owner without parameters, the making line's text, class or target."""
    place = ("", "", "")
    if origin is not None:
        place = (relative(origin.file, root), origin.function, origin.text)
    parts = (kind, change, owner.type, owner.scope, _plain(owner.name), *place, _plain(target))
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


def relative(file: str, root: str) -> str:
    """Cut a path at the project's root or behind ``site-packages``, so that machines agree."""
    if root and file.startswith(root.rstrip("/") + "/"):
        return file[len(root.rstrip("/")) + 1 :]
    for marker in ("/site-packages/", "/dist-packages/"):
        if marker in file:
            return file.rpartition(marker)[2]
    return file.removeprefix(_STDLIB)


def _plain(text: str) -> str:
    return _VARYING.sub("#", text)
