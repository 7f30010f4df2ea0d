"""Tools for testing and trying the server without an account: a fake `claude` executable."""

from __future__ import annotations

from pathlib import Path

__all__ = ["FAKE_CLAUDE"]

FAKE_CLAUDE = Path(__file__).with_name("fake_claude.py")
