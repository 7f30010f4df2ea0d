"""The hook ``resource-hygiene``: runs the tests that belong to what is about to be committed."""

from __future__ import annotations
