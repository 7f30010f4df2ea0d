"""A thing that looks like a leak and is none: a small suite that must stay as it is."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

__all__ = ["Harmless"]

_HEAD = """
import asyncio, atexit, contextlib, functools, gc, http.server, io, logging, logging.config
import multiprocessing, os, queue, signal, socket, socketserver, sqlite3, subprocess, sys
import tempfile, threading, time, unittest, urllib.request, warnings, weakref, _thread
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
import pytest

again = pytest.mark.parametrize("again", range(3))
"""


@dataclass(frozen=True)
class Harmless:
    """One such suite.

    Attributes:
        name: a claim about what is harmless.
        text: the test file.
        plugins: that it needs.
        args: further arguments.
        waits: whether grace has to be given: things that go by themselves in a moment.
        more: further files.
    """

    name: str
    text: str
    plugins: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    waits: bool = False
    more: tuple[tuple[str, str], ...] = ()
    head: bool = True

    def file(self) -> str:
        """Return the test file."""
        body = textwrap.dedent(self.text).strip() + "\n"
        return _HEAD.lstrip() + body if self.head else body
