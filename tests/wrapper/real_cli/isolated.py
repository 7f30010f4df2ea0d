"""Runs pytest on this folder inside a network namespace that has nothing but loopback.

    python tests/wrapper/real_cli/isolated.py [pytest options]

The tests in this folder drive the real CLI with a dummy key, and refuse to run where a real
address could be reached. Exit code 0 with a loud line where a namespace cannot be had.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
INSIDE = 'ip link set lo up && exec "$@"'


def main() -> int:
    """Enter the namespace and run; the exit code of pytest."""
    prefix = _namespace()
    if prefix is None:
        sys.stdout.write("SKIPPED: no loopback-only network namespace can be made here\n")
        return 0
    pytest = [sys.executable, "-m", "pytest", str(FOLDER), *sys.argv[1:]]
    kept = ("PATH", "LANG", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_PLUGINS", "CI")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    return subprocess.run([*prefix, *pytest], env=env, check=False).returncode


def _namespace() -> list[str] | None:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return None
    for flags in (["-n"], ["-rn"]):
        prefix = ["unshare", *flags, "--kill-child", "sh", "-c", INSIDE, "sh"]
        if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode == 0:
            return prefix
    return None


if __name__ == "__main__":
    sys.exit(main())
