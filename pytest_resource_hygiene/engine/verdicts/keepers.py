"""Whether a library keeps what it has made, so that it is nobody's leak."""

from __future__ import annotations

from contextlib import contextmanager
from inspect import CO_VARARGS, CO_VARKEYWORDS
from pathlib import Path
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.references.holders import MAX_DEPTH, find_holder
from pytest_resource_hygiene.engine.references.made_in_c import MADE_IN_C
from pytest_resource_hygiene.engine.suspects.settle import describe
from pytest_resource_hygiene.model import Holder
from pytest_resource_hygiene.objects import attribute_of, is_a, module_name
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType

    from pytest_resource_hygiene.engine.inventory.ledger import Ledger
    from pytest_resource_hygiene.engine.origins.stacks import StackReader
    from pytest_resource_hygiene.engine.suspects.groups import Group

__all__ = ["Keepers"]

_EXIT, _LOOPS, _TASKS = "atexit", "loops", "tasks"
_CDEF = "cfunc.to_py"  # where Cython says that it has made a Python function of one of C's
_MAX_LOOKED_UP = 5  # of one group
_FAR = 14  # references from a socket up to the pool that `urllib3.request` keeps
_TIME_FOR_FAR = 2.0  # seconds; each step up takes some 20 ms where there are many objects


