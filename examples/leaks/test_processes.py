"""Processes: started, and neither ended nor waited for."""

from __future__ import annotations

import subprocess
import sys

COMMAND = [sys.executable, "-c", "import sys; sys.stdin.read()"]  # ends when nobody writes to it
RUNNING = []


def test_leaks_a_process():
    RUNNING.append(subprocess.Popen(COMMAND, stdin=subprocess.PIPE))


def test_ends_its_process():
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE) as process:
        process.kill()
