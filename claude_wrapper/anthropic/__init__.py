"""Anthropic's wire format over the same turns. Nothing here touches a process."""

from __future__ import annotations
