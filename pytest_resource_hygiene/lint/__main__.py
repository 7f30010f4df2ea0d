"""``python -m pytest_resource_hygiene.lint``."""

from __future__ import annotations

import sys

from pytest_resource_hygiene.lint.cli import main

if __name__ == "__main__":
    sys.exit(main())
