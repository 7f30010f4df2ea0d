"""Tasks of asyncio's servers that wait for clients which the same test has left open.

``asyncio.start_server`` begins one for each connection. Closing the client ends it: one leak.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_resource_hygiene.engine.suspects.groups import Group

__all__ = ["gather_handlers"]

_FUNCTION, _FILE = "connection_made", "/asyncio/streams.py"


def gather_handlers(groups: list[Group]) -> list[Group]:
    """Return the groups, handlers of connections with the connection that keeps them waiting."""
    clients = [one for one in groups if one.severity == "fail" and _is_connected(one)]
    handlers = [one for one in groups if one.severity == "fail" and _is_handler(one)]
    if not clients or not handlers:
        return groups
    for handler in handlers:
        clients[0].entries += handler.entries
    return [one for one in groups if one not in handlers]


def _is_connected(group: Group) -> bool:
    words = group.primary.description
    return group.primary.tracker.kind == "sockets" and bool(words and words.details.get("remote"))


def _is_handler(group: Group) -> bool:
    creation = group.primary.creation
    return (
        group.primary.tracker.kind == "tasks"
        and creation is not None
        and any(
            code.co_name == _FUNCTION and code.co_filename.endswith(_FILE)
            for code in creation.stack[::2]
        )
    )