class Keepers:
    """Looks for who keeps a group.

    Args:
        ledger: to ask for the objects behind entries.
        reader: reads creation records.
        scratch: see `EngineSettings`.
    """

    def __init__(self, ledger: Ledger, reader: StackReader, scratch: Callable[[], str]) -> None:
        """Have looked for nobody yet."""
        self._ledger = ledger
        self._reader = reader
        self._scratch = scratch
        # To look for a holder costs some hundred milliseconds where there are many objects.
        self._kept_by_none: set[tuple[object, ...]] = set()
        self._searched = 0.0  # seconds

    @contextmanager
    def on_trial(self) -> Iterator[None]:
        """Remember nothing of what is asked inside."""
        kept_by_none = self._kept_by_none.copy()
        try:
            yield
        finally:
            self._kept_by_none = kept_by_none

    def is_library(self, group: Group) -> bool:
        """Return whether a library keeps it; who that is, if anybody, is noted in the group."""
        unseen = group.primary.creation is None and group.primary.tracker.kind in MADE_IN_C
        if (not group.site and not unseen) or self.has_file_of_test(group):
            return False
        primary, tracker = group.primary, group.primary.tracker
        code = self._ledger.code_of(primary)
        if code is not None and self._reader.places.of(code.co_filename) in {"user", "generated"}:
            return False
        kept_in: str | None = self._ledger.ask(
            tracker, "saying who keeps it", None, tracker.kept_in, primary.key, primary.value
        )
        if kept_in is not None:
            return self._is_librarys_own(group, kept_in)
        if (
            tracker.kind == _TASKS
            and code is not None
            and self._is_of_package_for_itself(code, group)
        ):
            return True
        call = group.primary.tracker.kind, self._reader.call(group.primary.creation)
        if call in self._kept_by_none:
            return False
        by_library = self._look_for_holder(group)
        if not by_library and call[1] is not None:
            self._kept_by_none.add(call)
        return by_library

    def is_own_data(self, group: Group) -> bool:
        """Return whether an installed package has opened files of its own to read, such as fonts.

        There are only so many of them, whoever keeps them, and be it an object of C's.
        """
        if group.primary.tracker.kind != "fds" or not group.site:
            return False
        shown = [describe(entry, self._ledger) for entry in group.entries]
        makers = [file for file, _ in group.site]
        return all(
            one.details.get("access") == "read"
            and any(self._reader.places.are_of_one_package(one.target, file) for file in makers)
            for one in shown
        )

    def has_file_of_test(self, group: Group) -> bool:
        """Return whether a test had a library open a file in the test's own folder.

        That goes with the test: a log file there is nothing that a library keeps for the process.
        """
        owner = group.primary.owner
        files = [entry for entry in group.entries if entry.tracker.kind == "fds"]
        if not files or owner is None or owner.info.type != "test":
            return False
        scratch = self._scratch()
        targets = (describe(entry, self._ledger).target for entry in files)
        return bool(scratch) and any(one.startswith(f"{scratch}/") for one in targets)

    def _look_for_holder(self, group: Group) -> bool:
        # That a function can be reached says nothing of what else the same call has made.
        things = [entry for entry in group.entries if entry.tracker.settles] or [group.primary]
        if group.primary.tracker.kind == _LOOPS:  # which has all else of its group
            things = [group.primary]
        for entry in things[:_MAX_LOOKED_UP]:
            anchor = self._ledger.anchor_of(entry)
            if anchor is None:
                continue
            if is_a(anchor, MethodType):
                anchor = anchor.__self__  # the method itself is made anew at each access
            if entry.tracker.kind == _EXIT:
                group.holder = self._extension_with(anchor)
                if group.holder is not None or self._is_of_library_itself(anchor):
                    return True
            depth = _FAR if self._searched < _TIME_FOR_FAR else MAX_DEPTH
            began = System.perf_counter()
            with self._ledger.recorder.mute():
                group.holder = find_holder(anchor, lambda name: self._may_hold(name, group), depth)
            self._searched += System.perf_counter() - began
            del anchor
            if group.holder is not None and group.holder.module:
                return self._reader.places.is_library_module(group.holder.module)
        return False

    def _is_of_library_itself(self, thing: Any) -> bool:
        """Return whether a library has registered its own class, or a function that closes over nothing."""
        if is_a(thing, FunctionType):
            is_plain = thing.__closure__ is None
            return is_plain and self._reader.places.of(thing.__code__.co_filename) == "library"
        return is_a(thing, type) and self._reader.places.is_library_module(module_name(thing))

    def _extension_with(self, thing: Any) -> Holder | None:
        """Return the library whose function in C, which closes over an address only, is registered."""
        space = attribute_of(thing, "__globals__")
        if attribute_of(thing, "__module__") != _CDEF or not is_a(space, dict):
            return None
        name = str(space.get("__name__"))
        is_librarys = self._reader.places.is_library_module(name)
        return Holder(name, (f"module {name}", "a function in C")) if is_librarys else None

    def _is_of_package_for_itself(self, code: CodeType, group: Group) -> bool:
        """Return whether a package runs a function of its own that it has given nothing to work on.

        As sse-starlette does once for each loop. It works for no object that anybody could close.
        """
        is_method_or_inner = "." in code.co_qualname
        if is_method_or_inner or code.co_argcount or code.co_kwonlyargcount or code.co_freevars:
            return False
        if code.co_flags & (CO_VARARGS | CO_VARKEYWORDS):
            return False
        places = self._reader.places
        return any(places.are_of_one_package(code.co_filename, file) for file, _ in group.site)

    def _is_librarys_own(self, group: Group, module: str) -> bool:
        """Return whether an installed package has registered something for a module of its kind.

        That the standard library did it says nothing: whoever calls `logging.config` asked for it.
        """
        places = self._reader.places
        if not any(places.of(file) == "library" for file, _ in group.site):
            return False
        if not module or places.is_library_module(module.partition(".")[0]):
            return True
        if Path(module).is_absolute():  # paramiko names a logger by its file
            return places.of(module) == "library"
        return self._reader.is_named_by_library(group.primary.creation, module)

    def _may_hold(self, module: str, group: Group) -> bool:
        """Return whether it says something that a module has it: the user's, or one that made it.

        What another library only happens to refer to, such as a built-in function that listens, or
        what the user has put into its logger, that library does not keep.
        """
        if not group.site or not self._reader.places.is_library_module(module):
            return True
        return self._reader.places.is_part_of(module, (file for file, _ in group.site))
