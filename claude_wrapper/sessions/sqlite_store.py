"""Sessions in an SQLite file: the same bounds as in memory, and they survive a restart.

One connection, used by one thread, which owns every statement. The file is locked for as long as
the server lives: two servers on one file would each miss what the other counts. Expiry goes by the
wall clock of the start, because no other clock survives a restart, and from then on by one that
cannot be set.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from claude_wrapper.errors import WrapperError
from claude_wrapper.lifecycle.worker_thread import WorkerThread
from claude_wrapper.sessions.codec import decode_session, encode_session
from claude_wrapper.sessions.record import (
    SWEEP_BATCH,
    Session,
    SessionLimits,
    SessionStats,
)
from claude_wrapper.sessions.sqlite_file import SessionFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from claude_wrapper.lifecycle import ResourceTracker

__all__ = ["SqliteStore"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

# In the order of the index: by use alone, every put would look at all rows.
# One row for all of them: SQLite gives the interpreter back for every row, and whoever has it when
# the system puts the thread aside holds the loop up.
BATCH = "SELECT key, owner, size FROM sessions WHERE expires <= ? ORDER BY expires, used LIMIT ?"
EXPIRED = f"SELECT json_group_array(json_array(hex(key), owner, size)) FROM ({BATCH})"  # noqa: S608  # ours
REMOVE_EXPIRED = f"DELETE FROM sessions WHERE key IN (SELECT key FROM ({BATCH}))"  # noqa: S608  # ours
OLDEST = "SELECT key, owner, size FROM sessions ORDER BY used LIMIT 1"


@dataclass
class _Counts:
    active: int = 0
    size: int = 0
    created: int = 0
    expired: int = 0
    evicted: int = 0
    used: int = 0
    removed: list[tuple[bytes, str]] = field(default_factory=list)


class SqliteStore:
    """Sessions in a file of mode 0600.

    Args:
        path: The file; it is made when it is missing, its folder is not.
        limits: The bounds.
        tracker: Where the thread is listed.
        clock: Unix time that is never set; tests pass their own.
        on_removed: Told, in the loop, of every session that is deleted, expired or evicted; only
            id and owner are filled in.

    Raises:
        SettingsError: The file cannot be used, is of something else, or another server uses it.
    """

    def __init__(
        self,
        path: str,
        limits: SessionLimits,
        tracker: ResourceTracker,
        clock: Callable[[], float] | None = None,
        on_removed: Callable[[Session], None] = lambda _session: None,
    ) -> None:
        self._limits = limits
        self._clock = clock or _steady_clock()
        self._on_removed = on_removed
        self._file = SessionFile(Path(path).expanduser())
        active, size, used = self._file.held
        self._counts = _Counts(active=active, size=size, used=used)
        self._failure = ""
        self._is_closed = False
        self._loop = asyncio.get_running_loop()
        self._thread = WorkerThread(tracker, "session-store")

    async def get(self, session_id: str) -> Session | None:
        """The session, unless it is unknown or expired."""
        return await self._run(lambda counts: self._get(counts, _key(session_id)), must_last=False)

    async def put(self, session: Session) -> None:
        """Keep this version as the most recently used one."""
        await self._run(lambda counts: self._put(counts, session))
        self._failure = ""

    async def delete(self, session_id: str) -> bool:
        """Remove a session; False when there was none."""
        key = _key(session_id)
        return await self._run(lambda counts: self._remove(counts, self._rows_of(key)) > 0)

    async def newest(self, owner: str, limit: int) -> tuple[Session, ...]:
        """The owner's sessions, most recently used first."""
        query = (
            "SELECT body FROM sessions WHERE owner = ? AND expires > ? ORDER BY used DESC LIMIT ?"
        )
        values = (owner, self._clock(), limit)

        def read(_counts: _Counts) -> list[Session | None]:
            # Row by row, and here: of a thousand long sessions the loop would decode for a second.
            return [_decoded(body) for (body,) in self._connection.execute(query, values)]

        return tuple(one for one in await self._run(read, must_last=False) if one is not None)

    async def sweep(self, batch: int) -> int:
        """Remove up to `batch` expired sessions."""
        return await self._run(lambda counts: self._expire(counts, batch))

    async def stats(self) -> SessionStats:
        """Counts, without reading the sessions."""
        counts = self._counts
        return SessionStats(
            active=counts.active, size=counts.size, created=counts.created,
            expired=counts.expired, evicted=counts.evicted,
        )  # fmt: skip

    async def check(self) -> None:
        """Read a row, and remember whether the newest change could be written.

        Raises:
            WrapperError: It cannot be read, or not be written.
        """
        await self._run(lambda _: self._connection.execute("SELECT key FROM sessions LIMIT 1"))
        if self._failure:
            raise WrapperError(self._failure)

    async def close(self) -> None:
        """Finish what was begun, close the file, end the thread; twice is harmless."""
        if not self._is_closed:
            self._is_closed = True
            with suppress(WrapperError):
                await self._run(lambda _: None)
        await self._thread.close()
        self._file.close()

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._file.connection

    async def _run(self, work: Callable[[_Counts], T], *, must_last: bool = True) -> T:
        """Run a transaction in the thread; when it fails nothing has changed.

        Args:
            work: What to do.
            must_last: It changes something: the file must be where the next start looks for it.
        """

        def transaction() -> T:
            before = self._counts
            counts = _Counts(
                before.active, before.size, before.created, before.expired, before.evicted,
                before.used,
            )  # fmt: skip
            if must_last:
                self._file.keep_in_place()
            with self._connection:
                self._connection.execute("BEGIN")
                result = work(counts)
            self._counts = counts
            if counts.removed:
                # From here, since whoever asked may not wait for it any longer.
                self._loop.call_soon_threadsafe(self._tell, counts.removed)
            return result

        try:
            return await self._thread.call(transaction)
        except sqlite3.Error as error:
            self._failure = f"the session store failed: {error}"
            raise WrapperError(self._failure) from error

    def _tell(self, removed: list[tuple[bytes, str]]) -> None:
        for key, owner in removed:
            self._on_removed(Session(id=_text(key), owner=owner, created_at=0, last_used_at=0))

    # What follows runs in the thread.

    def _get(self, counts: _Counts, key: bytes) -> Session | None:
        query = "SELECT body, expires FROM sessions WHERE key = ?"
        row = self._connection.execute(query, (key,)).fetchone()
        if row is None:
            return None
        if row[1] <= self._clock():
            counts.expired += self._remove(counts, self._rows_of(key))
            return None
        session = _decoded(row[0])
        if session is None:
            counts.evicted += self._remove(counts, self._rows_of(key))
        return session

    def _put(self, counts: _Counts, session: Session) -> None:
        key = _key(session.id)
        old = self._connection.execute("SELECT size FROM sessions WHERE key = ?", (key,)).fetchone()
        if old is None:
            counts.created += 1
        else:
            self._connection.execute("DELETE FROM sessions WHERE key = ?", (key,))
            counts.active -= 1
            counts.size -= old[0]
        self._expire(counts, SWEEP_BATCH)
        if session.size > self._limits.size:
            # It would have to go at once, and all others with it.
            counts.evicted += 1
            counts.removed.append((key, session.owner))
            return
        self._insert(counts, key, session)
        while counts.active > self._limits.sessions or counts.size > self._limits.size:
            counts.evicted += self._remove(counts, self._connection.execute(OLDEST).fetchall())

    def _insert(self, counts: _Counts, key: bytes, session: Session) -> None:
        counts.active += 1
        counts.size += session.size
        counts.used += 1
        expires = self._clock() + self._limits.ttl
        self._connection.execute(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)",
            (key, session.owner, counts.used, expires, session.size, encode_session(session)),
        )

    def _expire(self, counts: _Counts, most: int) -> int:
        values = (self._clock(), most)
        listed: str = self._connection.execute(EXPIRED, values).fetchone()[0]
        rows = [(bytes.fromhex(key), owner, size) for key, owner, size in json.loads(listed)]
        if rows:
            self._connection.execute(REMOVE_EXPIRED, values)
            self._forget(counts, rows)
            counts.expired += len(rows)
        return len(rows)

    def _rows_of(self, key: bytes) -> list[tuple[bytes, str, int]]:
        query = "SELECT key, owner, size FROM sessions WHERE key = ?"
        return self._connection.execute(query, (key,)).fetchall()

    def _remove(self, counts: _Counts, rows: Iterable[tuple[bytes, str, int]]) -> int:
        gone = list(rows)
        for key, _, _ in gone:
            self._connection.execute("DELETE FROM sessions WHERE key = ?", (key,))
        self._forget(counts, gone)
        return len(gone)

    @staticmethod
    def _forget(counts: _Counts, gone: list[tuple[bytes, str, int]]) -> None:
        counts.active -= len(gone)
        counts.size -= sum(size for _, _, size in gone)
        counts.removed.extend((key, owner) for key, owner, _ in gone)


def _decoded(body: str) -> Session | None:
    """The session, or None where the row makes no sense: it was damaged, or is of another age."""
    try:
        return decode_session(body)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("a stored session cannot be read (%s); it is dropped", type(error).__name__)
        return None


def _steady_clock() -> Callable[[], float]:
    """Unix time as it goes on from now, however the clock of the machine is set meanwhile."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


def _key(session_id: str) -> bytes:
    return session_id.encode("utf-8", "surrogatepass")


def _text(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")
