"""What runs beside the requests is made by the tracker: nothing else may start it."""

from __future__ import annotations

import ast
from pathlib import Path

import claude_wrapper

PACKAGE = Path(claude_wrapper.__file__).parent
STARTERS = {"create_task", "ensure_future", "Thread", "Timer", "run_in_executor", "to_thread"}
# The tracker itself; the fake CLI, a program of its own; and the runner of the shutdown steps,
# which must go on when the tracker is what hangs.
EXCEPT = {"lifecycle/tracker.py", "testing/fake_claude.py", "shutdown/sequence.py"}


def starters(path: Path) -> list[str]:
    """Calls that start something, by name and line."""
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    named = ((getattr(c.func, "attr", getattr(c.func, "id", "")), c.lineno) for c in calls)
    return [f"{path.name}:{line} {name}" for name, line in named if name in STARTERS]


def test_tasks_threads_and_timers_are_made_by_the_tracker_only() -> None:
    paths = [p for p in PACKAGE.rglob("*.py") if str(p.relative_to(PACKAGE)) not in EXCEPT]
    assert len(paths) > 50
    assert [found for path in paths for found in starters(path)] == []


def test_the_look_itself_sees_them() -> None:
    assert starters(PACKAGE / "lifecycle" / "tracker.py")
