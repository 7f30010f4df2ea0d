"""Reads creation records: which lines, whose they are, and what that says about the making."""

from __future__ import annotations

from types import CodeType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.origins.places import PLUGIN_ENDINGS
from pytest_resource_hygiene.engine.origins.singletons import has_habits, runs_jobs
from pytest_resource_hygiene.model import Frame, Origin
from pytest_resource_hygiene.objects import attribute_of
from pytest_resource_hygiene.positions import line_of, position_of
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_resource_hygiene.engine.inventory.owners import Owner
    from pytest_resource_hygiene.engine.origins.places import Place, Places
    from pytest_resource_hygiene.recorder import Creation, Stack

__all__ = ["StackReader"]

_IMPORT = "<frozen importlib._bootstrap>"
_WORKER = "/concurrent/futures/thread.py"
# Below these a loop takes a turn: of asyncio the call of a handle, of trio all steps of its tasks.
_TURNS_OF_LOOPS = ("_run", "unrolled_run")
_FILES_OF_LOOPS = ("/asyncio/events.py", "/trio/_core/_run.py")
_COMPREHENSIONS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>"})
_BEGINS, _REACTOR = "startRunning", "/twisted/internet/base.py"
_RUNNER = "TestRunner."  # anyio's, whose own task runs each test: no file of a plugin's


def _is_hook(code: CodeType) -> bool:
    return code.co_name.startswith("pytest_")


def _is_by_reactor(creation: Creation) -> bool:
    """Return whether it was made when the reactor began to run that pytest-twisted has in a greenlet.

    That has neither the context of a test nor a frame of the plugin's. What the reactor makes later
    it makes for somebody.
    """
    is_main = creation.parent is None and creation.owner is None
    return is_main and any(
        code.co_name == _BEGINS and code.co_filename.endswith(_REACTOR)
        for code in creation.stack[::2]
    )


