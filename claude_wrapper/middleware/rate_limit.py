"""So many requests per key and minute, and no more."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from claude_wrapper.errors import RateLimitedError
from claude_wrapper.middleware.error_response import error_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["RateLimitMiddleware", "TokenBuckets"]

MAX_KEYS = 10_000
PREFIX = "/v1/"


class TokenBuckets:
    """A bucket per key that refills steadily; a full one is a minute's worth at once.

    Args:
        per_minute: Tokens per key and minute.
        clock: Monotonic seconds.
        most: Keys remembered; beyond that the least recently used one begins anew.
    """

    def __init__(
        self, per_minute: int, clock: Callable[[], float] = time.monotonic, most: int = MAX_KEYS
    ) -> None:
        self._capacity = float(per_minute)
        self._per_second = per_minute / 60.0
        self._clock = clock
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str) -> float:
        """Take a token: 0 when there was one, else the seconds until the next."""
        now = self._clock()
        tokens, at = self._buckets.pop(key, (self._capacity, now))
        tokens = min(self._capacity, tokens + (now - at) * self._per_second)
        wait = 0.0
        if tokens >= 1.0:
            tokens -= 1.0
        else:
            wait = (1.0 - tokens) / self._per_second
        self._buckets[key] = (tokens, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return wait


class RateLimitMiddleware:
    """Answers 429 with `Retry-After` when a key has used up its minute.

    Comes after the authentication, which says whose request it is; without keys all callers are
    one. Health checks and metrics do not count.

    Args:
        app: What comes after.
        per_minute: Requests per key and minute; 0 turns the limit off.
        on_refused: Called for every refused request.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        per_minute: int,
        on_refused: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._per_minute = per_minute
        self._on_refused = on_refused
        self._buckets = TokenBuckets(per_minute, clock) if per_minute else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        buckets = self._buckets
        if scope["type"] != "http" or buckets is None or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        wait = buckets.take(scope.get("state", {}).get("owner", ""))
        if not wait:
            await self._app(scope, receive, send)
            return
        self._on_refused()
        error = RateLimitedError(
            f"more than {self._per_minute} requests in a minute; the next one is free "
            f"in {wait:.1f} s",
            retry_after=wait,
        )
        await error_response(scope, error)(scope, receive, send)
