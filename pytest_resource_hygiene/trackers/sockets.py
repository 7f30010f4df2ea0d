"""Open sockets, listening or not. A duplicate of an open socket is one more.

Identity is the descriptor's number with the socket's inode. On systems without a descriptor folder
psutil's list of connections serves instead; unbound sockets are invisible there.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.positions import are_one_place
from pytest_resource_hygiene.recorder import Creation
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.tracker import Description, Moment, Tracker
from pytest_resource_hygiene.trackers._asyncio_table import AsyncioTable
from pytest_resource_hygiene.trackers._descriptors import Descriptors, fileno
from pytest_resource_hygiene.trackers._numbered import NumberedObjects

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from pytest_resource_hygiene.recorder import Recorder

# Before any test, or plugin that forbids sockets, has replaced them.
_Socket, _dup = socket.socket, os.dup
_UNIX = getattr(socket, "AF_UNIX", -1)
# Linux, include/net/tcp_states.h. Its CLOSE is also the state in which a socket begins: to call an
# open socket closed would puzzle whoever is to close it.
_TCP_STATES = {
    1: "established", 2: "syn-sent", 3: "syn-received", 4: "fin-wait-1", 5: "fin-wait-2",
    6: "time-wait", 7: "not connected", 8: "close-wait", 9: "last-ack", 10: "listening", 11: "closing",
}  # fmt: skip


class SocketTracker(Tracker):
    """Sockets by descriptor and inode."""

    kind = "sockets"
    title = "open socket"
    rank = 20

    def __init__(self) -> None:
        """Wait for `start`."""
        self._table: Descriptors | None = None
        self._objects: NumberedObjects | None = None
        self._asyncio: AsyncioTable | None = None
        self._recorder: Recorder | None = None
        self._by_number: dict[int, Any] = {}  # weak references to objects whose making was seen
        self._by_psutil = not (Path("/proc/self/fd").is_dir() or Path("/dev/fd").is_dir())
        self.lists_anew = not self._by_psutil

    def start(self, recorder: Recorder) -> None:
        """Share the table of descriptors with the kind `fds`."""
        self._table = recorder.service(Descriptors)
        self._objects = recorder.service(NumberedObjects)
        self._asyncio = recorder.service(AsyncioTable)
        self._recorder = recorder

    def _descriptors(self) -> Descriptors:
        assert self._table is not None, "start() comes first"
        return self._table

    def sensor(self) -> Callable[[], object]:
        """Ask the shared table: openings seen and descriptors open."""
        return self._descriptors().reading

    def may_be_as_listed(self) -> bool:
        """Ask the shared table whether there are as many as then."""
        return self._descriptors().may_be_as_listed()

    def probes(self) -> Collection[Callable[[], object]]:
        """Ask the shared table for the number of open descriptors."""
        return self._descriptors().probes()

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """List by number and inode; the handle is the number."""
        if self._by_psutil:
            return _connections()
        return self._descriptors().scan(moment)[1]

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Find the socket object with this number, else the likeliest event."""
        table = self._descriptors()
        record, loose = table.socket_of(value)
        if record is not None:
            self._by_number[value] = record[4]
            return self._with_task(Creation(*record))
        made = table.made_as(value, key[1]) if isinstance(key, tuple) else None
        if made is not None:
            return made
        # uvloop opens a connection under the number of a pair that it has just closed.
        family = _family(value)
        loose = [record for record in loose if _may_be_of(family, record)]
        if not loose:
            return None
        loose = self._of_its_side(value, loose)
        certain = are_one_place([record[0] for record in loose])
        return Creation(*loose[-1])._replace(certain=certain)

    def _of_its_side(self, fd: int, records: list[Any]) -> list[Any]:
        """Leave out the records of accepted sockets for one that has connected, and the other way round.

        A server closes what it has accepted, and leaves a record without a number as well. If nobody
        listens any more, the one that has connected is the likelier.
        """
        accepted = [record for record in records if _is_accepted(record)]
        others = [record for record in records if record not in accepted]
        if not accepted or not others:
            return records
        listening = {
            _port(facts["local"])
            for number in self._descriptors().numbers_of_sockets()
            if (facts := _facts_or_none(number)) and facts["state"] == "listening"
        }
        own = _facts_or_none(fd)
        return accepted if own and _port(own["local"]) in listening else others

    def late_creation(self, key: Hashable, value: Any) -> Creation | None:
        """Find the socket object with this number; `accept` has the number before the object."""
        record, _ = self._descriptors().socket_of(value)
        return self._with_task(Creation(*record)) if record is not None else None

    def pause(self, keys: Collection[Hashable], seconds: float) -> bool:
        """Let the loops run that have a transport for one of these: it is closed a turn later."""
        if self._asyncio is None or self._by_psutil:
            return False
        numbers = {key[0] for key in keys if isinstance(key, tuple)}
        return self._asyncio.run_loops(self._asyncio.loops_with_transports(numbers), seconds)

    def _with_task(self, creation: Creation) -> Creation:
        """Add how the task was made in which it was, if that is the only way to the user's line."""
        if self._recorder is None or self._asyncio is None or creation.parent is not None:
            return creation
        if self._recorder.is_by_user(creation):
            return creation
        within = creation._replace(parent=self._asyncio.task_that_connected(creation.what()))
        return within if self._recorder.is_by_user(within) else creation

    def anchor(self, key: Hashable, value: Any) -> Any:
        """Find the socket object that owns the number; to look through all objects is dear."""
        known = self._by_number.get(value)
        sock = known() if known is not None else None
        if sock is not None and fileno(sock) == value:
            return sock
        return self._objects.socket(value) if self._objects is not None else None

    def ends(self, key: Hashable, value: Any) -> tuple[str, str] | None:
        """Return both addresses of a TCP connection; those of Unix say nothing of the other end.

        Of a socket that listens, its own and nothing.
        """
        try:
            facts = _facts(value) if isinstance(value, int) else {}
        except OSError:
            return None
        is_tcp = facts.get("type") == "SOCK_STREAM" and facts["family"] in {"AF_INET", "AF_INET6"}
        if not is_tcp or not (facts["remote"] or facts["state"] == "listening"):
            return None
        return facts["local"], facts["remote"]

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Say family, type, addresses and state."""
        if self._by_psutil:
            return Description(summary=f"socket {value}", target=str(value))
        try:
            facts = _facts(value)
        except OSError:
            return Description(summary=f"socket fd {value} (closed meanwhile)")
        words = [facts["family"], facts["type"]]
        if facts["local"] and not facts["local"].endswith(":0"):  # which is bound to nothing
            words.append(facts["local"])
        if facts["remote"]:
            words.append(f"-> {facts['remote']}")
        listening = facts["state"] == "listening"
        hint = (
            "close() the listening socket or server, or use it in a `with` block"
            if listening
            else "close() the socket, or use it in a `with` block"
        )
        return Description(
            summary=f"socket fd {value} {' '.join(words)}, {facts['state']}",
            target=f"{facts['family']} {facts['type']} {facts['state']}",
            details={"fd": value, **facts},
            hint=hint,
        )

    def blind_spot(self) -> str | None:
        """Name what psutil cannot list."""
        return "sockets that are not bound are not listed here" if self._by_psutil else None

    def specimen(self) -> AbstractContextManager[object]:
        """Open a datagram socket."""
        return _datagram_socket()


@contextmanager
def _datagram_socket() -> Iterator[object]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield sock


@contextmanager
def _duplicate_of(fd: int) -> Iterator[socket.socket]:
    """Give an object for a duplicate, so that the original is never touched.

    Raises:
        OSError: it has been closed meanwhile, and may be the number of something else by now.
    """
    number = _dup(fd)
    try:
        sock = _Socket(fileno=number)
    except OSError:
        System.close(number)
        raise
    with sock:
        yield sock


def _facts(fd: int) -> dict[str, Any]:
    with _duplicate_of(fd) as sock:
        listening = False
        with suppress(OSError):
            listening = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        return {
            "family": getattr(sock.family, "name", str(sock.family)),
            "type": getattr(sock.type, "name", str(sock.type)),
            "local": _address(sock.getsockname),
            "remote": _address(sock.getpeername),
            "state": "listening" if listening else _state(sock),
        }


def _family(fd: int) -> int:
    """Return the family of an open socket, or -1."""
    try:
        with _duplicate_of(fd) as sock:
            return int(sock.family)
    except OSError:  # closed meanwhile
        return -1


def _may_be_of(family: int, record: Any) -> bool:
    """Return whether a record may be of a socket of that family; its object may be gone."""
    sock = record[4]()
    if sock is not None:
        return family in {-1, int(sock.family)}
    makers = {getattr(code, "co_name", "") for code in record[0][:4:2]}
    return family in {-1, _UNIX} or "socketpair" not in makers


def _is_accepted(record: Any) -> bool:
    return any(getattr(code, "co_name", "") == "accept" for code in record[0][:4:2])


def _port(address: str) -> str:
    return address.rpartition(":")[2]


def _facts_or_none(fd: int) -> dict[str, Any] | None:
    try:
        return _facts(fd)
    except OSError:  # closed meanwhile
        return None


def _state(sock: socket.socket) -> str:
    if sock.type == socket.SOCK_STREAM and sock.family in {socket.AF_INET, socket.AF_INET6}:
        with suppress(OSError, AttributeError):
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
            return _TCP_STATES.get(struct.unpack("B", info)[0], "open")
    try:
        sock.getpeername()
    except OSError as error:
        return "open" if error.errno == errno.ENOTCONN else "not connected"
    return "connected"


def _address(ask: Any) -> str:
    try:
        address = ask()
    except OSError:
        return ""
    if isinstance(address, tuple):
        return f"{address[0]}:{address[1]}" if len(address) > 1 else str(address)
    return os.fsdecode(address) if address else ""


def _connections() -> dict[Hashable, Any]:
    import psutil

    return {
        (str(c.laddr), str(c.raddr), c.type): f"{c.laddr} -> {c.raddr} {c.status}"
        for c in psutil.Process().net_connections()
    }


def make_tracker() -> Tracker:
    """Make the tracker of this kind."""
    return SocketTracker()
