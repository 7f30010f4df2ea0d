"""An OpenAI-compatible server on the Claude CLI that bounds and owns everything it holds."""

from __future__ import annotations
