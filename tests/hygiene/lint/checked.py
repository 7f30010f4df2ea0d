"""What the tests of the rules share: a source text, and the codes that are found in it."""

from __future__ import annotations

import textwrap

from pytest_resource_hygiene.lint.check import check_text, known_codes

__all__ = ["codes"]


def codes(text: str, path: str = "module.py") -> list[str]:
    """Check a source text with every rule, and return the codes in the order of their lines."""
    found = check_text(textwrap.dedent(text), path, known_codes()).findings
    return [finding.code for finding in found]
