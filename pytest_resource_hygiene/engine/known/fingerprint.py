"""The stable identity of a finding: the same across runs, machines and shifted lines."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_resource_hygiene.model import Origin, OwnerInfo

__all__ = ["fingerprint", "place_words", "relative", "without_parameters"]

_STDLIB = os.path.dirname(os.__file__) + "/"  # noqa: PTH120 - without resolving links
# Compiled with the first finding: a clean run does not need it.
_VARYING = r"0x[0-9a-fA-F]+|\d+|(?:/var)?/tmp/\S+|/var/folders/\S+|\[[^\]]*\]"
_FOLDER_OF_RUN = r"^.*/pytest-of-[^/]+/pytest-\d+(?=/)"
_START = r"(?<![\w.~-])"  # of a path: ``/app`` does not begin within ``/srv/app``
_TEMPORARY = ("TMPDIR", "TEMP", "TMP")


def fingerprint(
    kind: str, change: str, owner: OwnerInfo, origin: Origin | None, target: str, root: str
) -> str:
    """Hash what stays: kind, owner without parameters, the making line's text, class or target.

    Of a fixture also the file that defines it: each of a hundred files may have its own `client`.
    Numbers are left out of the target (ports, pids, addresses), and so are the folders of this
    machine; they stay in the owner's name, where ``test_1`` and ``test_2`` are two tests.
    """
    place = ("", "", "")
    if origin is not None:
        place = (_in_any_run(relative(origin.file, root)), origin.function, origin.text)
    name = without_parameters(owner.name)
    defined = (owner.location.rpartition(":")[0],) if owner.location else ()
    parts = (kind, change, owner.type, owner.scope, name, *defined, *place, _plain(target, root))
    return hashlib.sha256("\x1f".join(parts).encode(errors="surrogateescape")).hexdigest()[:16]


def relative(file: str, root: str) -> str:
    """Cut a path at the project's root or behind ``site-packages``, so that machines agree."""
    if os.sep == "\\":
        file, root = file.replace("\\", "/"), root.replace("\\", "/")
    if root and file.startswith(root.rstrip("/") + "/"):
        return file[len(root.rstrip("/")) + 1 :]
    for marker in ("/site-packages/", "/dist-packages/"):
        if marker in file:
            return file.rpartition(marker)[2]
    return file.removeprefix(_STDLIB)


def place_words(file: str, function: str) -> str:
    """Return how a baseline names the place of a making line, its file as `relative` has it."""
    return f"{_in_any_run(file)} in {function}"


def _in_any_run(file: str) -> str:
    """Cut off the folder of `tmp_path` that is another in each run: a test may write its own code."""
    return re.sub(_FOLDER_OF_RUN, "", file) if "/pytest-of-" in file else file


def without_parameters(nodeid: str) -> str:
    """Return a node id without what ``parametrize`` adds; brackets in folder names stay."""
    path, colons, rest = nodeid.partition("::")
    return f"{path}{colons}{rest.partition('[')[0]}"


def _plain(text: str, root: str) -> str:
    root = root.rstrip("/")
    if root:
        text = re.sub(rf"{_START}{re.escape(root)}(?:/|(?=\W|$))", "", text)
    for pattern, name in _folders_of_this_machine():
        text = pattern.sub(name, text)
    return re.sub(_VARYING, "#", text)


@cache
def _folders_of_this_machine() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return folders that other machines call otherwise, the longest first, with what stands for them.

    Temporary names are drawn anew by every run, so nothing below that folder is kept.
    """
    import sysconfig

    folders = {
        sysconfig.get_path("purelib"): "packages",
        _STDLIB.rstrip("/"): "stdlib",
        sys.prefix: "prefix",
        sys.base_prefix: "prefix",
        str(Path("~").expanduser()): "home",
    }
    # Not `tempfile.gettempdir`: its first call makes a file, in the process that we watch.
    folders |= {os.environ[name].rstrip("/"): "#" for name in _TEMPORARY if os.environ.get(name)}
    found = []
    for folder in sorted(folders, key=len, reverse=True):
        if folder.strip("/~"):
            below = r"(?:/\S+)?" if folders[folder] == "#" else ""
            pattern = re.compile(rf"{_START}{re.escape(folder)}(?=/|\s|$){below}")
            found.append((pattern, folders[folder]))
    return tuple(found)
