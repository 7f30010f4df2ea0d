"""Snapshot, compare, settle, judge: everything that decides, without knowing pytest."""

from __future__ import annotations
