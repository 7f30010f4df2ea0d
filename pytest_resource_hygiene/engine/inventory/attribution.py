"""Decides who made something: by whose code was at work, else by who is known to have started it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_resource_hygiene.objects import is_within

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

    from pytest_resource_hygiene.engine.inventory.owners import Owner
    from pytest_resource_hygiene.recorder import Creation

__all__ = ["Attribution"]


class Attribution:
    """Knows the owners that live, by their code objects.

    Args:
        owner_of_thread: returns who owns by now the thread that was started so, if it has ended who
            started it; given who is at work.
    """

    def __init__(self, owner_of_thread: Callable[[Creation, Owner | None], Owner | None]) -> None:
        """Know none."""
        self._owner_of_thread = owner_of_thread
        self._codes: dict[CodeType, list[Owner]] = {}
        self._decided: tuple[Creation, Owner | None] | None = None

    def admit(self, owner: Owner) -> None:
        """Recognise an owner by its code objects from now on."""
        for code in owner.codes:
            self._codes.setdefault(code, []).append(owner)

    def dismiss(self, owner: Owner) -> None:
        """Recognise it no longer."""
        owner.closed = True
        for code in owner.codes:
            owners = self._codes.get(code, [])
            if owner in owners:
                owners.remove(owner)
            if not owners:
                self._codes.pop(code, None)

    def owner_of(self, creation: Creation | None, window: Owner | None) -> Owner | None:
        """Decide who made something.

        A frame of a known test or fixture decides first, for it cannot lie. Then the context, which
        tasks and callbacks inherit from whoever scheduled them, then the thread's own maker. What
        nobody saw being made belongs to whoever was at work.
        """
        own_code = window.code if window is not None else None
        if self._runs_function_of(own_code, creation, window):
            return window
        maker = creation
        while maker is not None:
            for code in maker.stack[::2]:
                owners = self._codes.get(code)
                if owners:
                    return owners[-1]
                if code is own_code and (maker is creation or maker.window is window):
                    return window  # not a thread of an earlier test of the same code
            owner: Owner | None = maker.owner
            # A runner that lives through several tests keeps the context of the first of them. Of
            # a thread, the context is its own, and what an ended owner left behind stays his.
            if owner is not None and not (owner.closed and maker.parent is None):
                if owner.closed and maker.parent is not None:
                    owner = self._heir_of(maker.parent) or owner
                return window if _asked_for(own_code, maker, window) else owner
            if maker is creation and _is_between_tests(maker):
                return maker.window  # type: ignore[no-any-return]
            if maker.parent is None and maker is not creation and maker.window is not None:
                starter: Owner = maker.window  # who was at work when the thread was started
                return self._owner_of_thread(maker, window) if starter.closed else starter
            maker = maker.parent
        return window

    def _runs_function_of(
        self, test: CodeType | None, creation: Creation | None, window: Owner | None
    ) -> bool:
        """Return whether somebody else's thread or task runs a function that is written in a test.

        The test has handed it over: to a pool, or to a worker of a wider fixture. What an earlier
        test of the same code has started may still run that one's, unless it goes on for a fixture.
        """
        if test is None or creation is None:
            return False
        start: Creation = creation
        while start.parent is not None:
            start = start.parent
        if start is creation and creation.owner in {None, window}:
            return False
        if not any(is_within(code, test) for code in creation.stack[::2]):
            return False
        earlier: Owner | None = start.window
        if earlier is None or earlier.code is not test or not earlier.closed:
            return True
        heir = self._owner_of_thread(start, window)
        goes_on = heir is not None and not heir.closed and heir.info.type == "fixture"
        return heir is window or goes_on

    def _heir_of(self, start: Creation) -> Owner | None:
        """Return to whom the first link of a chain was handed over, if he is still there."""
        heir = self._owner_of_thread(start, None) if start.window is not None else None
        return heir if heir is not None and not heir.closed else None

    def owner_of_next(self, creation: Creation, window: Owner | None) -> Owner | None:
        """Decide once for what was made in a row: a loop leaves thousands.

        The answer holds until `end_row`.
        """
        if self._decided is not None:
            last, owner = self._decided
            if (
                creation.stack is last.stack
                and creation.owner is last.owner
                and creation.parent is last.parent
            ):
                return owner
        owner = self.owner_of(creation, window)
        self._decided = creation, owner
        return owner

    def end_row(self) -> None:
        """Decide anew from now on."""
        self._decided = None


def _is_between_tests(made: Creation) -> bool:
    """Return whether no test was at work, nor a fixture: a hook of the project's was."""
    is_main = made.parent is None and made.owner is None
    return is_main and made.window is not None and made.window.info.type == "session"


def _asked_for(test: CodeType | None, made: Creation, window: Owner | None) -> bool:
    """Return whether a test has made the task in whose context something was made.

    A runner that runs the fixtures and tests of a module in one task, as anyio's does, has the
    context of the fixture that was set up first; the test's own code further up tells more.
    """
    maker = made.parent
    while test is not None and maker is not None:
        if maker.window is window and maker.owner is made.owner and test in maker.stack[::2]:
            return True
        maker = maker.parent
    return False
