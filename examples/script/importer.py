"""A script without a test runner that checks itself: run it as ``python importer.py``."""

from __future__ import annotations

import socket

from pytest_resource_hygiene import LeaksFoundError, leaks_since, no_leaks, snapshot

KEPT = []


@no_leaks()
def import_orders():
    KEPT.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))


def main():
    before = snapshot()
    try:
        import_orders()
    except LeaksFoundError as error:
        print(error)
    print(f"since the start: {len(leaks_since(before))} left")
    before.close()
    KEPT.pop().close()


if __name__ == "__main__":
    main()
