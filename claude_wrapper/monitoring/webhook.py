"""One JSON post over HTTP/1.1: no pool of connections and no thread that could stay."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

import h11

from claude_wrapper.monitoring.resolver import resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claude_wrapper.lifecycle import ResourceTracker

__all__ = ["post_json"]

DEADLINE = 5.0
READ_BYTES = 16 * 1024


async def post_json(
    url: str, document: Mapping[str, Any], tracker: ResourceTracker, *, deadline: float = DEADLINE
) -> int:
    """Post a document to an address that the settings have checked; return the status.

    Raises:
        OSError: Nobody answered within `deadline` seconds, or the answer is no success (2xx);
            a redirection is not followed.
        ValueError: What answers does not speak HTTP.
    """
    parts = urlsplit(url)
    async with asyncio.timeout(deadline):
        status = await _exchange(parts, json.dumps(document).encode(), tracker)
    if not 200 <= status < 300:
        raise OSError(f"the webhook answered {status}")
    return status


async def _exchange(parts: SplitResult, body: bytes, tracker: ResourceTracker) -> int:
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = await resolve(host, port, tracker)
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    reader, writer = await asyncio.open_connection(
        address, port, ssl=secure, server_hostname=host if secure else None
    )
    try:
        connection = h11.Connection(h11.CLIENT)
        for event in _request(parts, body):
            writer.write(connection.send(event) or b"")
        return await _status(connection, reader)
    except h11.RemoteProtocolError:
        raise ValueError("the answer is not HTTP") from None
    finally:
        writer.transport.abort()


async def _status(connection: h11.Connection, reader: asyncio.StreamReader) -> int:
    """Read up to the status that counts: an interim one may come before it."""
    while not isinstance(event := connection.next_event(), h11.Response):
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(READ_BYTES))
        elif not isinstance(event, h11.InformationalResponse):
            raise ValueError("the webhook closed the connection without an answer")
    return event.status_code


def _request(parts: SplitResult, body: bytes) -> tuple[h11.Event, ...]:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = [
        ("Host", parts.netloc.rpartition("@")[2]),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]
    if parts.username is not None:
        words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers.append(("Authorization", f"Basic {base64.b64encode(words.encode()).decode()}"))
    request = h11.Request(method="POST", target=path, headers=headers)
    return request, h11.Data(data=body), h11.EndOfMessage()
