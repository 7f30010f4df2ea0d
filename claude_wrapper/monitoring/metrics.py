"""The figures of `/metrics`, in a registry of their own: servers in one process do not mix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claude_wrapper.monitoring.facts import ProcessFacts

__all__ = ["CONTENT_TYPE", "ServerMetrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
MAX_MODELS = 50
OTHER = "__other__"


class ServerMetrics:
    """Counters that grow as things happen, and gauges that are set before they are read.

    Labels come from small sets: route templates, HTTP statuses, at most 50 model names (a client
    may send any `claude-*`; later ones are counted together), states of processes, alert names.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._models: set[str] = set()
        self.requests = Counter(
            "claude_wrapper_requests", "Finished requests.", ["route", "model", "status"],
            registry=registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "claude_wrapper_request_seconds", "Time of a request, streaming included.", ["route"],
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.ttft = Histogram(
            "claude_wrapper_ttft_seconds", "Time until the first piece of an answer.", ["route"],
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.in_flight = Gauge(
            "claude_wrapper_in_flight", "Requests being answered now.", registry=registry
        )
        self.alerts = Counter("claude_wrapper_alerts", "Alerts sent.", ["name"], registry=registry)
        self.leak_alerts = Counter(
            "claude_wrapper_leak_alerts", "Alerts of the memory leak detector.", registry=registry
        )
        self.rate_limited = Counter(
            "claude_wrapper_rate_limited", "Requests refused by the rate limit.", registry=registry
        )
        self._gauges = {name: Gauge(name, text, registry=registry) for name, text in GAUGES.items()}
        self._cli_processes = Gauge(
            "claude_wrapper_cli_processes", "CLI processes.", ["state"], registry=registry
        )

    def model_label(self, model: str) -> str:
        """The name as a label: "" for none, `__other__` beyond the bound."""
        if not model or model in self._models:
            return model
        if len(self._models) >= MAX_MODELS:
            return OTHER
        self._models.add(model)
        return model

    def set_process(self, facts: ProcessFacts) -> None:
        """The server itself, and its children apart; sizes in bytes."""
        self.set("claude_wrapper_rss_bytes", facts.rss)
        self.set("claude_wrapper_open_fds", facts.fds)
        self.set("claude_wrapper_sockets", facts.sockets)
        self.set("claude_wrapper_threads", facts.threads)
        self.set("claude_wrapper_tasks", facts.tasks)
        self.set("claude_wrapper_cli_rss_bytes", facts.children_rss)

    def set_pool(self, counts: Mapping[str, int]) -> None:
        """Processes by state; `queued` is the length of the queue."""
        for state, count in counts.items():
            if state == "queued":
                self.set("claude_wrapper_queue_depth", count)
            else:
                self._cli_processes.labels(state).set(count)

    def set(self, name: str, value: float) -> None:
        """Set one of the gauges without labels."""
        self._gauges[name].set(value)

    def render(self) -> bytes:
        """The text to scrape."""
        return generate_latest(self.registry)


# What only grows but is counted elsewhere is a gauge here, under the name of a counter.
GAUGES = {
    "claude_wrapper_queue_depth": "Requests that wait for a process.",
    "claude_wrapper_queue_rejections_total": "Requests refused because the queue was full.",
    "claude_wrapper_sessions": "Sessions held.",
    "claude_wrapper_session_bytes": "Estimated bytes of all sessions.",
    "claude_wrapper_cli_rss_bytes": "Resident memory of all CLI processes.",
    "claude_wrapper_cli_started_total": "CLI processes started.",
    "claude_wrapper_cli_killed_total": "CLI processes that had to be killed.",
    "claude_wrapper_orphans_reaped_total": "Processes of earlier runs ended at the start.",
    "claude_wrapper_rss_bytes": "Resident memory of the server, CLI processes not included.",
    "claude_wrapper_open_fds": "Open file descriptors.",
    "claude_wrapper_sockets": "Open sockets.",
    "claude_wrapper_threads": "Threads.",
    "claude_wrapper_tasks": "Tasks of the event loop.",
    "claude_wrapper_strangers": "Resources nobody made through the tracker, at two audits.",
    "claude_wrapper_log_lines_dropped_total": "Log lines lost because the disk was full or too slow.",
    "claude_wrapper_shutdown_seconds": "How long the last shutdown took.",
    "claude_wrapper_uptime_seconds": "Seconds since the start.",
}
