"""HTTP/1.1 on a connection: uvicorn's own, with our error object and an end to waiting.

uvicorn answers what is no HTTP in plain text without saying what was wrong, cuts such a connection
while the client still sends, waits for ever for a head that does not come, and goes on writing to
who has gone until the loop has turned.
The protocol on h11 is named, not left to what happens to be installed: it bounds the size of heads.
"""

from __future__ import annotations

import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from claude_wrapper.errors import HttpSyntaxError, RequestHeadTimeoutError, WrapperError
from claude_wrapper.openai.error_body import error_body
from claude_wrapper.wire.json_answer import encode_json

if TYPE_CHECKING:
    import asyncio

    from uvicorn.protocols.http.h11_impl import RequestResponseCycle

__all__ = ["HttpProtocol"]

# A connection that is closed while bytes are still coming is reset, and the client may lose the
# answer with it; for so many seconds they are taken and dropped.
LINGER = 2.0
# Old clients end a body with one line break too many (RFC 9112, section 2.2).
LINE_BREAKS = b"\r\n"


class _QuietTransport:
    """A transport that drops what is written when it is closing already.

    So does asyncio, but it logs a warning for each piece: some hundred for every client that leaves
    a fast stream.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)


class HttpProtocol(H11Protocol):
    """One connection; the time for the head of a request is that between two requests.

    Args:
        read_patience: Seconds in which a client that has fallen behind must read something.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _reading_timer: asyncio.TimerHandle | None = None
    _has_refused = False

    def __init__(self, *args: Any, read_patience: float = 600.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_patience = read_patience

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(cast("asyncio.Transport", _QuietTransport(transport)))
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_waiting()
        self._stop_reading_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to wait for the client to read: what it does not read stays in our memory."""
        super().pause_writing()
        self._expect_reading(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        self._stop_reading_timer()

    def data_received(self, data: bytes) -> None:
        """Take what came; once a head is whole, the application answers in its own time."""
        if self._has_refused:
            return
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            data = data.lstrip(LINE_BREAKS)
            if not data:
                return
        super().data_received(data)
        if self._is_answering:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, unless it has come already."""
        super().on_response_complete()
        if not self.transport.is_closing() and not self._is_answering:
            self._await_head()

    def shutdown(self) -> None:
        """The server ends: close the connection, at once or after its answer."""
        if self._has_refused:
            self.transport.close()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Answer to what is no HTTP: called while the parser's complaint is being handled."""
        complaint = sys.exception()
        status = getattr(complaint, "error_status_hint", 400)
        # What was sent is left out of the parser's words: it may hold a key.
        reason = str(complaint or msg).partition(": b")[0]
        text = f"this is no HTTP/1.1 request that can be understood here: {reason}"
        self._refuse(HttpSyntaxError(text, http_status=status))

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: an offer of HTTP/2 or of a WebSocket may be left alone (RFC 9110, section 7.8).

        Java's client makes one on every new connection; uvicorn advises us to install a library.
        """

    @property
    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _await_head(self) -> None:
        self._stop_waiting()
        self._head_timer = self.loop.call_later(self.timeout_keep_alive, self._head_is_late)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        if self.transport.is_closing() or self._is_answering:
            return
        began, _ = self.conn.trailing_data
        if began:
            text = f"the head of the request was not whole after {self.timeout_keep_alive} s"
            self._refuse(RequestHeadTimeoutError(text))
        else:
            self.transport.close()

    def _expect_reading(self, unread: int) -> None:
        def look() -> None:
            left = self.transport.get_write_buffer_size()
            # One that reads slowly may; closing would wait for one that does not read at all.
            self._expect_reading(left) if left < unread else self.transport.abort()

        self._stop_reading_timer()
        self._reading_timer = self.loop.call_later(self._read_patience, look)

    def _stop_reading_timer(self) -> None:
        if self._reading_timer is not None:
            self._reading_timer.cancel()
            self._reading_timer = None

    def _refuse(self, error: WrapperError) -> None:
        body, status = encode_json(error_body(error)), error.http_status
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        try:
            head = h11.Response(
                status_code=status, headers=headers, reason=HTTPStatus(status).phrase
            )
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:
            # An answer is under way or done; all that can still be said is the end.
            self.transport.close()
            return
        self._has_refused = True
        self._stop_waiting()
        self.transport.write_eof()
        self._head_timer = self.loop.call_later(LINGER, self.transport.close)
