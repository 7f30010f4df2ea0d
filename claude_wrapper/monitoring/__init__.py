"""What the server tells about itself: logs now; metrics, monitors and alerts beside them."""

from __future__ import annotations
