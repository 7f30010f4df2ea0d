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
    streamed, spawned, turns, own = [], [], [], []

    async def measure(port: int) -> None:
        """By turns, so that whatever else the machine does slows all of them down alike."""
        direct = Direct((binary,), env, ("--bare",))
        async with connected(port) as client:
            for number in range(-5, TURNS):
                first = (await client.ask("[[text:x]]", stream=True))[1]
                whole = (await client.ask("[[text:x]]"))[2]
                turn = direct.turn("[[text:x]]")[1]
                if number < 0:
                    continue
                streamed.append(first)
                turns.append(turn)
                own.append(whole - turn)
                if number % 5 == 0:
                    spawned.append(spawned_turn("[[text:x]]", (binary,), env, ("--bare",)))
        direct.close()

    served = {name: value for name, value in env.items() if name != "CLAUDE_CONFIG_DIR"}
    with running(pool_size=1, max_concurrency=1, cli_path=binary, env=served) as server:
        asyncio.run(measure(server.port))
    ratio = statistics.median(spawned) / statistics.median(streamed)
    share = statistics.median(own)
    return [
        ("real CLI: first token, warm, median", ms(statistics.median(streamed)), "", True),
        ("real CLI: first token, process per request", ms(statistics.median(spawned)), "", True),
        ("real CLI: warm is faster by", f"{ratio:.1f} x", ">= 10 x", ratio >= 10),
        ("real CLI: a turn of its own, through its pipes", ms(statistics.median(turns)), "", True),
        ("real CLI: our own share, reset included", ms(share), "<= 10 ms", share <= 0.010),
    ]


if __name__ == "__main__":
    print(json.dumps(inside()))
