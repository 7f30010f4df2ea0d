"""What the tests of the plugin share: test files, and the files of settings beside them."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.inner import Project

__all__ = [
    "IN_C",
    "LEAK",
    "SUITE",
    "write_ini",
    "write_suite",
    "write_toml",
]

# The head of an installed package that says, by `native`, to have classes written in C.
IN_C = """
    import ctypes, importlib.machinery, sys, types
    native = sys.modules[f"{__name__}._native"] = types.ModuleType(f"{__name__}._native")
    native.__file__ = __file__.replace("__init__.py", "_native") + (
        importlib.machinery.EXTENSION_SUFFIXES[0])
    libc = ctypes.CDLL(None)
    """

LEAK = """
    import os
    KEEP = []
    def test_leaks(): KEEP.append(open(__file__))
    def test_clean(): pass
    """

SUITE = """
    import asyncio, os, signal, socket, subprocess, threading
    import pytest
    KEEP = []
    @pytest.fixture(scope="module")
    def wide():
        with socket.create_server(("127.0.0.1", 0)) as server: yield server
    @pytest.fixture
    def narrow(tmp_path, capfd, caplog, monkeypatch):
        monkeypatch.setenv("X", "y")
        with open(__file__) as file: yield file
    def test_clean(): pass
    def test_wide(wide): pass
    def test_narrow(narrow, wide): print("words")
    class TestOne:
        def test_method(self, wide): subprocess.run(["true"], check=True)
    def test_leaks(): KEEP.append(open(__file__))
    def test_after(wide): pass
    """

_HEAD = """
import asyncio, atexit, contextlib, gc, logging, os, signal, socket, subprocess, sys, threading
import time, unittest, warnings
import pytest

KEEP = []

def noop(*args): pass

def leave_thread():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, daemon=True); thread.start()
    return stop
"""


def write_suite(project: Project, text: str, name: str = "test_it.py") -> None:
    """Write a test file: the imports that most need, the list ``KEEP``, and the text."""
    project.write(name, _HEAD.lstrip() + textwrap.dedent(text))


def write_ini(project: Project, text: str) -> None:
    """Write ``pytest.ini``."""
    lines = "\n".join(line.strip() for line in text.strip().splitlines())
    project.write("pytest.ini", f"[pytest]\n{lines}\n")


def write_toml(project: Project, text: str) -> None:
    """Write the settings into ``pyproject.toml`` instead of ``pytest.ini``."""
    (project.path / "pytest.ini").unlink()
    project.write("pyproject.toml", f"[tool.pytest.ini_options]\n{text}\n")
