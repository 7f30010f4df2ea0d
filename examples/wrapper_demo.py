#!/usr/bin/env python3
"""Start the wrapper in demo mode from a fresh clone: `python3 examples/wrapper_demo.py [PORT]`.

Makes an environment of its own in `.wrapper-demo`, installs the server into it, and runs it with
the fake CLI that ships with the package: no account, no key, and no traffic but on this machine.
Needs Python 3.11 or later and a package index for pip. Ctrl-C stops it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

CLONE = Path(__file__).resolve().parents[1]
FOLDER = CLONE / ".wrapper-demo"
MARK = FOLDER / "installed"


def prepared() -> Path:
    """The interpreter of the environment, which is made when it is not there yet."""
    python = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not MARK.exists():
        print("preparing an environment in .wrapper-demo; this takes a minute once", flush=True)
        venv.create(FOLDER, with_pip=True, clear=True)
        (FOLDER / ".gitignore").write_text("*\n")
        install = [python, "-m", "pip", "install", "--quiet", "--editable", f"{CLONE}[wrapper]"]
        subprocess.run(install, check=True)
        MARK.touch()
    return python


def main() -> int:
    """Prepare, then serve until interrupted."""
    # Who runs this has not installed anything yet, so nothing else has looked at the version.
    if sys.version_info < (3, 11):  # noqa: UP036
        print("Python 3.11 or later is needed, this is", sys.version.split()[0])
        return 2
    port = sys.argv[1] if len(sys.argv) > 1 else "8000"
    if len(sys.argv) > 2 or not port.isdigit():
        print(f"usage: python3 examples/wrapper_demo.py [PORT], and no {' '.join(sys.argv[1:])}")
        return 2
    python = prepared()
    command = [
        str(python),
        "-m",
        "claude_wrapper",
        "serve",
        "--demo",
        "--port",
        port,
        "--state-dir",
        str(FOLDER / "state"),
    ]
    if os.name != "nt":
        os.execv(command[0], command)
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main())
