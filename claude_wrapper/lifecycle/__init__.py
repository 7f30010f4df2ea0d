"""What every long-lived part of the server is made with: tracked resources, events, clocks."""

from __future__ import annotations

from claude_wrapper.lifecycle.audit import AuditReport, Baseline, audit
from claude_wrapper.lifecycle.emitter import (
    Emitter,
    EmitterClosedError,
    MaxListenersExceededWarning,
)
from claude_wrapper.lifecycle.loop_errors import LoopErrors
from claude_wrapper.lifecycle.tracker import ResourceTracker, TrackedResource

__all__ = [
    "AuditReport",
    "Baseline",
    "Emitter",
    "EmitterClosedError",
    "LoopErrors",
    "MaxListenersExceededWarning",
    "ResourceTracker",
    "TrackedResource",
    "audit",
]
