"""The command ``resource-hygiene-lint``.

Exit status: 0 nothing found, 1 something found, 2 a mistake in the command line or the
configuration, 3 a fault of this tool.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_resource_hygiene._version import __version__
from pytest_resource_hygiene.lint.check import META_RULES, known_codes
from pytest_resource_hygiene.lint.config import Config, ConfigError, find_config, load_config
from pytest_resource_hygiene.lint.discover import codes_for, find_files
from pytest_resource_hygiene.lint.formats import FORMATS, on_one_line
from pytest_resource_hygiene.lint.many import check_files
from pytest_resource_hygiene.lint.rules import all_rules
from pytest_resource_hygiene.streams import is_full, prepare_streams, silence_output

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_resource_hygiene.lint.check import FileResult

__all__ = ["main"]

CLEAN, FOUND, USAGE, TROUBLE = range(4)
_PATIENCE = 2.0  # seconds without a sign of life


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    prepare_streams()
    given = _parser().parse_args(arguments)
    try:
        if given.explain is not None:
            return _explain(given.explain)
        return _lint(given)
    except ConfigError as error:
        print(f"resource-hygiene-lint: {on_one_line(str(error))}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:
        silence_output()
        return TROUBLE  # whoever reads the status only must not take half a list for a whole one
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if isinstance(error, OSError) and is_full(error):
            silence_output()
            print("resource-hygiene-lint: no space left for the output", file=sys.stderr)
            return USAGE
        if given.debug:
            raise
        print(
            f"resource-hygiene-lint: a fault of this tool, not of your code: {type(error).__name__}: "
            f"{on_one_line(str(error))}. Please report it, with what --debug prints.",
            file=sys.stderr,
        )
        return TROUBLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="resource-hygiene-lint",
        description="Finds code that leaks when it runs: handlers, callbacks and listeners that "
        "nothing removes, threads and children that nothing ends.",
        epilog="Exit status: 0 clean, 1 findings, 2 usage, 3 a fault of this tool. "
        "Allow a line with `# noqa: RH001 -- reason`; the reason is required.",
    )
    add = parser.add_argument
    add("paths", nargs="*", default=["."], help="files and folders (default: this folder)")
    add("--select", metavar="CODES", help="look for these only: RH001,RH004 or a beginning, RH")
    add("--ignore", metavar="CODES", help="do not look for these")
    add("--format", choices=sorted(FORMATS), default="text", help="of the findings (default: text)")
    add(
        "--config", metavar="FILE", help="a pyproject.toml (default: the nearest from here upwards)"
    )
    add(
        "--explain",
        metavar="CODE",
        help="what a rule finds, why, and how to mend it; `all` for all",
    )
    add("--statistics", action="store_true", help="print files, lines, seconds and counts by rule")
    add("-j", "--jobs", type=_jobs, metavar="N", help="processes (default: one for each processor)")
    add("-q", "--quiet", action="store_true", help="print findings only, no last line")
    add("--debug", action="store_true", help="show the traceback of a fault of this tool")
    add("--version", action="version", version=f"resource-hygiene-lint {__version__}")
    return parser


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes: 1 or more")
    return int(text)


def _config(given: argparse.Namespace) -> Config:
    known = known_codes()
    here = Path.cwd()
    path = Path(given.config) if given.config else find_config(here)
    config = load_config(path, known, start=here)
    return config.narrowed(given.select, given.ignore, known)


def _lint(given: argparse.Namespace) -> int:
    began = time.perf_counter()
    config = _config(given)
    files = find_files(given.paths, config)
    jobs = [(path, codes_for(path, config)) for path in files]
    results = check_files(jobs, processes=given.jobs, tell=_progress(len(jobs)))
    findings = [finding for result in results for finding in result.findings]
    sys.stdout.write(FORMATS[given.format](findings))
    sys.stdout.flush()
    if given.statistics:
        _print_statistics(results, time.perf_counter() - began)
    elif not given.quiet and given.format == "text":
        _print_last_line(len(findings), len(files))
    return FOUND if findings else CLEAN


def _progress(total: int) -> Callable[[int], None] | None:
    """Return what shows how far we are; only to somebody who watches a terminal."""
    if not sys.stderr.isatty():
        return None
    began = time.perf_counter()

    def tell(done: int) -> None:
        if time.perf_counter() - began > _PATIENCE and (done % 50 == 0 or done == total):
            end = "\r\x1b[K" if done == total else ""
            print(f"\r{done} of {total} files{end}", end="", file=sys.stderr, flush=True)

    return tell


def _print_last_line(findings: int, files: int) -> None:
    what = f"{findings} finding{'s' * (findings != 1)}" if findings else "nothing found"
    print(f"{what} in {files} file{'s' * (files != 1)}", file=sys.stderr)


def _print_statistics(results: list[FileResult], seconds: float) -> None:
    lines = sum(result.lines for result in results)
    parsed = sum(result.parsed for result in results)
    files = f"{len(results)} file{'s' * (len(results) != 1)}"
    print(f"{files}, {lines} lines, {parsed} parsed, {seconds:.2f} s", file=sys.stderr)
    codes = [finding.code for result in results for finding in result.findings]
    for code in sorted(set(codes)):
        print(f"{code} {codes.count(code)}", file=sys.stderr)


def _explain(code: str) -> int:
    wanted = code.upper()
    shown = False
    for rule in all_rules():
        if wanted in {rule.code, "ALL"}:
            shown = True
            print(f"{rule.code} {rule.name}\n\n{rule.what}\n\n{rule.why}\n\n{rule.mend}\n")
            print(f"Found in:\n\n{_indented(rule.bad)}\nNot in:\n\n{_indented(rule.good)}")
    for meta, (name, sentence) in META_RULES.items():
        if wanted in {meta, "ALL"}:
            shown = True
            print(f"{meta} {name}\n\n{sentence}\n")
    if not shown:
        raise ConfigError(f"no rule {code!r}. Valid: {', '.join(sorted(known_codes()))}, all")
    return CLEAN


def _indented(text: str) -> str:
    return "".join(f"    {line}" if line.strip() else line for line in text.splitlines(True))
