"""Ctrl-C before there is a server to stop."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# Sends the signal in the very moment in which a module is looked for.
SCRIPT = """
import os, signal, sys
class Interrupter:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)
# As Python begins, but in the background of a shell, where the signal is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
module = sys.argv.pop(1)
sys.meta_path.insert(0, Interrupter())
from claude_wrapper.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("module", "exit_code"),
    [
        pytest.param("claude_wrapper.cli", -signal.SIGINT, id="while the command line is loaded"),
        pytest.param("claude_wrapper.server", 130, id="while the server is loaded"),
    ],
)
def test_ctrl_c_at_the_start_prints_no_traceback(module: str, exit_code: int) -> None:
    command = [sys.executable, "-c", SCRIPT, module, "serve", "--demo", "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (exit_code, "", "")
