"""Completion for shells, made by shtab where it is installed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["add_to", "complete_files"]

_SHELLS = ("bash", "zsh", "tcsh")


class _Print(argparse.Action):
    """Prints the completion script of a shell, and ends."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> NoReturn:
        try:
            import shtab
        except ImportError:
            parser.error(
                "--print-completion needs shtab: pip install 'pytest-resource-hygiene[completion]'"
            )
        print(shtab.complete(parser, shell=str(values)))
        parser.exit()


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the option that prints a script."""
    parser.add_argument(
        "--print-completion", action=_Print, choices=_SHELLS, metavar="SHELL",
        help=f"print the completion script for {', '.join(_SHELLS)}; needs the extra 'completion'",
    )  # fmt: skip


def complete_files(action: argparse.Action) -> None:
    """Have shells complete file names for an argument."""
    # The names that shtab itself gives these helpers; they need not be defined without it.
    action.complete = {  # type: ignore[attr-defined]
        "bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f",
    }  # fmt: skip
