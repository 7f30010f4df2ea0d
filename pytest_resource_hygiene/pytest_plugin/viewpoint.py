"""Paths as pytest shows them: from the folder in which it was started.

Findings name files from the project's folder, so that machines agree. On the terminal of somebody
who works in a folder of it, such a path leads nowhere, and such a node id runs no test.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

__all__ = ["Viewpoint"]


class Viewpoint:
    """Rewrites findings for the terminal.

    Args:
        config: for the project's folder and the one in which pytest was started.
    """

    def __init__(self, config: pytest.Config) -> None:
        """Look from there."""
        self._root = Path(config.rootpath)
        self._here = Path(config.invocation_params.dir)
        # In the root of the file system, as in a container, no path is shorter from there.
        folders = [one for one in (self._here, self._root) if one != one.parent]
        self._folders = [_below(one) for one in folders]
        self._paths: dict[str, str] = {}  # thousands of findings name the same few files

    def path(self, file: str) -> str:
        """Return a path of the project as it is from here; those of libraries stay."""
        if self._here == self._root:
            return file
        try:
            return self._paths[file]
        except KeyError:
            path = self._paths[file] = self._from_here(file)
            return path

    def _from_here(self, file: str) -> str:
        if not file or Path(file).is_absolute():
            return file
        found = self._root / file
        return os.path.relpath(found, self._here) if found.exists() else file

    def nodeid(self, nodeid: str) -> str:
        """Return a node id with which pytest finds the test from here."""
        file, colons, rest = nodeid.partition("::")
        return f"{self.path(file)}{colons}{rest}"

    def finding(self, finding: dict[str, Any]) -> dict[str, Any]:
        """Return a finding, as `Leak.to_dict` makes it, with the places that the terminal shows."""
        owner, origin = finding["owner"], finding["origin"]
        details = dict(finding["details"])
        if "owner_location" in details:
            details["owner_location"] = self._place(details["owner_location"])
        if "present_stack" in details:
            details["present_stack"] = [self._place(line) for line in details["present_stack"]]
        if owner["type"] == "test":
            owner = {**owner, "name": self.nodeid(owner["name"])}
        return {
            **finding,
            "summary": self._shortened(finding["summary"]),
            "details": details,
            "nodeid": self.nodeid(finding["nodeid"]),
            "made_during": self.nodeid(finding["made_during"]),
            "owner": owner,
            "origin": origin and {**origin, "file": self.path(origin["file"])},
            "stack": [{**one, "file": self.path(one["file"])} for one in finding["stack"]],
        }

    def _place(self, text: str) -> str:
        """Return ``file:line`` and what follows with the file as it is from here."""
        file, colon, rest = text.partition(":")
        return f"{self.path(file)}{colon}{rest}"

    def _shortened(self, text: str) -> str:
        """Return a summary in which a file of the project has no more path than it needs."""
        for folder in self._folders:
            text = folder.sub("", text)
        return text


def _below(folder: Path) -> re.Pattern[str]:
    """Return what matches a folder at the beginning of a path: ``/app/`` is not in ``/srv/app/``."""
    return re.compile(rf"(?<![\w.~-]){re.escape(str(folder))}{re.escape(os.sep)}")
