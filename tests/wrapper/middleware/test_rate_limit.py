"""So many requests per key and minute; the state behind it is bounded."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse
from wrapper.support.clock import FakeClock

from claude_wrapper.middleware.rate_limit import RateLimitMiddleware, TokenBuckets

pytestmark = pytest.mark.anyio


def test_a_bucket_refills_steadily_up_to_one_minute() -> None:
    clock = FakeClock()
    buckets = TokenBuckets(6, clock)
    assert [buckets.take("a") for _ in range(6)] == [0] * 6
    assert buckets.take("a") == pytest.approx(10)
    assert buckets.take("b") == 0
    clock.now += 9
    assert buckets.take("a") == pytest.approx(1)
    clock.now += 1
    assert buckets.take("a") == 0
    clock.now += 3600
    assert [buckets.take("a") for _ in range(7)][:6] == [0] * 6
    assert buckets.take("a") > 0


def test_keys_are_bounded_and_the_least_recently_used_goes() -> None:
    buckets = TokenBuckets(1, FakeClock(), most=100)
    for number in range(5000):
        buckets.take(f"key-{number}")
        buckets.take("busy")
    assert len(buckets) == 100
    assert buckets.take("busy") > 0
    assert buckets.take("key-0") == 0


async def test_the_answer_says_when_to_come_again() -> None:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse({})(scope, receive, send)

    refused: list[None] = []
    clock = FakeClock()
    app = RateLimitMiddleware(
        answer, per_minute=2, on_refused=lambda: refused.append(None), clock=clock
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        codes = [(await http.get("/v1/models")).status_code for _ in range(3)]
        last = await http.get("/v1/models")
        health = await http.get("/health")
        clock.now += int(last.headers["retry-after"])
        again = await http.get("/v1/models")
    assert codes == [200, 200, 429]
    assert last.json()["error"]["code"] == "rate_limit_exceeded"
    assert last.headers["retry-after"] == "30"
    assert (health.status_code, again.status_code) == (200, 200)
    assert len(refused) == 2
