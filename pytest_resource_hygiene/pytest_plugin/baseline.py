"""Known leaks: which findings the baseline knows, which entries are stale, and writing the file."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.engine.known.baseline import Baseline, KnownLeak, known_leak
from pytest_resource_hygiene.errors import SettingsError
from pytest_resource_hygiene.pytest_plugin.coverage_of_run import RunCoverage
from pytest_resource_hygiene.pytest_plugin.options import path_of, value_of
from pytest_resource_hygiene.reports.terminal_report import group_by_site, summary_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pytest_resource_hygiene.leak import Leak
    from pytest_resource_hygiene.pytest_plugin.results import Results

__all__ = ["BaselineKeeper", "make_keeper"]

_SHOWN = 10


def make_keeper(config: pytest.Config) -> BaselineKeeper | None:
    """Return what keeps the baseline of this run, or None where there is none.

    Raises:
        pytest.UsageError: no file where one is needed, two opposite flags, or a file that is none.
    """
    path = path_of(config, "baseline")
    writes = value_of(config, "write-baseline")
    prunes = value_of(config, "prune-baseline")
    if writes and prunes:
        raise pytest.UsageError(
            "--resource-hygiene-write-baseline already removes what is stale; "
            "leave --resource-hygiene-prune-baseline out."
        )
    if path is None:
        if writes or prunes:
            flag = "write" if writes else "prune"
            raise pytest.UsageError(
                f"--resource-hygiene-{flag}-baseline needs --resource-hygiene-baseline=FILE "
                "(or resource_hygiene_baseline in the configuration)."
            )
        return None
    return BaselineKeeper(
        config, path, action="write" if writes else "prune" if prunes else "check"
    )


class BaselineKeeper:
    """Holds the baseline of a run; in a worker of xdist it only says what is known.

    Args:
        config: pytest's.
        path: the file.
        action: ``check``, ``write`` or ``prune``.
    """

    def __init__(self, config: pytest.Config, path: Path, *, action: str) -> None:
        """Read the file at once, so that a mistake is told before any test runs."""
        self._config = config
        self.path = path
        self._action = action
        self._data = path.read_bytes() if path.is_file() else None
        self.known = _read(path, may_be_missing=action == "write")
        self.run = RunCoverage(config)
        self.stale: list[KnownLeak] = []
        self.added: list[KnownLeak] = []
        self.removed: list[KnownLeak] = []
        self._trouble = ""

    def sorted_out(self, leaks: Iterable[Leak]) -> list[Leak]:
        """Return the leaks with those that are in the baseline made ``known``.

        While a baseline is being written, every leak is known: it is about to be.
        """
        return [self._known(leak) if leak.severity == "fail" else leak for leak in leaks]

    def _known(self, leak: Leak) -> Leak:
        entry = self.known.get(leak.fingerprint)
        if entry is not None:
            return replace(
                leak, severity="known", reason=entry.reason or None, issue=entry.issue or None
            )
        return replace(leak, severity="known") if self._action == "write" else leak

    # --- the end of the run ---

    def conclude(self, session: pytest.Session, results: Results) -> None:
        """Find out which entries are stale; write or prune the file where that was asked for."""
        seen = {one["fingerprint"] for one in results.findings if one["severity"] != "allowed"}
        unseen = [entry for entry in self.known if entry.fingerprint not in seen]
        self.run.conclude(session, results)
        if self._action == "check":
            self.stale = [one for one in unseen if self.run.is_full and self.run.has_judged(one)]
            return
        root = str(self._config.rootpath)
        known = (known_leak(one, root) for one in results.findings if one["severity"] == "known")
        self.added = sorted({one for one in known if not self.known.get(one.fingerprint)})
        self.removed = [one for one in unseen if self.run.has_judged(one)]
        self._write(self.known.with_entries(self.added).without(self.removed))
        if self._trouble and not self.run.was_cut:  # else pytest has told what went wrong
            results.failures.append(f"resource hygiene: baseline {self.path}: {self._trouble}")

    def _write(self, changed: Baseline) -> None:
        is_new = self._data is None
        if self.run.trouble:
            self._trouble = f"not written: {self.run.trouble}."
        elif (self.path.read_bytes() if self.path.is_file() else None) != self._data:
            self._trouble = "not written: the file was changed while the tests ran."
        elif is_new or self.added or self.removed:
            try:
                changed.write(self.path)
            except OSError as error:
                self._trouble = f"not written: {error.strerror}."
        if self._trouble:
            self.added, self.removed = [], []
            return
        self.known = changed

    def to_dict(self, findings: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what the JSON document tells of the baseline."""
        return {
            "file": self.shown_path,
            "entries": len(self.known),
            "known": sum(1 for one in findings if one["severity"] == "known"),
            "stale": [
                {"fingerprint": one.fingerprint, "kind": one.kind, "name": one.name,
                 "summary": one.summary}
                for one in self.stale
            ],
            "full_run": self.run.is_full,
        }  # fmt: skip

    @property
    def shown_path(self) -> str:
        """The file, from the project's folder where it lies in it."""
        root = self._config.rootpath
        return str(self.path.relative_to(root) if self.path.is_relative_to(root) else self.path)

    @property
    def command(self) -> str:
        """The command that removes stale entries: this run's, with one flag more."""
        args = map(str, self._config.invocation_params.args)
        return shlex.join(["pytest", *args, "--resource-hygiene-prune-baseline"])

    # --- the terminal ---

    def show(self, terminal: Any, findings: list[dict[str, Any]], *, brief: bool) -> None:
        """Tell what is known, what is stale, and what was written."""
        known = [one for one in findings if one["severity"] == "known"]
        terminal.write_sep("=", "resource hygiene: baseline")
        if brief:
            _show_known(terminal, known)
        sites = len({one["fingerprint"] for one in known})
        terminal.write_line(
            f"{self.shown_path}: {len(self.known)} known leaks, {sites} of them seen"
        )
        for word, entries in (("added", self.added), ("removed", self.removed)):
            if entries:
                terminal.write_line(f"{word} {len(entries)}:", green=True)
                _show_entries(terminal, entries)
        if self._trouble and self.run.was_cut:
            terminal.write_line(self._trouble, red=True)
        self._show_stale(terminal)

    def _show_stale(self, terminal: Any) -> None:
        if self.stale:
            terminal.write_line(
                f"{len(self.stale)} stale: fixed, or gone with its test; the file has to shrink:",
                red=True, bold=True,
            )  # fmt: skip
            _show_entries(terminal, self.stale)
            terminal.write_line("remove them with", red=True)
            terminal.write_line(f"  {self.command}", bold=True)
        elif self._action == "check" and not self.run.is_full:
            terminal.write_line(f"stale entries were not looked for: {self.run.why_not_full}")


