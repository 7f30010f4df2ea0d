"""``explain``: what a kind is, what it does not see, and how to close a leak of it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from pytest_resource_hygiene.cli.exits import Exit
from pytest_resource_hygiene.pages import documented_kinds, kind_page

if TYPE_CHECKING:
    import argparse

__all__ = ["add_to"]

_BOLD, _DIM, _PLAIN = "\033[1m", "\033[2m", "\033[0m"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "explain", help="what a kind is, and how to close a leak of it",
        description="Prints the page about a kind: what is seen, what is not, what counts as one "
        "resource, and a leak beside its cure.",
        allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("kind", metavar="KIND", choices=documented_kinds(),
                        help=", ".join(documented_kinds()))  # fmt: skip
    parser.set_defaults(act=_act)


def _act(arguments: argparse.Namespace) -> Exit:
    text = kind_page(arguments.kind)
    sys.stdout.write(_coloured(text) if _wants_colour() else text)
    return Exit.CLEAN


def _wants_colour() -> bool:
    """Tell whether somebody watches who wants colours: https://no-color.org."""
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not is_plain


def _coloured(text: str) -> str:
    lines, is_code = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            is_code = not is_code
            continue
        if line.startswith("#") and not is_code:
            line = f"{_BOLD}{line.lstrip('# ')}{_PLAIN}"  # noqa: PLW2901
        elif is_code:
            line = f"    {_DIM}{line}{_PLAIN}"  # noqa: PLW2901
        lines.append(line)
    return "\n".join(lines) + "\n"
