"""A long answer is not a slow server: when it began and how long it was are two figures."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from wrapper.support.clock import FakeClock

from claude_wrapper.middleware import measure
from claude_wrapper.middleware.measure import MeasureMiddleware
from claude_wrapper.monitoring.metrics import ServerMetrics
from claude_wrapper.monitoring.requests import RequestStats
from claude_wrapper.monitoring.windows import RollingWindows

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

pytestmark = pytest.mark.anyio


async def receive() -> dict[str, Any]:
    return {"type": "http.disconnect"}


async def send(_message: Any) -> None:
    pass


@pytest.mark.parametrize(
    ("answers", "response"),
    [
        pytest.param(True, 2.0, id="the model answered"),
        pytest.param(False, 92.0, id="no piece ever came"),
    ],
)
async def test_the_wait_for_an_answer_is_not_its_length(
    monkeypatch: pytest.MonkeyPatch, answers: bool, response: float
) -> None:
    clock = FakeClock()
    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=clock))

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        clock.now += 2
        if answers:
            scope["state"]["first_event_at"] = clock()
        await send({"type": "http.response.start", "status": 200})
        clock.now += 90

    windows = RollingWindows(clock=clock)
    monitoring: Any = SimpleNamespace(
        metrics=ServerMetrics(),
        requests=RequestStats(clock),
        performance=windows,
        production=SimpleNamespace(record_operation=windows.record),
    )
    middleware = MeasureMiddleware(app, monitoring=monitoring, templates={app: "/chat"})
    await middleware({"type": "http", "state": {}, "endpoint": app}, receive, send)
    figures = monitoring.requests.figures()
    assert (figures.average_seconds, figures.average_response_seconds) == (92.0, response)
    text = monitoring.metrics.render().decode()
    assert 'claude_wrapper_request_seconds_sum{route="/chat"} 92.0' in text
    assert ('claude_wrapper_ttft_seconds_sum{route="/chat"} 2.0' in text) is answers
