"""Looking at every object of a process must not change the process."""

from __future__ import annotations

import abc
import subprocess
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from support.twins import in_python

from pytest_resource_hygiene import objects
from pytest_resource_hygiene.compiled import speedups

if TYPE_CHECKING:
    from types import ModuleType

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


class Task:
    """Something that is over at some time."""

    def __init__(self, *, is_done: bool = False) -> None:
        """Be over, or not."""
        self.is_done = is_done

    def done(self) -> bool:
        """Return whether it is over."""
        return self.is_done


class Loop:
    """Something that keeps things by names."""

    def __init__(self, **kept: Any) -> None:
        """Keep these."""
        vars(self).update(kept)

    @property
    def broken(self) -> object:
        """Fail."""
        raise ZeroDivisionError


def _records(*things: Task) -> list[Any]:
    return [(weakref.ref(thing), str(number)) for number, thing in enumerate(things)]


@pytest.fixture(params=["python", "as-installed"])
def twin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Each of the two versions, or twice the same where there is no other."""
    return in_python(objects, monkeypatch) if request.param == "python" else objects


def test_records_of_what_is_over_are_dropped(twin: ModuleType) -> None:
    going, over = Task(), Task(is_done=True)
    records = _records(over, going, Task())  # the last is gone at once

    assert [ref() for ref in twin.pending(records, "done")] == [going]
    assert [name for _, name in records] == ["1"]


def test_a_loop_is_idle_if_nothing_is_pending_and_it_keeps_nothing(twin: ModuleType) -> None:
    going, names = Task(), ("timers", "handlers")
    records = _records(Task(is_done=True))

    assert twin.is_idle(records, "done", Loop(), names) is True
    assert not records
    assert twin.is_idle([], "done", Loop(timers=[], handlers={}), names) is True
    assert twin.is_idle([], "done", Loop(handlers={1: 2}), names) is False
    assert twin.is_idle([], "done", Loop(handlers={1: 2}), ()) is True
    assert twin.is_idle(_records(going), "done", Loop(), names) is False


def test_what_fails_when_it_is_asked_is_told(twin: ModuleType) -> None:
    with pytest.raises(ZeroDivisionError):
        twin.is_idle([], "done", Loop(), ("broken",))
    with pytest.raises(AttributeError):
        twin.is_idle(_records(task := Task()), "no_method", Loop(), ())
    assert not task.is_done


@pytest.mark.parametrize("compiled", [True, False])
def test_an_object_that_only_an_attribute_refers_to_is_found(
    monkeypatch: pytest.MonkeyPatch, *, compiled: bool
) -> None:
    """The collector tracks neither a lock nor, up to Python 3.13, a dictionary that has but one."""
    if compiled and speedups is None:
        pytest.skip("the parts in C are not compiled here")
    monkeypatch.setattr(objects, "speedups", speedups if compiled else None)

    class Owner:
        def __init__(self) -> None:
            self.lock = threading.Lock()

    owners = [Owner() for _ in range(3)]
    assert len(vars(owners[0])) == 1, "its dictionary is made when somebody asks for it"
    found = [id(one) for one in objects.all_of_type(type(owners[0].lock))]

    assert {id(one.lock) for one in owners} <= set(found)
    assert len(found) == len(set(found))
