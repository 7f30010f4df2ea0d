"""Runs a Python program in this process, under the checks, and judges what it leaves.

Started as a process of its own by ``resource-hygiene run``. A program is judged when its code has
ended, before the interpreter undoes what it can: exit callbacks, signal handlers and log handlers
end with the process anyway, and are notes unless their kinds were asked for.
"""

from __future__ import annotations

import argparse
import builtins
import importlib
import os
import sys
import traceback
import types
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.cli.exits import Exit
from pytest_resource_hygiene.engine.checker import LeakChecker
from pytest_resource_hygiene.engine.inventory.owners import Owner
from pytest_resource_hygiene.engine.origins.places import Places
from pytest_resource_hygiene.engine.settings import EngineSettings
from pytest_resource_hygiene.kind_choice import choose_kinds, named_kinds
from pytest_resource_hygiene.model import OwnerInfo
from pytest_resource_hygiene.reports.document import make_document, write_document
from pytest_resource_hygiene.reports.leaks import plural
from pytest_resource_hygiene.reports.terminal_report import finding_lines
from pytest_resource_hygiene.trackers import built_in_trackers, default_kinds, kind_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, TracebackType

    from pytest_resource_hygiene.leak import Leak

__all__ = ["main"]

_ENDS_WITH_THE_PROCESS = frozenset({"atexit", "signals", "listeners"})


def main(argv: Sequence[str]) -> int:
    """Run the program that the arguments name.

    Args:
        argv: our options, ``--``, then ``-m MODULE``, ``-c CODE`` or a file, and its arguments.
    """
    split = list(argv).index("--")
    options = _parser().parse_args(argv[:split])
    target, arguments = _target(list(argv[split + 1 :]))
    checker = _checker(options)
    owner = Owner(OwnerInfo("session", " ".join(target), "session"))
    process = os.getpid()
    module = _set_up(target)  # before the first look: these changes are ours, not the program's
    checker.start()
    checker.open(owner)
    status = _run(target, arguments, module)
    if os.getpid() != process:
        return status  # a child that the program has forked, and that came to the end of its code
    leaks = checker.close(owner, everything=True)
    checker.stop()
    Path(options.judged).touch()
    for failure in checker.failures:
        print(f"resource hygiene: {failure}", file=sys.stderr)
    _tell(leaks, checker.settings.root)
    if options.json:
        _write(options.json, leaks, checker)
    if status:
        return status  # the program's own failure comes first
    if checker.failures:
        return Exit.TROUBLE
    failing = options.mode == "fail" and any(leak.severity == "fail" for leak in leaks)
    return Exit.LEAKS if failing else Exit.CLEAN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="resource-hygiene run", add_help=False)
    parser.add_argument("--judged", required=True)  # a file that is made when the judging is done
    parser.add_argument("--mode", default="fail")
    parser.add_argument("--kinds", default="")
    parser.add_argument("--grace", type=float, default=0.5)
    parser.add_argument("--json", default="")
    return parser


def _checker(options: argparse.Namespace) -> LeakChecker:
    kinds = choose_kinds(options.kinds, default_kinds(), frozenset(kind_names()))
    severity = dict.fromkeys(_ENDS_WITH_THE_PROCESS - named_kinds(options.kinds), "note")
    severity |= dict.fromkeys(kinds - default_kinds(), "fail")
    root = str(Path.cwd())
    settings = EngineSettings(severity=severity, grace=options.grace, restore=False, root=root)
    return LeakChecker(built_in_trackers(kinds), settings, places=Places([root]))


def _target(words: list[str]) -> tuple[list[str], list[str]]:
    count = 2 if words[0] in {"-m", "-c"} else 1
    return words[:count], words[count:]


def _set_up(target: list[str]) -> types.ModuleType:
    """Prepare ``__main__`` and ``sys.path`` as the interpreter does."""
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = module
    if not sys.flags.safe_path:  # ``-P`` or PYTHONSAFEPATH: then there is no such entry to replace
        sys.path[0] = _first_entry(target)
    return module


def _first_entry(target: list[str]) -> str:
    if target[0] == "-c":
        return ""
    if target[0] == "-m":
        return str(Path.cwd())
    file = Path(target[0])
    return str(file.absolute()) if _is_package(file) else str(file.resolve().parent)


def _is_package(file: Path) -> bool:
    return file.is_dir() or file.suffix == ".pyz"


def _run(target: list[str], arguments: list[str], module: types.ModuleType) -> int:
    """Run the code as the interpreter would; return its exit status."""
    try:
        code = _load(target, arguments, module)
        exec(code, vars(module))  # noqa: S102 - that is what we are for
    except SystemExit as end:
        return _status(end.code)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BaseException as error:  # noqa: BLE001 - the program's own, shown as Python shows it
        traceback.print_exception(error.with_traceback(_without_ours(error.__traceback__)))
        return 1
    return 0


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames of this file that lead to the program's, or to its compiling."""
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace


def _status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def _load(target: list[str], arguments: list[str], module: types.ModuleType) -> CodeType:
    """Compile the program, and set ``sys.argv`` and what ``__main__`` knows of itself."""
    if target[0] == "-c":
        sys.argv = ["-c", *arguments]
        return compile(target[1], "<string>", "exec")
    if target[0] == "-m":
        return _load_module(target[1], arguments, module)
    file = Path(target[0])
    sys.argv = [target[0], *arguments]
    if _is_package(file):
        return _load_module("__main__", arguments, module)
    module.__file__ = str(file.absolute())
    return compile(file.read_bytes(), str(file.absolute()), "exec")


def _load_module(name: str, arguments: list[str], module: types.ModuleType) -> CodeType:
    sys.modules.pop("__main__", None)  # else it would find the one that has just been made
    try:
        spec = find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = find_spec(f"{name}.__main__")
    finally:
        sys.modules["__main__"] = module
    loader: Any = spec.loader if spec is not None else None
    code: CodeType | None = None
    if spec is not None and hasattr(loader, "get_code"):
        code = loader.get_code(spec.name)
    if spec is None or code is None:
        print(f"resource-hygiene run: there is no module {name!r} to run.", file=sys.stderr)
        raise SystemExit(Exit.USAGE)
    module.__spec__, module.__file__ = spec, spec.origin
    module.__package__ = spec.parent
    importlib.invalidate_caches()
    if name != "__main__":
        sys.argv = [str(spec.origin), *arguments]
    return code


def _tell(leaks: Sequence[Leak], root: str) -> None:
    failing = [leak for leak in leaks if leak.severity == "fail"]
    for leak in failing:
        print("\n".join(finding_lines(leak.to_dict(), root)), file=sys.stderr)
    notes = sum(1 for leak in leaks if leak.severity == "note")
    more = f", {plural(notes, 'note')}" if notes else ""
    print(f"resource hygiene: {plural(len(failing), 'leak')}{more}", file=sys.stderr)


def _write(file: str, leaks: Sequence[Leak], checker: LeakChecker) -> None:
    document = make_document(
        [leak.to_dict() for leak in leaks],
        tests=0,
        seconds=checker.seconds,
        collections=checker.settler.collections,
        blind_spots=[{"kind": kind, "why": why} for kind, why in checker.blind_spots],
        unused_allowances=[],
        pytest_version=version("pytest"),
    )
    try:
        write_document(document, Path(file))
    except OSError as error:
        print(
            f"resource-hygiene run: --json: {file} cannot be written: {error.strerror}. "
            "Give a file in another folder.",
            file=sys.stderr,
        )
        raise SystemExit(Exit.USAGE) from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
