"""Reads the project's pages: their links, and the blocks of code that claim to work."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DOCS", "ROOT", "Block", "blocks_of", "links_of", "pages", "read", "shown"]

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
_BLOCK = re.compile(r"^<!-- (\w+)(?:: ([^>]*?))? -->\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A block of code with the comment in front of it.

    Attributes:
        role: ``test``, ``file``, ``script``, ``ini`` or ``toml``.
        words: what follows the role, e.g. ``leaks threads`` or a file name.
        text: the code.
    """

    role: str
    words: str
    text: str


def pages() -> list[Path]:
    """Return every page of the project."""
    found = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return sorted(found)


def shown(page: Path) -> str:
    """Return the name of a page, for the id of a test."""
    return str(page.relative_to(ROOT))


def read(page: Path) -> str:
    """Return the text of a page."""
    return page.read_text(encoding="utf-8")


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks that say what they are."""
    return [Block(role, words or "", text) for role, words, text in _BLOCK.findall(read(page))]


def links_of(page: Path) -> list[str]:
    """Return what a page links to, without what merely looks like a link in code."""
    return _LINK.findall(_FENCE.sub("", read(page)))