def _show_known(terminal: Any, known: list[dict[str, Any]]) -> None:
    groups = group_by_site(known)
    for group in groups[:_SHOWN]:
        origin = group[0]["origin"] or {"file": "?", "line": 0}
        tests = f", {len(group)} times" if len(group) > 1 else ""
        place = f"{origin['file']}:{origin['line']}"
        terminal.write_line(f"[known] {summary_of(group[0])} at {place}{tests}")
    if len(groups) > _SHOWN:
        terminal.write_line(f"[known] and {len(groups) - _SHOWN} more sites (-v shows them)")


def _show_entries(terminal: Any, entries: list[KnownLeak]) -> None:
    for entry in entries[:_SHOWN]:
        terminal.write_line(f"  {entry}")
    if len(entries) > _SHOWN:
        terminal.write_line(f"  and {len(entries) - _SHOWN} more")


def _read(path: Path, *, may_be_missing: bool) -> Baseline:
    try:
        return Baseline.read(path)
    except FileNotFoundError:
        if may_be_missing:
            return Baseline()
        raise pytest.UsageError(
            f"--resource-hygiene-baseline: there is no file {path}. "
            "Make it with --resource-hygiene-write-baseline."
        ) from None
    except SettingsError as error:
        raise pytest.UsageError(f"--resource-hygiene-baseline: {error}") from None
