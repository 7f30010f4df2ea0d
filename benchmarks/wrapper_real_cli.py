"""The real CLI against a fake API, both shut into a namespace that has nothing but loopback.

Run as a script it is what happens inside that namespace.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from wrapper_client import connected
from wrapper_direct import Direct, spawned_turn
from wrapper_figures import Rows, ms
from wrapper_host import running

from claude_wrapper.claude.locate import _bundled

if TYPE_CHECKING:
    import argparse

API = Path(__file__).parents[1] / "tests" / "wrapper" / "support" / "fake_anthropic.py"
INSIDE = 'ip link set lo up && exec "$@"'
SPAWNS = 10
TURNS = 50


def real_cli(_: argparse.Namespace) -> Rows:
    """Warm against a process for each request; nothing where that cannot be had."""
    if _bundled() is None:
        return [("the real CLI", "skipped: install the extra 'cli'", "", True)]
    for flags in (["-n"], ["-rn"]):
        prefix = ["unshare", *flags, "--kill-child", "sh", "-c", INSIDE, "sh"]
        try:
            probe = subprocess.run([*prefix, "true"], check=False, capture_output=True)
        except FileNotFoundError:
            break
        if probe.returncode == 0:
            env = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
            run = subprocess.run(
                [*prefix, sys.executable, __file__], env=env, check=True, stdout=subprocess.PIPE
            )
            return [tuple(row) for row in json.loads(run.stdout)]  # type: ignore[misc]
    return [("the real CLI", "skipped: no network namespace can be made here", "", True)]


def inside() -> Rows:
    """Measure; nothing but loopback is reachable."""
    binary = _bundled()
    assert binary is not None
    api = subprocess.Popen([sys.executable, str(API)], stdout=subprocess.PIPE, text=True)
    assert api.stdout is not None
    port = int(api.stdout.readline().split()[1])
    with tempfile.TemporaryDirectory() as home:
        env = {
            **os.environ, "HOME": home, "CLAUDE_CONFIG_DIR": home,
            "ANTHROPIC_API_KEY": "sk-ant-dummy", "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "CLAUDE_CODE_MAX_RETRIES": "0",
        }  # fmt: skip
        try:
            return measured(str(binary), env)
        finally:
            api.kill()
            api.wait()
            api.stdout.close()


def measured(binary: str, env: dict[str, str]) -> Rows:
    """The figures."""

    async def warm(port: int) -> tuple[list[float], list[float]]:
        async with connected(port) as client:
            for _ in range(5):
                await client.ask("[[text:x]]", stream=True)
            streamed = [(await client.ask("[[text:x]]", stream=True))[1] for _ in range(TURNS)]
            whole = [(await client.ask("[[text:x]]"))[2] for _ in range(TURNS)]
            return streamed, whole

    served = {name: value for name, value in env.items() if name != "CLAUDE_CONFIG_DIR"}
    with running(pool_size=1, max_concurrency=1, cli_path=binary, env=served) as server:
        streamed, whole = asyncio.run(warm(server.port))
    spawned_turn("[[text:x]]", (binary,), env, ("--bare",))
    spawned = [spawned_turn("[[text:x]]", (binary,), env, ("--bare",)) for _ in range(SPAWNS)]
    direct = Direct((binary,), env, ("--bare",))
    for _ in range(5):
        direct.turn("[[text:x]]")
    turns = [direct.turn("[[text:x]]")[1] for _ in range(TURNS)]
    direct.close()
    ratio = statistics.median(spawned) / statistics.median(streamed)
    own = statistics.median(whole) - statistics.median(turns)
    return [
        ("real CLI: first token, warm, median", ms(statistics.median(streamed)), "", True),
        ("real CLI: first token, process per request", ms(statistics.median(spawned)), "", True),
        ("real CLI: warm is faster by", f"{ratio:.1f} x", ">= 10 x", ratio >= 10),
        ("real CLI: a turn of its own, through its pipes", ms(statistics.median(turns)), "", True),
        ("real CLI: our own share, reset included", ms(own), "<= 10 ms", own <= 0.010),
    ]


if __name__ == "__main__":
    print(json.dumps(inside()))
