"""The pages about kinds: what is seen, what is not, and how to close it; part of the package."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

__all__ = ["documented_kinds", "kind_page", "kind_sentence"]

_HERE = Path(__file__).resolve().parent
_COMMENT = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?://)[^)]*\)")


@cache
def _folder() -> Path:
    """Return where the pages are: in the installed package, or in the checkout it is run from."""
    installed = _HERE / "kind_pages"
    return installed if installed.is_dir() else _HERE.parent / "docs" / "kinds"


@cache
def documented_kinds() -> tuple[str, ...]:
    """Return the kinds that have a page: all built-in ones."""
    return tuple(sorted(page.stem for page in _folder().glob("*.md")))


@cache
def kind_page(kind: str) -> str:
    """Return the page of a kind as Markdown, or nothing if there is none.

    Links to other pages become plain words: nobody can follow them from here.
    """
    if kind not in documented_kinds():
        return ""
    text = (_folder() / f"{kind}.md").read_text(encoding="utf-8")
    return _LINK.sub(r"\1", _COMMENT.sub("", text))


def kind_sentence(kind: str) -> str:
    """Return what a kind counts, in one sentence."""
    paragraphs = kind_page(kind).split("\n\n")
    return " ".join(paragraphs[1].split()) if len(paragraphs) > 1 else ""
