"""One JSON post over HTTP, without a client library and without a thread that stays."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from claude_wrapper.monitoring.resolver import resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claude_wrapper.lifecycle import ResourceTracker

__all__ = ["check_webhook_url", "post_json"]

DEADLINE = 5.0


def check_webhook_url(url: str) -> SplitResult:
    """The parts of a usable address.

    Raises:
        ValueError: It is not http or https with a host.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("a webhook is an address like https://host/path")
    return parts


async def post_json(
    url: str, document: Mapping[str, Any], tracker: ResourceTracker, *, deadline: float = DEADLINE
) -> int:
    """Post a document and return the status.

    Raises:
        OSError: Nobody answered within `deadline` seconds, or the status is 400 or more.
        ValueError: The address or the answer makes no sense.
    """
    parts = check_webhook_url(url)
    async with asyncio.timeout(deadline):
        status = await _exchange(parts, json.dumps(document).encode(), tracker)
    if status >= 400:
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
        writer.write(_request(parts, body))
        status_line = await reader.readline()
        return int(status_line.split()[1])
    except IndexError:
        raise ValueError("the answer is not HTTP") from None
    finally:
        writer.transport.abort()


def _request(parts: SplitResult, body: bytes) -> bytes:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    netloc = parts.netloc.rpartition("@")[2]
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii", "ignore") + body
