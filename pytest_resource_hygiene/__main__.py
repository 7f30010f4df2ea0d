"""``python -m pytest_resource_hygiene``: the command where its script is not on the path."""

from __future__ import annotations

import sys

from pytest_resource_hygiene.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
