"""The HTML page: one file for people, made from the JSON document, that asks no network for anything.

A content security policy inside the page allows its own styles and scripts, by their hashes, and
nothing else. So whatever a node id or a source line holds, it is text: the template escapes it, and
if it did not, no browser would run it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.errors import SettingsError
from pytest_resource_hygiene.reports.page_model import make_model
from pytest_resource_hygiene.reports.plain_text import visible
from pytest_resource_hygiene.whole_files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    import jinja2

__all__ = ["render", "require_engine", "write_page"]

_FOLDER = Path(__file__).parent / "page"
_SCRIPTS = ("state", "findings", "theme", "charts", "timeline", "heatmap", "main")


def require_engine() -> None:
    """Demand the template engine, before any work is done that would be lost without it.

    Raises:
        SettingsError: it is not installed; says how it is.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError:
        raise SettingsError(
            "the HTML page needs the template engine Jinja, which is not installed. "
            "Install it with: pip install 'pytest-resource-hygiene[html]'"
        ) from None


def render(document: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        document: as `make_document` makes it. Nothing outside of it is looked at, so a page can be
            made on another machine, and from the document of another version.

    Raises:
        SettingsError: the template engine is not installed.
    """
    require_engine()
    model, payload = make_model(document)
    style, scripts = _read("style.css"), _scripts()
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            **model,
            style=style,
            scripts=scripts,
            policy=_policy(style, scripts),
            payload=_embeddable(payload),
        )
    )


def write_page(document: Mapping[str, Any], path: Path) -> None:
    """Write the page as UTF-8.

    Raises:
        OSError: the file cannot be written.
        SettingsError: the template engine is not installed.
    """
    write_whole(path, render(document))


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


@cache
def _scripts() -> tuple[str, ...]:
    parts = "".join(_read(f"app/{name}.js") for name in _SCRIPTS)
    return _read("vendor/echarts.min.js"), f'(() => {{\n"use strict";\n{parts}}})();\n'


def _policy(style: str, scripts: tuple[str, ...]) -> str:
    """Return what the page may do: nothing but its own styles and scripts (CSP level 3)."""
    rules = [
        "default-src 'none'",
        f"style-src {_hash(style)}",
        f"script-src {' '.join(map(_hash, scripts))}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(rules)


@cache
def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _embeddable(payload: Any) -> str:
    """Return JSON in which nothing can end the script element that holds it."""
    text = json.dumps(payload, separators=(",", ":"), ensure_ascii=True)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
