"""Listeners: a log handler that is added for one test, and hears all the others too."""

from __future__ import annotations

import logging

log = logging.getLogger("shop")


def test_leaks_a_log_handler():
    log.addHandler(logging.NullHandler())
    log.warning("sold out")


def test_removes_its_log_handler():
    handler = logging.NullHandler()
    log.addHandler(handler)
    log.warning("sold out")
    log.removeHandler(handler)
    handler.close()