class StackReader:
    """Answers questions about creation records; costs are paid for suspects only."""

    def __init__(self, places: Places) -> None:
        """Use that sorting of files."""
        self.places = places

    def frames(self, creation: Creation | None) -> tuple[Frame, ...]:
        """Return the stack, innermost first, down to the user's outermost function.

        What has called that, such as a runner and its loop, says nothing; nor do our own frames and
        the import machinery. Where no function of the user's was at work, as in a task that a
        library has made to connect, the stack of whoever began it follows.
        """
        found: list[tuple[CodeType, int, Place]] = []
        while creation is not None:
            rows = self.sorted(creation)
            users = [number for number, (_, _, place) in enumerate(rows) if place == "user"]
            found += rows[: users[-1] + 1] if users else _above_turn(rows)
            creation = None if users else creation.parent
        return tuple(
            Frame(code.co_filename, line_of(code, offset), code.co_name)
            for code, offset, _ in found
            if self.places.of(code.co_filename) not in {"own", "frozen"}
        )

    def sorted(self, creation: Creation) -> list[tuple[CodeType, int, Place]]:
        """Return code, offset and whose it is for each frame, innermost first.

        Code that was generated (a dataclass's ``__init__``, what ``exec`` runs) has no file, and is
        whoever's runs it; the user's, if the standard library does so: a doctest, ``timeit``.
        """
        frames: list[tuple[CodeType, int, Place]] = []
        caller: Place = "user"
        for code, offset in reversed(list(pairs(creation.stack))):
            place = self.places.of(code.co_filename)
            if place == "generated":
                place = "user" if caller in {"stdlib", "frozen"} else caller
            else:
                caller = place
            frames.append((code, offset, place))
        return frames[::-1]

    def user_frame(self, creation: Creation | None) -> tuple[CodeType, int] | None:
        """Return the innermost frame that is the user's, if possible one whose line can be shown."""
        without_file = None
        while creation is not None:
            for code, offset, place in self.sorted(creation):
                if place == "user" and self.places.of(code.co_filename) != "generated":
                    return code, offset
                if place == "user":
                    without_file = without_file or (code, offset)
            creation = creation.parent
        return without_file

    def is_posted(self, creation: Creation | None) -> bool:
        """Return whether one owner had it made by a loop, or in a thread of another.

        The stack then tells who runs the loop, or started the thread, not who asked for this.
        """
        if creation is None or creation.owner is None:
            return False
        if creation.parent is None:
            return self._is_of_loop(creation)
        if creation.parent.owner is creation.owner:
            return False
        own = creation._replace(parent=None)
        return self._is_of_loop(own) or self.user_frame(own) is None

    def origin(self, creation: Creation | None) -> Origin | None:
        """Return the innermost frame that is the user's; else the innermost of anybody's."""
        found = self.user_frame(creation)
        if found is None and creation is not None:
            found = next(
                (
                    (code, offset)
                    for code, offset in pairs(creation.stack)
                    if self.places.of(code.co_filename) not in {"own", "frozen", "generated"}
                ),
                None,
            )
        if found is None or creation is None:
            return None
        code, offset = found
        line = line_of(code, offset)
        return Origin(
            file=code.co_filename,
            line=line,
            function=_function_of(code),
            source="recorded"
            if creation.certain and not self._is_by_worker(creation)
            else "inferred",
            text=System.getline(code.co_filename, line).strip(),
        )

    def _is_by_worker(self, creation: Creation) -> bool:
        """Return whether a pool's worker made it in a job without a line of the user's.

        All that is known then is who asked for the worker, perhaps for another job.
        """
        if self.user_frame(creation._replace(parent=None)) is not None:
            return False
        codes = [code for code, _ in pairs(creation.stack) if code.co_name == "_worker"]
        return any(code.co_filename.endswith(_WORKER) for code in codes)

    def is_foreign(self, creation: Creation | None) -> bool:
        """Return whether the test runner or one of its plugins made it, for itself."""
        if creation is None or not creation.stack:
            return False
        places = {place for _, _, place in self.sorted(creation)}
        if "user" in places:
            return "tool" in places and self._is_of_plugin(creation)
        if creation.owner is not None and self._is_of_loop(creation):
            # Whoever runs the loop only runs it: a connection that a server accepts in a callback
            # of asyncio's own is of the context that was copied when the server was started.
            return False
        if "tool" in places or _is_by_reactor(creation):
            return True
        return places <= {"stdlib", "own", "frozen"} and self.is_foreign(creation.parent)

    def _is_of_loop(self, creation: Creation) -> bool:
        """Return whether an event loop made it in a turn of its own, such as one that accepts.

        So is what a library's task makes, e.g. one of several that try to connect, for whoever is
        at work in its context; for a plugin's own fixture it is the plugin's.
        """
        passable = {"stdlib", "own", "frozen"}
        if not self._is_tools(creation.owner):
            passable.add("library")
        for code, _, place in self.sorted(creation):
            if _is_turn(code):
                return True
            if place not in passable or code.co_qualname.startswith(_RUNNER):
                return False
        return False

    def _is_tools(self, owner: Owner | None) -> bool:
        """Return whether an owner is a fixture that a plugin has brought."""
        codes = owner.codes if owner is not None else ()
        return any(self.places.of(code.co_filename) == "tool" for code in codes)

    def _is_of_plugin(self, creation: Creation) -> bool:
        """Return whether a plugin under development made it, with other files of its package."""
        files = [(code.co_filename, place) for code, _, place in self.sorted(creation)]
        at = next(n for n, (_, place) in enumerate(files) if place == "tool")
        plugin = files[at][0]
        if not plugin.endswith(PLUGIN_ENDINGS):
            return False
        package = plugin.rpartition("/")[0] + "/"
        return all(
            file.startswith(package) and "/test" not in file.removeprefix(package)
            for file, place in files[:at]
            if place == "user"
        )

    def is_by_tool(self, creation: Creation | None) -> bool:
        """Return whether the test runner made it, though the user's code may have called that."""
        for _, _, place in self.sorted(creation) if creation is not None else ():
            if place not in {"own", "frozen", "stdlib"}:
                return place == "tool"
        return False

    def is_tool_code(self, function: Any) -> bool:
        """Return whether a function is written in a file of the test runner, the debugger, or ours."""
        code = attribute_of(attribute_of(function, "__func__", function), "__code__")
        return isinstance(code, CodeType) and self.places.of(code.co_filename) in {"tool", "own"}

    def is_by_user(self, creation: Creation | None) -> bool:
        """Return whether the user's code made it, and not while a module was being imported."""
        return self.user_frame(creation) is not None and self.importing(creation) is None

    def importing(self, creation: Creation | None) -> str | None:
        """Return the name of the module that was being imported for the first time, if any."""
        if creation is None:
            return None
        module: str | None = None
        for code, _ in pairs(creation.stack):
            if code.co_filename == _IMPORT:
                if module is not None:
                    return module
            elif code.co_name == "<module>":
                module = code.co_filename
            elif code.co_name == "reload" and code.co_filename.endswith("importlib/__init__.py"):
                return None
        return None

    def call(self, creation: Creation | None) -> tuple[Any, ...] | None:
        """Return what identifies the one call of the user's that made this.

        Things made by one call belong together: a loop with its selector and self-pipe, a pool with
        its threads and pipes, and what such a thread has made with no code of the user's.
        """
        if creation is None:
            return None
        frame = self.user_frame(creation._replace(parent=None))
        if frame is None and creation.parent is not None:
            return self.call(creation.parent)
        inner: CodeType | None = None
        for code, offset, place in self.sorted(creation):
            if (code, offset) == frame:
                return code, position_of(code, offset), inner
            if place != "own":
                inner = code
        return None

    def habit_site(self, creation: Creation | None) -> tuple[tuple[str, str], ...]:
        """Return the frames below the user's, counting a listed package under development too.

        What a pool's own thread makes for the pool is as much the pool's as that thread; what the
        jobs make that a worker is given, is not.
        """
        site: list[tuple[str, str]] = []
        while creation is not None:
            for code, _, place in self.sorted(creation):
                file = code.co_filename
                if place == "user" and not has_habits(file):
                    return tuple(site)
                if place in {"library", "stdlib", "user"}:
                    site.append((file, code.co_name))
                if runs_jobs(file, code.co_qualname):
                    return tuple(one for one in site if one[0] != file)
            creation = creation.parent
        return tuple(site)

    def is_named_by_library(self, creation: Creation | None, name: str) -> bool:
        """Return whether a name stands in the code of a package, below the user's, that made it."""
        for code, _, place in self.sorted(creation) if creation is not None else ():
            if place == "user":
                return False
            if place == "library" and name in code.co_consts:
                return True
        return False

    def hook(self, creation: Creation | None) -> CodeType | None:
        """Return the hook of the test runner, in the user's own code, within which it was made.

        Records end where the runner's frames begin: the outermost one is what the runner has called.
        """
        frames = self.sorted(creation) if creation is not None else []
        code, place = (frames[-1][0], frames[-1][2]) if frames else (None, "")
        return code if code is not None and place == "user" and _is_hook(code) else None

    def library_site(self, creation: Creation | None) -> tuple[tuple[str, str], ...]:
        """Return the frames below the user's, as files and functions: where a library makes it."""
        return tuple((code.co_filename, code.co_name) for code in self.library_codes(creation))

    def library_codes(self, creation: Creation | None) -> list[CodeType]:
        """Return the code of these frames, the innermost first."""
        found: list[CodeType] = []
        for code, _, place in self.sorted(creation) if creation is not None else ():
            if place == "user":
                break
            if place in {"library", "stdlib"}:
                found.append(code)
        return found


def _is_turn(code: CodeType) -> bool:
    return code.co_name in _TURNS_OF_LOOPS and code.co_filename.endswith(_FILES_OF_LOOPS)


def _above_turn(rows: list[tuple[CodeType, int, Place]]) -> list[tuple[CodeType, int, Place]]:
    """Leave out the turn of a loop, and who runs the loop."""
    turns = (number for number, (code, _, _) in enumerate(rows) if _is_turn(code))
    return rows[: next(turns, len(rows))]


def _function_of(code: CodeType) -> str:
    """Return the name of the function; of a comprehension, which has one until 3.11, that around it."""
    if code.co_name not in _COMPREHENSIONS:
        return code.co_name
    outer = code.co_qualname.removesuffix(code.co_name).removesuffix(".<locals>.")
    return outer.rpartition(".")[2] or "<module>"


def pairs(stack: Stack) -> Iterator[tuple[Any, int]]:
    """Yield code object and instruction offset, innermost first."""
    items = iter(stack)
    return zip(items, items, strict=True)
