"""OpenAI's Responses format over the same turns, and the store behind `previous_response_id`."""

from __future__ import annotations
