"""Which connection of `sqlite3` has a database's file open: the object itself does not tell.

SQLite opens files in C and gives nobody their numbers. What tells is the audit event that hands over
each new connection, just after the one that names its database (the standard library's table of
audit events).
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import instances_of
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_resource_hygiene.recorder import Recorder

__all__ = ["SqliteConnections"]

_MAX_CONNECTIONS = 10_000
_BESIDE = ("-journal", "-wal", "-shm")  # https://www.sqlite.org/tempfiles.html


class SqliteConnections:
    """Finds connections by the path of their database; one instance serves, as other tables do."""

    def __init__(self, recorder: Recorder) -> None:
        """Hear of connections from now on."""
        self._databases: dict[int, str] = {}  # by the thread that connects
        # By id, which a dropped connection leaves to the next: that is heard of as well. There are
        # no weak references to a connection.
        self._paths: dict[int, str] = {}
        recorder.on("sqlite3.connect", self._note_database)
        recorder.on("sqlite3.connect/handle", self._note_connection)

    def _note_database(self, args: tuple[Any, ...]) -> None:
        self._databases[System.get_ident()] = _path_in(args[0])

    def _note_connection(self, args: tuple[Any, ...]) -> None:
        path = self._databases.pop(System.get_ident(), "")
        self._paths.pop(id(args[0]), None)  # to come last, as in the order of their making
        if path:
            self._paths[id(args[0])] = path
        if len(self._paths) > _MAX_CONNECTIONS:
            del self._paths[next(iter(self._paths))]

    def close(self) -> None:
        """Forget everything."""
        self._paths.clear()

    def connection(self, target: str, fd: int, alike: Iterable[int]) -> Any:
        """Return the connection that has a file open, or None.

        Files of one database are taken to be opened in the order of its connections.

        Args:
            target: what the descriptor points to.
            fd: its number.
            alike: the numbers of all descriptors that point there.
        """
        if not self._paths or "sqlite3" not in sys.modules:
            return None
        path = target.removesuffix(" (deleted)")
        for ending in _BESIDE:
            path = path.removesuffix(ending)
        ids = [one for one, known in self._paths.items() if os.path.realpath(known) == path]
        if not ids:
            return None
        import sqlite3

        objects = {id(one): one for one in instances_of(sqlite3.Connection)}
        found = [objects[one] for one in ids if one in objects and _is_open(objects[one])]
        at = sorted({*alike, fd}).index(fd)
        return found[min(at, len(found) - 1)] if found else None


def _path_in(database: Any) -> str:
    """Return the absolute path of a database; of a URI, its path; empty if it has none."""
    try:
        name = os.fsdecode(database)
    except TypeError:
        return ""
    name = name.removeprefix("file:").partition("?")[0] if name.startswith("file:") else name
    return os.path.abspath(name) if name and name != ":memory:" else ""  # noqa: PTH100 - of anything


def _is_open(connection: Any) -> bool:
    import sqlite3

    try:
        # The one question that any thread may ask.
        vars(sqlite3.Connection)["total_changes"].__get__(connection)
    except sqlite3.Error:
        return False
    return True
