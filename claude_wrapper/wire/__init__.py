"""What all dialects share: which conversations can be answered, how bodies are checked, SSE."""

from __future__ import annotations
