"""Writes the tables in the docs that come from code: ``python docs/generate.py``.

A block between ``<!-- generated: NAME -->`` and ``<!-- end -->`` is replaced by what the function
of that name in `BLOCKS` returns. ``--check`` writes nothing and fails if something is out of date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_resource_hygiene.lint.check import META_RULES
from pytest_resource_hygiene.lint.rules import all_rules
from pytest_resource_hygiene.pytest_plugin.options import OPTIONS, Option
from pytest_resource_hygiene.trackers import built_in_trackers

if TYPE_CHECKING:
    from pytest_resource_hygiene.lint.rule import Rule

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", ROOT / "docs" / "configuration.md", ROOT / "docs" / "lint.md")
_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def options() -> str:
    """Return a section for each option."""
    return "\n".join(map(_option, OPTIONS))


def _option(option: Option) -> str:
    rows = [f"### `{option.flag}`", "", option.help.replace("'", "`"), ""]
    if option.form == "flag":
        how = f"`{option.flag}`, `--no-{option.flag.removeprefix('--')}`"
    else:
        times = ", any number of times" if option.form == "lines" else ""
        how = f"`{option.flag}={option.metavar}`{times}"
    lines = ", one a line" if option.form == "lines" else ""
    default = f"`{option.default}`" if option.default else "none"
    names = f"`{option.ini}`{lines} | `{option.env}`{lines}"
    rows += [
        "| command line | configuration | environment | default |",
        "| --- | --- | --- | --- |",
        f"| {how.replace('|', chr(92) + '|')} | {names} | {default} |",
        "",
    ]
    return "\n".join(rows)


def kinds() -> str:
    """Return a table of the built-in kinds, the first sentence of their modules beside them."""
    rows = ["| kind | what counts | a leak is |", "| --- | --- | --- |"]
    words = {"fail": "a failure", "note": "a note", "off": "a failure; off by default"}
    for tracker in built_in_trackers():
        module = sys.modules[type(tracker).__module__]
        sentence = " ".join((module.__doc__ or "").split("\n\n")[0].split()).rstrip(".")
        sentence = re.sub(r"``?([^`]+)``?", r"`\1`", sentence)
        link = f"[`{tracker.kind}`](docs/kinds/{tracker.kind}.md)"
        rows.append(f"| {link} | {sentence} | {words[tracker.severity]} |")
    return "\n".join(rows) + "\n"


def lint_rules() -> str:
    """Return a section for each rule of the lint, and a table of what is told about comments."""
    rows = ["", "### Of files and comments", "", "| code | name | what |", "| --- | --- | --- |"]
    rows += [f"| {code} | {name} | {text} |" for code, (name, text) in META_RULES.items()]
    return "\n".join(map(_lint_rule, all_rules())) + "\n".join(rows) + "\n"


def _lint_rule(rule: Rule) -> str:
    return (
        f"### {rule.code} {rule.name}\n\n{rule.what}\n\n{rule.why}\n\n{rule.mend}\n\n"
        f"Found in:\n\n```python\n{rule.bad}```\n\nNot in:\n\n```python\n{rule.good}```\n"
    )


BLOCKS = {"options": options, "kinds": kinds, "lint_rules": lint_rules}


def updated(text: str) -> str:
    """Return a page with its generated blocks written anew."""
    return _BLOCK.sub(lambda found: f"{found[1]}{BLOCKS[found[2]]()}{found[3]}", text)


def outdated() -> list[Path]:
    """Return the pages that differ from what would be written."""
    return [page for page in PAGES if updated(_read(page)) != _read(page)]


def _read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def main() -> int:
    """Write, or with ``--check`` only look."""
    pages = outdated()
    for page in pages:
        print(page.relative_to(ROOT))
        if "--check" not in sys.argv:
            page.write_text(updated(_read(page)), encoding="utf-8")
    return 1 if pages and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
