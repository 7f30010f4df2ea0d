"""A home-made pool: no descriptor, no thread, nothing that an operating system could count."""

from __future__ import annotations


class Connection:
    """One connection."""

    def __init__(self, pool, name):
        self._pool = pool
        self.name = name

    def give_back(self):
        self._pool.lent.remove(self)


class Pool:
    """Lends connections, and publishes events to those who subscribed."""

    def __init__(self):
        self.lent = []
        self.listeners = {"lent": []}

    def borrow(self, name):
        connection = Connection(self, name)
        self.lent.append(connection)
        for listener in self.listeners["lent"]:
            listener(connection)
        return connection


POOL = Pool()
