"""The endpoints, one family a file; each only connects a wire format with the services."""

from __future__ import annotations
