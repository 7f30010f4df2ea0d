"""The adoption path of docs/adopting.md, played through on a suite that is worth the name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_resource_hygiene.cli.main import main

if TYPE_CHECKING:
    import pytest
    from support.inner import Project, Run

FILES, TESTS, LEAKING = 50, 20, 2
LEAKS = ("os.pipe()", "KEPT.append(socket.socket())", "KEPT.append(open(__file__))",
         "threading.Thread(target=threading.Event().wait, daemon=True).start()",
         "KEPT.append(os.dup(0))")  # fmt: skip
BASELINE = "known-leaks.jsonl"
USE = ("-p", "xdist", "-n", "2", f"--resource-hygiene-baseline={BASELINE}")


def generate(project: Project) -> None:
    """Write 1,000 tests, of which 100 leak, five kinds of leaks in 50 files."""
    project.write("pytest.ini", "[pytest]\ntestpaths = tests\n")
    for file in range(FILES):
        lines = ["import os, socket, threading", "KEPT = []"]
        for test in range(TESTS):
            body = LEAKS[(file + test) % len(LEAKS)] if test < LEAKING else "pass"
            lines.append(f"def test_{test}(): {body}")
        project.write(f"tests/test_{file}.py", "\n".join(lines) + "\n")


def change(project: Project, file: int, test: int, old: str, new: str) -> None:
    path = project.path / f"tests/test_{file}.py"
    lines = path.read_text(encoding="utf-8").splitlines()
    (line,) = [n for n, text in enumerate(lines) if text.startswith(f"def test_{test}()")]
    assert old in lines[line]
    lines[line] = f"def test_{test}(): {new}"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def entries(project: Project) -> int:
    return len((project.path / BASELINE).read_text(encoding="utf-8").splitlines()) - 1


def saved(project: Project, run: Run, name: str) -> str:
    path = project.path / name
    path.write_text(json.dumps(run.document), encoding="utf-8")
    return str(path)


def test_a_thousand_tests_with_a_hundred_leaks_adopt_it(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """Report, baseline, a new leak fails, a fixed leak must be pruned, clean."""
    generate(project)
    seen = project.run("--resource-hygiene=report", "-p", "xdist", "-n", "2", grace=0)
    assert seen.code == 0, seen.text
    assert seen.outcomes == {"passed": FILES * TESTS}
    assert len(seen.failing) == FILES * LEAKING
    before = saved(project, seen, "before.json")

    written = project.run(*USE, "--resource-hygiene-write-baseline", grace=0)
    assert written.code == 0, written.text
    assert entries(project) == FILES * LEAKING

    change(project, 7, 19, "pass", "os.pipe()")
    new = project.run(*USE, grace=0)
    assert new.code == 1
    assert new.outcomes == {"passed": FILES * TESTS - 1, "leaked": 1}
    assert new.one()["nodeid"] == "tests/test_7.py::test_19"
    assert main(["gate", saved(project, new, "new.json"), "--against", before]) == 1
    assert "1 new, 0 gone, 100 unchanged" in capsys.readouterr().out
    change(project, 7, 19, "os.pipe()", "pass")

    change(project, 0, 0, "os.pipe()", "pass")
    fixed = project.run(*USE, grace=0)
    assert fixed.code == 1
    assert fixed.outcomes == {"passed": FILES * TESTS}
    assert "1 stale" in fixed.out
    assert main(["gate", saved(project, fixed, "fixed.json"), "--against", before]) == 1
    assert "0 new, 1 gone, 99 unchanged" in capsys.readouterr().out

    for file in range(FILES):
        for test in range(LEAKING):
            if (file, test) != (0, 0):
                change(project, file, test, "", "pass")
    pruned = project.run(*USE, "--resource-hygiene-prune-baseline", grace=0)
    assert pruned.code == 0, pruned.text
    assert entries(project) == 0

    clean = project.run(*USE, grace=0)
    assert clean.code == 0
    assert clean.findings == []
    assert main(["gate", saved(project, clean, "clean.json")]) == 0
