"""What several tests share; found through ``pythonpath = ["tests"]``."""

from __future__ import annotations
