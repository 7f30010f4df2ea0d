"""The formats that a document can be rendered in, one module each."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FORMATS", "Format", "available_formats", "render"]


class Format(NamedTuple):
    """One format.

    Attributes:
        name: as it is chosen.
        module: beside this one; it has ``render(document) -> str``.
        help: what it is for, in one clause.
    """

    name: str
    module: str
    help: str


FORMATS = (
    Format("text", "text_report", "for a terminal: findings grouped by the line that made them"),
    Format("sarif", "sarif_report", "SARIF 2.1.0: code scanning of GitHub, editors, Azure DevOps"),
    Format("junit", "junit_report", "JUnit XML: a test case for each test with findings"),
    Format("github", "github_report", "GitHub Actions: annotations on the lines that leak"),
    Format("markdown", "markdown_report", "GitHub Actions job summary, or any comment"),
    Format("gitlab", "gitlab_report", "GitLab: code-quality report"),
    Format("html", "html_report", "one self-contained page to look at"),
)


def available_formats() -> tuple[Format, ...]:
    """Return the formats whose modules are there."""
    return tuple(one for one in FORMATS if find_spec(f"{__package__}.{one.module}"))


def render(name: str, document: Mapping[str, Any]) -> str:
    """Render a document.

    Args:
        name: of an available format.
        document: as `make_document` makes it.
    """
    module = next(one.module for one in available_formats() if one.name == name)
    text = str(importlib.import_module(f"{__package__}.{module}").render(document))
    return text if text.endswith("\n") or not text else f"{text}\n"
