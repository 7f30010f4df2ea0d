"""Looking at every object of a process must not change the process."""

from __future__ import annotations

import subprocess
import sys

_WALKS = """
import _asyncio, asyncio, gc
from pytest_resource_hygiene.objects import all_of_type, referents

async def waits():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_soon(future.set_result, None)
    await future

for _ in range(3):
    asyncio.run(waits())
    all_of_type(asyncio.Future)
    referents(_asyncio)
gc.collect()
print("ended")
"""


def test_a_walk_leaves_the_free_lists_of_c_modules_alone() -> None:
    """What a module keeps for re-use is dead: to touch it made the next collection endless."""
    done = subprocess.run(
        [sys.executable, "-c", _WALKS], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.stdout == "ended\n", done.stderr
