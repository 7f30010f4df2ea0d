"""Findings as text and as JSON; no engine and no operating system in here."""

from __future__ import annotations
