"""The end of the server: signals, ordered steps, and the proof that nothing is left."""

from __future__ import annotations

from claude_wrapper.shutdown.record import read_report, write_report
from claude_wrapper.shutdown.sequence import (
    ShutdownReport,
    ShutdownStep,
    StepOutcome,
    run_steps,
)
from claude_wrapper.shutdown.signals import SignalHub, hold_signals
from claude_wrapper.shutdown.verify import Verifier
from claude_wrapper.shutdown.watchdog import Watchdog

__all__ = [
    "ShutdownReport",
    "ShutdownStep",
    "SignalHub",
    "StepOutcome",
    "Verifier",
    "Watchdog",
    "hold_signals",
    "read_report",
    "run_steps",
    "write_report",
]
