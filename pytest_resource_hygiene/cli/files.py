"""Reading reports and writing what is made of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.cli.progress import progress
from pytest_resource_hygiene.errors import SettingsError
from pytest_resource_hygiene.reports.reading import check_finding, check_head, read_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["load", "save"]


def load(path: Path) -> dict[str, Any]:
    """Read a report; large ones with a bar.

    Raises:
        SettingsError: it cannot be read, or is no report.
    """
    document = read_json(path)
    try:
        check_head(document)
        findings = document["findings"]
        for number, finding in enumerate(progress(findings, f"reading {path.name}")):
            check_finding(finding, f"findings[{number}]")
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None
    return dict(document)


def save(text: str, path: Path | None) -> None:
    """Write to a file, or to standard output.

    Raises:
        SettingsError: the file cannot be written.
    """
    if path is None:
        sys.stdout.write(text)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise SettingsError(
            f"--output: {path} cannot be written: {error.strerror}. Give a file in another folder."
        ) from None
