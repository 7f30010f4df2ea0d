"""``python -m pytest_resource_hygiene.precommit``."""

from __future__ import annotations

import sys

from pytest_resource_hygiene.precommit.cli import main

if __name__ == "__main__":
    sys.exit(main())
