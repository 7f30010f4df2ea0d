"""Looking at every object of a process must not change the process."""

from __future__ import annotations

import abc
import subprocess
import sys

import pytest

from pytest_resource_hygiene import objects
from pytest_resource_hygiene.compiled import speedups

_WALKS = """
import _asyncio, asyncio, gc
from pytest_resource_hygiene.objects import all_of_type, referents

async def waits():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_soon(future.set_result, None)
    await future

for _ in range(3):
    asyncio.run(waits())
    all_of_type(asyncio.Future)
    referents(_asyncio)
gc.collect()
print("ended")
"""


def test_a_walk_leaves_the_free_lists_of_c_modules_alone() -> None:
    """What a module keeps for re-use is dead: to touch it made the next collection endless."""
    done = subprocess.run(
        [sys.executable, "-c", _WALKS], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.stdout == "ended\n", done.stderr


@pytest.mark.parametrize("compiled", [True, False])
def test_instances_are_those_of_the_real_type(
    monkeypatch: pytest.MonkeyPatch, *, compiled: bool
) -> None:
    """What calls itself one, and what an abstract class takes for one, is none."""
    if compiled and speedups is None:
        pytest.skip("the parts in C are not compiled here")
    monkeypatch.setattr(objects, "speedups", speedups if compiled else None)

    class Base(abc.ABC):  # noqa: B024 - that it takes others in is what matters
        """Asks nobody."""

    class Derived(Base):
        """Is one."""

    class Registered:
        """Is none."""

        @property
        def __class__(self) -> type:
            return Derived

    class Other:
        """Is another."""

    Base.register(Registered)
    made = [Derived(), Registered(), Other()]

    found = objects.instances_of(Base, Other)
    assert {id(one) for one in found} == {id(made[0]), id(made[2])}
    assert objects.instances_of() == []
