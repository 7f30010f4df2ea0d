"""What was meant by a word that nobody knows."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from claude_wrapper.settings.table import OPTIONS, PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["explain_unknown", "misspelt_variables", "suggestion"]

FLAGS = (
    *(option.flag for option in OPTIONS if not option.secret),
    "--api-key", "--daemon", "--demo", "--follow", "--generate-key", "--help", "--json",
    "--lines", "--no-interactive", "--version",
)  # fmt: skip
# Set by this program for its children, and no setting.
OWN_VARIABLES = frozenset([f"{PREFIX}RUN_ID"])


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or nothing where no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def explain_unknown(verb: str, words: list[str]) -> str:
    """One line on words that a verb does not know."""
    word = words[0].partition("=")[0] if words[0].startswith("-") else words[0]
    hint = suggestion(word, FLAGS) if word.startswith("--") else ""
    return f"{verb} does not know {word!r}{hint or '.'} See claude-wrapper {verb} --help"


def misspelt_variables(environ: Mapping[str, str]) -> list[str]:
    """One line for each variable that looks like a setting of ours and is none."""
    known = {option.variable for option in OPTIONS}
    return [
        f"the variable {name} is no setting{suggestion(name, known)}"
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in known | OWN_VARIABLES
    ]
