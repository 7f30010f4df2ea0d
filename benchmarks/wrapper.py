"""Measure the server from outside, and print one table.

Usage::

    python benchmarks/wrapper.py [--only NAME ...] [--soak-requests N] [--load-seconds N] [--runs N]

Every server is a process of its own on loopback. But for `real_cli`, the CLI is the fake one: a real
process that speaks the real protocol, so what is measured is ours: pipes, parsing, pool, HTTP. It is
not the model.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import sys

import psutil
from wrapper_internals import internals
from wrapper_real_cli import real_cli
from wrapper_requests import burst, chunks, first_token, memory
from wrapper_shutdown import shutdown
from wrapper_soak import load, soak

BENCHMARKS = {
    "first_token": first_token,
    "chunks": chunks,
    "burst": burst,
    "internals": internals,
    "memory": memory,
    "real_cli": real_cli,
    "shutdown": shutdown,
    "soak": soak,
    "load": load,
}


def main() -> int:
    """Run what was asked for; 1 when a promise was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--soak-requests", type=int, default=50_000)
    parser.add_argument("--load-seconds", type=int, default=600)
    parser.add_argument("--load-rate", type=int, default=20, help="requests a second")
    parser.add_argument("--runs", type=int, default=20, help="of each state of the shutdown")
    options = parser.parse_args()
    size = psutil.virtual_memory().total / (1 << 30)
    today = dt.datetime.now(tz=dt.UTC).date()
    print(f"{today}, {os.cpu_count()} cores, {size:.0f} GiB, CPython {platform.python_version()}")
    missed = 0
    for name in options.only:
        for title, figure, promise, is_kept in BENCHMARKS[name](options):
            missed += not is_kept
            mark = "" if not promise else f"  ({promise}{'' if is_kept else ': MISSED'})"
            print(f"{title:52} {figure}{mark}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
