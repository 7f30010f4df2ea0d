"""Usage errors in a worker of xdist, which tells the controller only that it has ended.

What can be known before any collection is refused in the controller. Markers, and what conftest files
of folders add, are read in the workers, and all that their user would see is an assertion of xdist.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

__all__ = ["OUTPUT", "WorkerErrors"]

OUTPUT = "resource_hygiene_usage"
"""The key of ``workeroutput`` that has the words of the error."""


class WorkerErrors:
    """Puts the words of a usage error where the controller finds them.

    Args:
        output: what the worker tells when it ends.
    """

    def __init__(self, output: dict[str, Any]) -> None:
        """Have nothing to tell yet."""
        self._output = output

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except pytest.UsageError as error:
            self._output[OUTPUT] = str(error)
            raise

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self) -> Generator[None, object, object]:
        """Listen while markers are read."""
        with self._told():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Listen while the watch begins."""
        with self._told():
            return (yield)
