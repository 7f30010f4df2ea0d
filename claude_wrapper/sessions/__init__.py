"""Conversations that continue: records, stores, and what keeps them bounded."""

from __future__ import annotations

from claude_wrapper.sessions.fallback_store import FallbackStore
from claude_wrapper.sessions.memory_store import MemoryStore
from claude_wrapper.sessions.record import Session, SessionLimits, SessionStats
from claude_wrapper.sessions.responses import ResponseStore, StoredResponse
from claude_wrapper.sessions.service import SessionService
from claude_wrapper.sessions.sqlite_store import SqliteStore
from claude_wrapper.sessions.store import SessionStore

__all__ = [
    "FallbackStore",
    "MemoryStore",
    "ResponseStore",
    "Session",
    "SessionLimits",
    "SessionService",
    "SessionStats",
    "SessionStore",
    "SqliteStore",
    "StoredResponse",
]
