"""Has anyio's test runner work for whoever is at work.

It runs all tests and fixtures that share its loop in one task, and so in the context of the fixture
that was set up first. A thread to which a later test hands a job gets that context.

Loaded when the user has imported a backend of anyio.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_resource_hygiene.recorder import Recorder

__all__ = ["tell_owner"]


def tell_owner(recorder: Recorder, backend: str) -> None:
    """Set the owner in the runner's task, for each test and fixture that it runs.

    Args:
        recorder: has the variable that names the owner.
        backend: the module; in a release in which nothing has the names below, nothing is done.
    """
    runner = getattr(sys.modules.get(backend), "TestRunner", None)
    owner_var = recorder.owner_var

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def call_in_runner_task(self: Any, func: Any, /, *args: Any, **kwargs: Any) -> Any:
            owner = owner_var.get(None)

            async def run_as_owner(*args: Any, **kwargs: Any) -> Any:
                __tracebackhide__ = True
                owner_var.set(owner)
                return await func(*args, **kwargs)

            return original(self, run_as_owner, *args, **kwargs)

        return call_in_runner_task

    if runner is not None:
        recorder.wrap(runner, "_call_in_runner_task", make)
