"""Keeps what the server has written about itself on disk for as long as it runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claude_wrapper.claude.ledger import Ledger
    from claude_wrapper.lifecycle import ResourceTracker
    from claude_wrapper.server_record import ServerRecord

__all__ = ["INTERVAL", "StateKeeper"]

logger = logging.getLogger(__name__)

INTERVAL = 60.0


class StateKeeper:
    """Writes ledger and record again where they were removed beneath a running server.

    Without the record `stop` and `status` do not find the server; without the ledger the next start
    does not find its orphans.

    Args:
        ledger: Which processes the server has.
        record: Where the server is.
    """

    def __init__(self, ledger: Ledger, record: ServerRecord) -> None:
        self._ledger = ledger
        self._record = record
        self._is_failing = False

    def start(self, tracker: ResourceTracker) -> None:
        """Look once a minute."""
        tracker.every(INTERVAL, self.renew, name="state-keeper")

    async def renew(self) -> None:
        """Look now; what cannot be written is said once, and tried again."""
        try:
            self._ledger.renew()
            self._record.renew(self._ledger.state_folder)
        except OSError as error:
            if not self._is_failing:
                folder = self._ledger.state_folder
                logger.warning("the state folder %s cannot be used: %s", folder, error.strerror)
            self._is_failing = True
        else:
            self._is_failing = False
