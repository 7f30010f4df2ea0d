"""The SQLite file of the sessions: opened, recognised as ours, locked, and kept in its place."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from claude_wrapper.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SessionFile"]

logger = logging.getLogger(__name__)

LOCK_PATIENCE = 2.0
VERSION = 1
COLUMNS = ["key", "owner", "used", "expires", "size", "body"]
# Keys are bytes because a client may name its session with half a surrogate, which is no text.
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS sessions (
    key BLOB PRIMARY KEY, owner TEXT NOT NULL, used INTEGER NOT NULL, expires REAL NOT NULL,
    size INTEGER NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_use ON sessions (used);
CREATE INDEX IF NOT EXISTS by_owner ON sessions (owner, used);
DROP INDEX IF EXISTS by_expiry;
CREATE INDEX IF NOT EXISTS by_end ON sessions (expires, used);
PRAGMA user_version = {VERSION};
"""

COUNTS = "SELECT count(*), coalesce(sum(size), 0), coalesce(max(used), 0) FROM sessions"


class SessionFile:
    """The open file.

    Args:
        path: Where it is; it is made when it is missing, its folder is not.

    Attributes:
        connection: What reads and writes it.
        held: The number of its sessions, their bytes, and the number of the newest use.

    Raises:
        SettingsError: The file cannot be used, is of something else, or another server uses it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.connection, self.held = _open_sessions(path)
        self._opened = path.stat()

    def keep_in_place(self) -> None:
        """Write the file anew where somebody has removed it: all of it is still here until we end.

        Raises:
            sqlite3.Error: It cannot be written anew, or another file has its place.
        """
        try:
            found = os.stat(self._path)  # noqa: PTH116  # pathlib interns parts of paths
        except FileNotFoundError:
            self._write_anew()
            return
        except OSError as error:
            raise sqlite3.OperationalError(f"its file cannot be seen: {error.strerror}") from error
        if not os.path.samestat(found, self._opened):
            raise sqlite3.OperationalError(
                "another file was put in the place of its own; restart the server to use that one"
            )

    def close(self) -> None:
        """Close it; twice is harmless."""
        self.connection.close()

    def _write_anew(self) -> None:
        try:
            newer, _ = _open_sessions(self._path)
        except SettingsError as error:
            raise sqlite3.OperationalError(f"its file was removed, and {error}") from error
        try:
            self._copy_to(newer)
        except BaseException:
            newer.close()
            # What is there is ours and not whole; the next try begins with none.
            with suppress(OSError):
                self._path.unlink()
            raise
        self.connection.close()
        self.connection, self._opened = newer, self._path.stat()
        logger.warning("the session store %s had been removed; it was written anew", self._path)

    def _copy_to(self, newer: sqlite3.Connection) -> None:
        self.connection.backup(newer)


def _open_sessions(path: Path) -> tuple[sqlite3.Connection, tuple[int, int, int]]:
    """The locked file; it is made when it is missing, its folder is not.

    With it come the number of its sessions, their bytes, and the number of the newest use.

    Raises:
        SettingsError: The file cannot be used, is of something else, or another server uses it.
    """
    _make(path)
    connection = sqlite3.connect(
        path, timeout=LOCK_PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        _recognize(connection, path)
        path.chmod(0o600)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(SCHEMA)
        counts = connection.execute(COUNTS).fetchone()
    except sqlite3.Error as error:
        connection.close()
        raise _unusable(
            path, f"{error}; another server may use it, or it is not an SQLite file"
        ) from None
    except OSError as error:
        connection.close()
        raise _unusable(path, f"{error.strerror}") from None
    except SettingsError:
        connection.close()
        raise
    return connection, counts


def _make(path: Path) -> None:
    """Make the file where there is none."""
    try:
        # By us and not by SQLite, so that it is never readable by others, not for a moment.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o600))
    except OSError as error:
        raise _unusable(path, f"{error.strerror}; its folder must exist and be writable") from None
    if not path.is_file():
        raise _unusable(path, "it is no regular file")


def _recognize(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse what is not ours before a bit of it is changed: a path is soon mistyped."""
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    columns = [row[1] for row in connection.execute("PRAGMA table_info(sessions)")]
    if tables and columns != COLUMNS:
        raise _unusable(path, "it is the database of something else; name another file")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise _unusable(
            path, f"a newer release wrote it (version {version}, this one knows {VERSION})"
        )


def _unusable(path: Path, reason: str) -> SettingsError:
    return SettingsError(f"the session store {str(path)!r} cannot be used: {reason}")
