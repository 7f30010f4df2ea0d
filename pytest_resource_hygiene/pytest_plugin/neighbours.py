"""What other plugins, and pytest's own, have to be told of us, and are spared.

Each is looked after by a module of its own; those for other plugins are loaded when they are needed.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from pytest_resource_hygiene.pytest_plugin.unraisable import HeldErrors

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from pytest_resource_hygiene.engine.suspects.settle import Settler
    from pytest_resource_hygiene.recorder import Recorder

__all__ = ["Neighbours"]


class Neighbours:
    """Those of one run.

    Args:
        config: of the run.
        recorder: knows what is imported.
    """

    def __init__(self, config: pytest.Config, recorder: Recorder) -> None:
        """Tell whoever is imported, now or later."""
        self._held_errors = HeldErrors(config)
        for backend in ("anyio._backends._asyncio", "anyio._backends._trio"):
            recorder.when_imported(backend, partial(_tell_anyio, recorder, backend))
        recorder.when_imported("pyfakefs.fake_filesystem_unittest", _tell_pyfakefs)

    def attend(self, settler: Settler, item: Callable[[], pytest.Item | None]) -> None:
        """Spare them what waiting for suspects would do to them.

        Args:
            settler: waits, and runs the collector.
            item: returns the test that runs.
        """
        settler.collecting = self.collecting
        if "pytest_timeout" in sys.modules:
            settler.waiting = lambda: _timeout_stopped(item())

    def collecting(self) -> AbstractContextManager[None]:
        """Hold what finalizers raise inside until `finish`."""
        return self._held_errors.collecting()

    def finish(self) -> None:
        """Let pytest have, at the end of a run, what was held."""
        self._held_errors.give_back()


def _timeout_stopped(item: pytest.Item | None) -> AbstractContextManager[None]:
    from pytest_resource_hygiene.pytest_plugin.timeouts import timeout_stopped

    return timeout_stopped(item) if item is not None else nullcontext()


def _tell_anyio(recorder: Recorder, backend: str) -> None:
    from pytest_resource_hygiene.pytest_plugin.anyio_runner import tell_owner

    tell_owner(recorder, backend)


def _tell_pyfakefs() -> None:
    from pytest_resource_hygiene.pytest_plugin.fake_files import tell_pyfakefs

    tell_pyfakefs()
