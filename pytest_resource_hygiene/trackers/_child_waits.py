"""Has the orphans that came to this process look as if they were children of process 1.

The kernel hands orphans to us (see `processes`), and tests must not notice.

Whoever waits for *any* child would never meet them: it would get its own child, or
`ChildProcessError` when it has none left. With them among its children it would get a stranger, or
wait for ever. So while there are such orphans, the functions that wait for any child look first who
has ended, by ``waitid(WNOWAIT)``, and pass over what is not theirs. Only what was listed once
already is hidden: an orphan of the running test may be the very thing that the test waits for, if
its code has made itself a subreaper too.

Whoever asks for *one* daemon, by its number, is told that this is no child of ours; what stayed in
our session may have been forked by C code, which makes no event, and be waited for. And an orphan
that has ended is gone at once, as process 1 would have it: a test that ends a daemon sends signal 0
until there is nobody to get it, and a zombie gets it for ever.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.trackers._children import is_zombie
from pytest_resource_hygiene.trackers._proc import start_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_resource_hygiene.recorder import Recorder

__all__ = ["ChildWaits"]

__tracebackhide__ = True  # an error of a function that is wrapped here is not ours

_ANY = -1


class ChildWaits:
    """Wraps the functions of `os` that wait for children, and the one that sends a signal.

    Args:
        children: returns the process ids of all children.
        is_adopted: returns whether a process is surely an orphan that came to this one.
    """

    def __init__(
        self,
        children: Callable[[], Iterable[int]],
        is_adopted: Callable[[int], bool] = lambda pid: False,
    ) -> None:
        """Hide nothing yet."""
        self._children = children
        self._is_adopted = is_adopted
        self._strangers: dict[int, int] = {}

    def start(self, recorder: Recorder) -> None:
        """Wrap them, where there is a way to see who has ended without taking him."""
        if hasattr(os, "waitid"):
            recorder.wrap(os, "wait", self._wait)
            recorder.wrap(os, "wait3", self._wait3)
            recorder.wrap(os, "wait4", self._waitpid)
            recorder.wrap(os, "waitpid", self._waitpid)
            recorder.wrap(os, "waitid", self._waitid)
        recorder.wrap(os, "kill", self._kill)

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
        def waitpid(pid: int, options: int, /) -> Any:
            self._refuse(pid)
            if pid != _ANY or not self._strangers or options & ~os.WNOHANG:
                return original(pid, options)
            return self._pass_over(options, lambda ended: original(ended, options))

        return waitpid

    def _waitid(self, original: Callable[[int, int, int], Any]) -> Callable[..., Any]:
        def waitid(idtype: int, id: int, options: int, /) -> Any:  # noqa: A002 - its name
            if idtype == os.P_PID:
                self._refuse(id)
            plain = not options & ~(os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if idtype != os.P_ALL or not self._strangers or not plain:
                return original(idtype, id, options)
            return self._pass_over(options, lambda ended: original(os.P_PID, ended, options))

        return waitid

    def _refuse(self, pid: int) -> None:
        """Say of an orphan what is said of any process that is no child.

        Raises:
            ChildProcessError: it is one.
        """
        if type(pid) is int and pid > 0 and self._is_adopted(pid) and _is_daemon(pid):
            raise ChildProcessError(errno.ECHILD, os.strerror(errno.ECHILD))

    def _kill(self, original: Callable[[int, int], None]) -> Callable[..., None]:
        def kill(pid: int, signal: int, /) -> None:
            if type(pid) is int and pid > 0 and self._is_adopted(pid) and is_zombie(pid):
                with contextlib.suppress(ChildProcessError):
                    System.waitpid(pid, os.WNOHANG)
            original(pid, signal)

        return kill

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


def _is_daemon(pid: int) -> bool:
    try:
        return os.getsid(pid) != os.getsid(0)
    except OSError:
        return False


def _is(pid: int, start: int) -> bool:
    try:
        return start_time(f"/proc/{pid}/stat") == start
    except OSError:
        return False
