"""Runs pytest inside pytest: always in a process of its own, for what leaks must not stay in ours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest

__all__ = ["Project", "Run", "run_inside"]

_COUNT = re.compile(r"(\d+) (\w+)")
_COST = re.compile(
    r"resource hygiene: (?P<tests>\d+) tests?, (?P<seconds>[\d.]+) s .*"
    r"collector run (?P<collections>\d+)"
)
_STRANGERS = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST")
_REPORT = "findings.json"


@dataclass(frozen=True)
class Run:
    """What an inner run said and wrote.

    Attributes:
        code: its exit status.
        out: standard output.
        err: standard error.
        document: the parsed JSON file, or None if there is none.
    """

    code: int
    out: str
    err: str
    document: dict[str, Any] | None

    @property
    def text(self) -> str:
        """Everything it said."""
        return self.out + self.err

    @property
    def last_line(self) -> str:
        """The line with the counts, without its frame."""
        return next(
            (
                line.strip("= ")
                for line in reversed(self.out.splitlines())
                if re.search(r"\d+ \w+.* in [\d.]+s", line) or "no tests ran" in line
            ),
            "",
        )

    @property
    def outcomes(self) -> dict[str, int]:
        """Counts of the last line by word."""
        counts = self.last_line.partition(" in ")[0]
        return {word: int(count) for count, word in _COUNT.findall(counts)}

    @property
    def findings(self) -> list[dict[str, Any]]:
        """All findings of the JSON document."""
        assert self.document is not None, self.text
        return list(self.document["findings"])

    @property
    def failing(self) -> list[dict[str, Any]]:
        """Findings that fail a test."""
        return [one for one in self.findings if one["severity"] == "fail"]

    @property
    def notes(self) -> list[dict[str, Any]]:
        """Findings that are only worth a note."""
        return [one for one in self.findings if one["severity"] == "note"]

    @property
    def summary(self) -> dict[str, Any]:
        """The figures of the JSON document."""
        assert self.document is not None, self.text
        return dict(self.document["summary"])

    def of(self, name: str, severity: str = "fail") -> list[dict[str, Any]]:
        """Return the findings shown at the test whose node id ends like this."""
        return [
            one
            for one in self.findings
            if one["severity"] == severity and one["nodeid"].endswith(name)
        ]

    def one(self, name: str = "", **wanted: str) -> dict[str, Any]:
        """Return the only failing finding at a test, of a kind where that is given."""
        found = [
            one
            for one in self.failing
            if one["nodeid"].endswith(name)
            and all(one[field] == value for field, value in wanted.items())
        ]
        assert len(found) == 1, f"{name} {wanted}: {[brief(one) for one in found]}\n{self.text}"
        return found[0]

    def assert_clean(self, *, notes: bool = True) -> None:
        """Demand that nothing failed, and that no leak is claimed.

        Args:
            notes: whether notes are in order.
        """
        assert self.document is not None, self.text
        assert [brief(one) for one in self.failing] == [], self.text
        if not notes:
            assert [brief(one) for one in self.notes] == [], self.text
        assert self.code == 0, self.text
        assert "leaked" not in self.outcomes, self.text


def brief(finding: Mapping[str, Any]) -> str:
    """Return a finding in one line, for the message of an assertion."""
    origin = finding["origin"] or {"file": "?", "line": 0}
    return (
        f"{finding['severity']} {finding['kind']} x{finding['count']}: {finding['summary']} "
        f"[{finding['owner']['type']} {finding['owner']['name']}] "
        f"at {Path(origin['file']).name}:{origin['line']} in {finding['nodeid']}"
    )


def run_inside(
    where: pytest.Pytester | Path,
    *args: str | Path,
    plugins: Sequence[str] = (),
    env: Mapping[str, str | None] | None = None,
    on: bool = True,
    launcher: Sequence[str] = ("-m", "pytest"),
    python: str = sys.executable,
    timeout: float = 240,
    typed: str = "",
) -> Run:
    """Run pytest in a folder, in a new process, with the plugins that are named and no others.

    Args:
        where: the folder, or pytester whose folder it is.
        args: further arguments.
        plugins: names for ``-p``, beyond the plugin under test.
        env: environment variables to set, or to remove where the value is None.
        on: whether to name the plugin under test with ``-p`` and have it write its JSON file.
        launcher: what the interpreter is to run.
        python: the interpreter.
        timeout: seconds after which the run is given up.
        typed: what somebody types into its terminal.
    """
    folder = where if isinstance(where, Path) else where.path
    report = folder / _REPORT
    report.unlink(missing_ok=True)
    command = [python, *launcher]
    if on:
        command += ["-p", "resource_hygiene", f"--resource-hygiene-json={_REPORT}"]
    for plugin in plugins:
        command += ["-p", plugin]
    command += [str(one) for one in args]
    environ = {name: value for name, value in os.environ.items() if name not in _STRANGERS}
    environ = {k: v for k, v in environ.items() if not k.startswith("RESOURCE_HYGIENE")}
    if any("cov" in word for word in (*launcher, *plugins)):  # not in the path of some folder
        # It measures something of its own; mixed with the measuring of ours, neither could be read.
        environ = {k: v for k, v in environ.items() if not k.startswith("COVERAGE")}
    environ |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "100", "NO_COLOR": "1"}
    for name, value in (env or {}).items():
        environ.pop(name, None)
        if value is not None:
            environ[name] = value
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=timeout,
        check=False, input=typed,
    )  # fmt: skip
    document = json.loads(report.read_text(encoding="utf-8")) if report.exists() else None
    return Run(done.returncode, done.stdout, done.stderr, document)


class Project:
    """A folder with tests, in which pytest is run.

    Args:
        path: the folder; it exists.
    """

    def __init__(self, path: Path) -> None:
        """Begin with an ini file, so that the folder is its own rootdir."""
        self.path = path
        self.write("pytest.ini", "[pytest]\n")

    def write(self, name: str, text: str) -> Path:
        """Write a file; its text may be indented as a whole."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return file

    def line(self, name: str, marker: str) -> int:
        """Return the number of the only line of a file that ends like this."""
        lines = (self.path / name).read_text(encoding="utf-8").splitlines()
        found = [number for number, line in enumerate(lines, 1) if line.endswith(marker)]
        assert len(found) == 1, f"{marker} is on lines {found} of {name}"
        return found[0]

    def run(self, *args: str | Path, grace: float | None = 0.1, **options: Any) -> Run:
        """Run its tests; see `run_inside`."""
        if grace is not None and options.get("on", True):
            args = (f"--resource-hygiene-grace={grace}", *args)
        return run_inside(self.path, *args, **options)
