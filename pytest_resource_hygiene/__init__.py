"""Find what tests, fixtures and servers leave behind."""

from __future__ import annotations
