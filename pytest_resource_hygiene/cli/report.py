"""``report``: renders a report for a service or a reader."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_resource_hygiene.cli.completion import complete_files
from pytest_resource_hygiene.cli.exits import Exit
from pytest_resource_hygiene.cli.files import load, save
from pytest_resource_hygiene.objects import collector_paused
from pytest_resource_hygiene.reports.formats import available_formats, render

if TYPE_CHECKING:
    import argparse

__all__ = ["add_to"]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    import argparse as parsers

    formats = available_formats()
    table = "\n".join(f"  {one.name:<9} {one.help}" for one in formats)
    parser = commands.add_parser(
        "report", help="render a report: " + ", ".join(one.name for one in formats),
        description="Renders a report for a service or a reader. Always ends with 0: "
        "`gate` is what fails.",
        epilog=f"formats:\n{table}", formatter_class=parsers.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )  # fmt: skip
    complete_files(
        parser.add_argument("report", metavar="REPORT.json", help="from --resource-hygiene-json")
    )
    parser.add_argument(
        "-f", "--format", choices=[one.name for one in formats], default="text",
        help="see below (default: text)",
    )  # fmt: skip
    complete_files(
        parser.add_argument(
            "-o", "--output", metavar="FILE", help="where to write (default: standard output)"
        )
    )
    parser.set_defaults(act=_act)


def _act(arguments: argparse.Namespace) -> Exit:
    with collector_paused():
        text = render(arguments.format, load(Path(arguments.report)))
    save(text, Path(arguments.output) if arguments.output else None)
    return Exit.CLEAN
