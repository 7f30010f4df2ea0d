"""OpenAI's wire format: requests in, chunks and errors out. Nothing here touches a process."""

from __future__ import annotations
