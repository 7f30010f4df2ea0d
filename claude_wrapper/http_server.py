"""The HTTP server: uvicorn with what we do ourselves, or do without, turned off."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, cast

import uvicorn

from claude_wrapper.http_protocol import HttpProtocol
from claude_wrapper.listener import BACKLOG
from claude_wrapper.middleware.request_head import LARGEST_HEAD

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from starlette.types import ASGIApp

__all__ = ["http_server"]

# Seconds between two requests on a connection: longer than proxies keep theirs, usually 60, so that
# it is they who close.
KEEP_ALIVE = 75


class _UvicornServer(uvicorn.Server):
    """uvicorn without its signal handlers: ours know what has to happen after it returns."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


def http_server(app: ASGIApp, read_patience: float) -> uvicorn.Server:
    """A server that has not begun.

    Args:
        app: What it serves.
        read_patience: Seconds in which a client that has fallen behind must read something.
    """
    # uvicorn calls it as it would call a class.
    protocol = cast("type[asyncio.Protocol]", partial(HttpProtocol, read_patience=read_patience))
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", server_header=False,
        http=protocol, ws="none", backlog=BACKLOG, timeout_keep_alive=KEEP_ALIVE,
        h11_max_incomplete_event_size=LARGEST_HEAD,
        # It would cut running answers off: how long each step of the end may take is in Closing.
        timeout_graceful_shutdown=None,
        # By default whoever connects from loopback could name any address and scheme.
        proxy_headers=False,
    )  # fmt: skip
    return _UvicornServer(config)
