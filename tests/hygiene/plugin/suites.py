"""What the tests of the plugin share: a test file with imports, a place to keep things, and a text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.inner import Project

__all__ = ["write_suite"]

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
