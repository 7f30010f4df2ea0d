"""The command line: the only place that exits the process."""

from __future__ import annotations

from claude_wrapper.cli.main import main
from claude_wrapper.cli.parser import build_parser

__all__ = ["build_parser", "main"]
