"""Tasks that start themselves anew, each time they end: a chain is what its first was.

While we let a loop run, nothing that is made on it is noted, for it is no test that makes it. So the
next link of a chain is found afterwards, by the function that it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import answer_of, attribute_of

if TYPE_CHECKING:
    import weakref
    from collections.abc import Iterable, Sequence
    from types import CodeType

__all__ = ["links_of", "next_links"]

Records = list[tuple["weakref.ref[Any]", Any]]


def links_of(records: Records, loop: Any) -> dict[CodeType, Any]:
    """Return how the pending tasks of a loop were made, by the code that they run."""
    found = {}
    for ref, how in list(records):
        code = _pending_code(ref(), loop)
        if code is not None:
            found[code] = how
    return found


def next_links(
    tasks: Iterable[Any], loop: Any, links: dict[CodeType, Any], records: Records
) -> Sequence[tuple[Any, Any]]:
    """Return the tasks that are the next links, each with how the first one was made.

    Args:
        tasks: those that asyncio knows, of any loop.
        loop: the one that has run.
        links: what `links_of` has returned before it ran.
        records: of the tasks that are known.
    """
    try:
        every = list(tasks)
    except RuntimeError:  # another thread has made one
        return ()
    new = [(task, links[code]) for task in every if (code := _pending_code(task, loop)) in links]
    known = {id(task) for ref, _ in list(records) if (task := ref()) is not None}
    return [one for one in new if id(one[0]) not in known]


def _pending_code(task: Any, loop: Any) -> CodeType | None:
    if task is None or answer_of(task, "get_loop") is not loop or answer_of(task, "done", True):
        return None
    code: CodeType | None = attribute_of(answer_of(task, "get_coro"), "cr_code")
    return code
