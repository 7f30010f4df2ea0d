"""Which descriptors and processes an object has of which it knows but the numbers.

In a container the ids of processes are as small as numbers of descriptors. So the two are told apart:
that of a process is written as `of_process` has it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from types import FunctionType, MethodDescriptorType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import attributes_of, defined_in, is_a, module_name
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["HeldNumbers", "is_of", "numbers_without_descriptors", "of_process"]

_ENDS_OF_PROCESSES = tuple(
    getattr(os, name) for name in ("kill", "killpg", "waitpid") if hasattr(os, name)
)
_PID = "pid"
# How a name ends that says it is such a number; and what both ends of a pipe or terminal are called.
_NAMES = ("fd", "fileno", "handle", _PID, "sock", "pipe", "sentinel", "_r", "_w")
_NAMES_OF_ENDS = frozenset(
    {"r", "w", "rd", "wr", "reader", "writer", "read_end", "write_end", "master", "slave",
     "stdin", "stdout", "stderr"}
)  # fmt: skip
# In which a ``Popen`` of multiprocessing lists what its child was given: closed here long ago.
_OF_CHILDREN = frozenset({"_fds"})


def of_process(pid: int) -> int:
    """Return what stands here for the id of a process: a number that no descriptor has."""
    return ~pid


class HeldNumbers:
    """Looks for numbers in objects, one after the other.

    Args:
        numbers: those of descriptors, and of processes by `of_process`, that are looked for.
    """

    def __init__(self, numbers: Collection[int]) -> None:
        """Look for all of them, in whatever comes."""
        self._numbers = frozenset(numbers)
        self._tells_number = _TellsNumber()

    def of(self, obj: Any) -> set[int]:
        """Return which of the numbers an object has.

        By its own ``fileno``, by an attribute whose name says that it is such a number, or as what
        a callback is to end.
        """
        if not self._numbers:
            return set()
        found = set(_ended_by(obj))
        if self._tells_number[type(obj)]:
            with suppress(Exception):  # closed; and that is all that it can tell
                found.add(obj.fileno())
        attributes = attributes_of(obj)
        for name, value in list(attributes.items()):
            if _says_number(name) and not (name in _OF_CHILDREN and _is_popen(obj)):
                found.update(_of_processes(value) if _says_pid(name) else _ints(value))
        if _closes_all(attributes.get("_callback")):
            found.update(_ints(attributes.get("_args")))
        return found & self._numbers

    def of_value(self, value: Any) -> set[int]:
        """Return which of the numbers a fixture's own value is, or is a collection of."""
        return {*_ints(value), *_of_processes(value)} & self._numbers


def numbers_without_descriptors(values: Iterable[Any]) -> frozenset[int]:
    """Return the numbers that values have, themselves or in attributes, and that are open nowhere.

    What is opened later under such a number is not theirs: they count something else, or have
    closed it.
    """
    numbers: set[int] = set()
    for value in values:
        numbers.update(_ints(value))
        for attribute in list(attributes_of(value).values()):
            numbers.update(_ints(attribute))
    return frozenset(number for number in numbers if number >= 0 and not _is_open(number))


def is_of(value: Any, numbers: frozenset[int]) -> bool:
    """Return whether a value is one of some numbers, or a tuple of nothing else."""
    if type(value) is int:
        return value in numbers
    return type(value) is tuple and bool(value) and all(is_of(one, numbers) for one in value)


def _is_open(number: int) -> bool:
    try:
        System.fstat(number)
    except (OSError, OverflowError):
        return False
    return True


class _TellsNumber(dict[type, bool]):
    """Whether a class has a ``fileno`` written in C, as epolls and connections of drivers have.

    One in Python is not called: it may do anything, also to what another thread is using.
    """

    def __missing__(self, cls: type) -> bool:
        answer = self[cls] = isinstance(defined_in(cls, "fileno"), MethodDescriptorType)
        return answer


def _ended_by(obj: Any) -> list[int]:
    """Return the numbers with which a callback calls what ends them: ``partial(os.close, 5)``.

    ``ExitStack.callback(os.close, 5)`` keeps function and arguments in a closure.
    """
    if is_a(obj, partial):
        return _ended((obj.func, obj.args))
    if is_a(obj, tuple):  # as unittest keeps it: function, arguments, named arguments
        return _ended(tuple.__iter__(obj))
    if not is_a(obj, FunctionType) or not obj.__closure__:
        return []
    values = []
    for cell in obj.__closure__:
        with suppress(ValueError):  # not filled yet
            values.append(cell.cell_contents)
    if {"os", "close"} <= set(obj.__code__.co_names):
        values.append(os.close)
    return _ended(values)


def _ended(values: Iterable[Any]) -> list[int]:
    """Return the numbers among some values that a function among them ends, if there is one."""
    values = list(values)
    found: list[int] = []
    if any(one is os.close for one in values):
        found += [number for one in values for number in _ints(one)]
    if any(one is end for one in values for end in _ENDS_OF_PROCESSES):
        found += [number for one in values for number in _of_processes(one)]
    return found


def _of_processes(value: Any) -> list[int]:
    return [of_process(number) for number in _ints(value)]


def _ints(value: Any) -> list[int]:
    """Return the integers that a value is or has as a collection, whatever its class makes of it."""
    if type(value) is int:
        return [value]
    members: list[Any] = []
    if is_a(value, dict):
        members = [*dict.keys(value), *dict.values(value)]
    else:
        for cls in (list, tuple, set, frozenset):
            if is_a(value, cls):
                members = list(cls.__iter__(value))
    return [one for one in members if type(one) is int]


def _says_number(name: Any) -> bool:
    if not isinstance(name, str):
        return False
    word = name.strip("_").lower()
    return word in _NAMES_OF_ENDS or word.removesuffix("s").endswith(_NAMES)


def _says_pid(name: str) -> bool:
    return name.strip("_").lower().removesuffix("s").endswith(_PID)


def _is_popen(obj: Any) -> bool:
    return module_name(type(obj)).startswith(("multiprocessing.popen_", "multiprocess.popen_"))


def _closes_all(callback: Any) -> bool:
    """Return whether it is ``multiprocessing.util.close_fds``, which a process has for its pipes."""
    return is_a(callback, FunctionType) and callback.__code__.co_name == "close_fds"
