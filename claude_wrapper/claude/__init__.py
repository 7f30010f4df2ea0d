"""The Claude CLI behind the server: processes, protocol, and the pool that keeps them warm."""

from __future__ import annotations

from claude_wrapper.claude.locate import CliBinary, find_cli
from claude_wrapper.claude.pool import Pool, PoolLimits
from claude_wrapper.claude.runner import TurnRunner
from claude_wrapper.claude.table import ProcessTable
from claude_wrapper.claude.turn import Turn, TurnLimits

__all__ = [
    "CliBinary",
    "Pool",
    "PoolLimits",
    "ProcessTable",
    "Turn",
    "TurnLimits",
    "TurnRunner",
    "find_cli",
]
