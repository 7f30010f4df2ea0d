"""Adds the kind ``connections``, and declares the pool's subscribers to the kind ``listeners``."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from pool import POOL, Pool

from pytest_resource_hygiene import Description, IdentityKey, Tracker


class ConnectionTracker(Tracker):
    """Connections by the connection object."""

    kind = "connections"
    title = "connection"

    def start(self, recorder):
        self._made = {}
        recorder.wrap(Pool, "borrow", self._recording(recorder))

    def _recording(self, recorder):
        def make(original):
            def borrow(pool, name):
                connection = original(pool, name)
                self._made[IdentityKey(connection)] = recorder.creation(None)
                return connection

            return borrow

        return make

    def reading(self):
        return len(self._made), len(POOL.lent)  # asked once a test: cheap, and changes with news

    def list_resources(self, moment):
        return {IdentityKey(connection): connection for connection in POOL.lent}

    def forget(self):
        lent = set(self.list_resources(None))
        self._made = {key: how for key, how in self._made.items() if key in lent}

    def creation(self, key, value):
        return self._made.get(key)

    def anchor(self, key, value):
        return value

    def describe(self, key, value, old=None):
        return Description(
            summary=f"connection {value.name!r} not given back",
            target=value.name,
            details={"name": value.name},
            hint="call give_back(), best in a `finally`",
        )

    def specimen(self):
        return borrowed()


@contextmanager
def borrowed():
    """Borrow a connection, for the canary that proves at start that this kind can see."""
    connection = POOL.borrow("canary")
    try:
        yield connection
    finally:
        connection.give_back()


@pytest.hookimpl(optionalhook=True)
def pytest_resource_hygiene_trackers():
    return [ConnectionTracker()]


@pytest.hookimpl(optionalhook=True)
def pytest_resource_hygiene_emitters():
    return {"pool": POOL}
