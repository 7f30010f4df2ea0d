"""Hides from ``os.waitpid(-1)`` the orphans that earlier tests have left to this process.

The kernel hands orphans to us (see `processes`). Where it does not, they would be children of
process 1, and a test that waits for *any* child would never meet them: it would get its own child,
or `ChildProcessError` when it has none left. With them among its children it would get a stranger,
or wait for ever. So while there are such orphans, the functions that wait for any child look first
who has ended, by ``waitid(WNOWAIT)``, and pass over what is not theirs.

Only what was listed once already is hidden: an orphan of the running test may be the very thing
that the test waits for, if its code has made itself a subreaper too.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.trackers._proc import start_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_resource_hygiene.recorder import Recorder

__all__ = ["WaitForAny"]

_ANY = -1


class WaitForAny:
    """Wraps the functions of `os` that wait for any child.

    Args:
        children: returns the process ids of all children.
    """

    def __init__(self, children: Callable[[], Iterable[int]]) -> None:
        """Hide nothing yet."""
        self._children = children
        self._strangers: dict[int, int] = {}

    def start(self, recorder: Recorder) -> None:
        """Wrap them, where there is a way to see who has ended without taking him."""
        if hasattr(os, "waitid"):
            recorder.wrap(os, "wait", self._wait)
            recorder.wrap(os, "wait3", self._wait3)
            recorder.wrap(os, "wait4", self._waitpid)
            recorder.wrap(os, "waitpid", self._waitpid)
            recorder.wrap(os, "waitid", self._waitid)

    def hide(self, orphans: Iterable[tuple[int, int]]) -> None:
        """Hide these from now on, and no others: process ids and start times."""
        self._strangers = dict(orphans)

    def _wait(self, original: Callable[[], Any]) -> Callable[..., Any]:
        of_one = os.waitpid

        def wait() -> Any:
            return self._pass_over(0, lambda pid: of_one(pid, 0)) if self._strangers else original()

        return wait

    def _wait3(self, original: Callable[[int], Any]) -> Callable[..., Any]:
        of_one = os.wait4

        def wait3(options: int) -> Any:
            if not self._strangers or options & ~os.WNOHANG:
                return original(options)
            return self._pass_over(options, lambda pid: of_one(pid, options))

        return wait3

    def _waitpid(self, original: Callable[[int, int], Any]) -> Callable[..., Any]:
        def waitpid(pid: int, options: int) -> Any:
            if pid != _ANY or not self._strangers or options & ~os.WNOHANG:
                return original(pid, options)
            return self._pass_over(options, lambda ended: original(ended, options))

        return waitpid

    def _waitid(self, original: Callable[[int, int, int], Any]) -> Callable[..., Any]:
        def waitid(idtype: int, id: int, options: int, /) -> Any:  # noqa: A002 - its name
            plain = not options & ~(os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if idtype != os.P_ALL or not self._strangers or not plain:
                return original(idtype, id, options)
            return self._pass_over(options, lambda ended: original(os.P_PID, ended, options))

        return waitid

    def _pass_over(self, options: int, take: Callable[[int], Any]) -> Any:
        """Take the first child that has ended and is no stranger.

        Args:
            options: of the function that was called.
            take: waits for one child, and returns what the caller expects.

        Raises:
            ChildProcessError: there are none but strangers.
        """
        while True:
            children = set(self._children())
            strangers = {pid for pid, start in self._strangers.items() if _is(pid, start)}
            own = children - strangers
            if not own:
                raise ChildProcessError(errno.ECHILD, os.strerror(errno.ECHILD))
            look = os.WEXITED | os.WNOWAIT | (options & os.WNOHANG)
            ended = System.waitid(os.P_ALL, 0, look)
            if ended is not None and ended.si_pid in strangers:
                with contextlib.suppress(ChildProcessError):
                    System.waitpid(ended.si_pid, os.WNOHANG)
                continue
            try:
                # Without one that has ended, any of them gives the answer that none has.
                return take(ended.si_pid if ended is not None else min(own))
            except ChildProcessError:
                continue  # another thread was quicker


def _is(pid: int, start: int) -> bool:
    try:
        return start_time(f"/proc/{pid}/stat") == start
    except OSError:
        return False
