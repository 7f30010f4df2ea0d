"""What several wrapper tests need."""

from __future__ import annotations
