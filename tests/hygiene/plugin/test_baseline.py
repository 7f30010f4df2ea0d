"""The baseline: known leaks fail nothing, new ones fail, and stale entries have to go."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from pytest_resource_hygiene.engine.known.baseline import Baseline, known_leak
from pytest_resource_hygiene.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from support.inner import Project, Run

FILE = "known.jsonl"
USE = f"--resource-hygiene-baseline={FILE}"
WRITE, PRUNE = "--resource-hygiene-write-baseline", "--resource-hygiene-prune-baseline"
SUITE = """
    import os, socket
    import pytest

    KEPT = []

    def test_pipe(): os.pipe()

    @pytest.mark.parametrize("number", [1, 2])
    def test_file(number): KEPT.append(open(__file__))

    @pytest.fixture(scope="module")
    def wide(): KEPT.append(socket.socket())

    def test_wide(wide): pass

    def test_clean(): pass
"""
STALE = "stale: fixed, or gone with its test"


def write_baseline(project: Project, suite: str = SUITE, *args: str) -> Run:
    project.write("test_it.py", suite)
    run = project.run(USE, WRITE, *args)
    assert run.code == 0, run.text
    return run


def entries(project: Project) -> list[dict[str, str]]:
    lines = (project.path / FILE).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[1:]]


def test_known_leaks_are_shown_and_fail_nothing(project: Project) -> None:
    """A written baseline makes the same run pass, in fail mode, with its leaks as ``known``."""
    written = write_baseline(project)
    again = project.run(USE)

    assert written.outcomes == again.outcomes == {"passed": 5}
    assert again.code == 0, again.text
    assert {one["severity"] for one in again.findings} == {"known"}
    assert len(again.findings) == 4
    assert again.out.count("[known]") == 3
    assert f"{FILE}: 3 known leaks, 3 of them seen" in again.out
    assert again.document is not None
    assert again.document["baseline"] == {
        "file": FILE, "entries": 3, "known": 4, "stale": [], "full_run": True}  # fmt: skip


def test_a_new_leak_fails(project: Project) -> None:
    """Another test that leaks, even through a known line, fails; the known ones still do not."""
    helper = "import os\ndef make(): os.pipe()\n"
    project.write("conftest.py", helper)
    suite = "from conftest import make\ndef test_1(): make()\n"
    env = {"PYTHONPATH": str(project.path)}
    project.write("test_it.py", suite)
    assert project.run(USE, WRITE, env=env).code == 0
    project.write("test_it.py", suite + "def test_2(): make()\n")
    run = project.run(USE, env=env)

    assert run.code == 1
    assert run.outcomes == {"passed": 1, "leaked": 1}
    assert run.one()["nodeid"].endswith("test_2")


def test_nobody_waits_for_what_is_known(project: Project) -> None:
    """A suite with hundreds of known leaks would wait minutes, in each run, for what never goes.

    A new one gets its whole grace, in the same test as well.
    """
    suite = """
        import os, threading
        KEPT = []

        def test_pipe(): KEPT.append(os.pipe())

        def test_thread():
            threading.Thread(target=threading.Event().wait, args=(60,), daemon=True).start()
    """
    grace = "--resource-hygiene-grace=0.4"
    written = write_baseline(project, suite, grace)
    again = project.run(USE, grace)
    assert [one["waited_seconds"] for one in written.findings] == [0.4, 0.4]
    assert [one["waited_seconds"] for one in again.findings] == [0.02, 0.02]

    more = "KEPT.append(os.pipe()); KEPT.append(open(__file__))"
    project.write("test_it.py", suite.replace("KEPT.append(os.pipe())", more))
    changed = project.run(USE, grace)
    waited = {one["kind"]: one["waited_seconds"] for one in changed.findings}
    assert waited["fds"] == 0.4
    assert waited["threads"] == 0.02
    assert changed.outcomes == {"passed": 1, "leaked": 1}


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n2")], ids=["alone", "xdist"])
def test_an_entry_that_no_longer_occurs_fails_and_is_pruned(
    project: Project, options: tuple[str, ...]
) -> None:
    """A fixed leak fails a full run, with the command that removes it; that command mends it."""
    write_baseline(project)
    project.write("test_it.py", SUITE.replace("os.pipe()", "pass"))
    stale = project.run(USE, *options)

    assert stale.code == 1, stale.text
    assert "1 " + STALE in stale.out
    assert "leaked" not in stale.outcomes
    assert stale.document is not None
    assert [one["name"] for one in stale.document["baseline"]["stale"]] == ["test_it.py::test_pipe"]
    command = next(line for line in stale.out.splitlines() if PRUNE in line).split()
    assert command[0] == "pytest"
    assert command[-1] == PRUNE

    pruned = project.run(*command[1:], grace=None, on=False)
    assert pruned.code == 0, pruned.text
    assert [one["name"] for one in entries(project)] == ["test_it.py::test_file", "wide"]
    assert project.run(USE, *options).code == 0


@pytest.mark.parametrize(
    ("gone", "fixed"),
    [
        pytest.param("wide", "KEPT.append(socket.socket())", id="fixture"),
        pytest.param("test_it.py::test_file", "KEPT.append(open(__file__))", id="parametrized"),
    ],
)  # fmt: skip
def test_stale_entries_of_every_owner_are_found(project: Project, gone: str, fixed: str) -> None:
    """Fixtures and parametrized tests are judged as plain tests are."""
    write_baseline(project)
    project.write("test_it.py", SUITE.replace(fixed, "pass"))
    run = project.run(USE)

    assert run.code == 1, run.text
    assert run.document is not None
    assert [one["name"] for one in run.document["baseline"]["stale"]] == [gone]


def test_a_deleted_test_is_stale(project: Project) -> None:
    """An entry whose test does not exist any more is gone with it."""
    write_baseline(project)
    project.write("test_it.py", SUITE.replace("def test_pipe", "def no_test"))

    assert "1 " + STALE in project.run(USE).out


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("-k", "clean"), "narrowed by -k"),
        (("--deselect", "test_it.py::test_clean"), "narrowed by --deselect"),
        (("test_it.py",), "only test_it.py was run"),
        (("test_it.py::test_pipe",), "only test_it.py::test_pipe was run"),
        (("-x", "-k", ""), "stopped early"),
        (("--resource-hygiene-repeat=1",), "each test was repeated"),
    ],
)
def test_a_narrow_run_judges_no_entry(project: Project, args: tuple[str, ...], why: str) -> None:
    """Only a full run may say that an entry is stale; others say why they do not look."""
    write_baseline(project)
    fails = "def test_aaa(): assert 0\n" if "-x" in args else ""
    project.write("test_aa.py", fails)
    project.write("test_it.py", SUITE.replace("os.pipe()", "pass"))
    run = project.run(USE, *args)

    assert STALE not in run.out
    assert why in run.out
    assert run.code == (1 if fails else 0), run.text


@pytest.mark.parametrize(
    "change",
    [
        ("def test_pipe(): os.pipe()", "def test_pipe(): pytest.skip('not here')"),
        ("def test_pipe(): os.pipe()", "def test_pipe(): assert not 'broken'"),
        ("def test_file(number):", "def test_file(number):\n        assert number != 2\n       "),
    ],
    ids=["skipped", "failed", "one-parameter-failed"],
)
def test_a_test_that_did_not_run_whole_proves_nothing(
    project: Project, change: tuple[str, str]
) -> None:
    """Where a test was skipped or failed by itself, its leak may still be there."""
    write_baseline(project)
    project.write("test_it.py", SUITE.replace(*change))
    run = project.run(USE)

    assert STALE not in run.out, run.text
    project.run(USE, PRUNE)
    assert len(entries(project)) == 3


def test_a_deselected_test_of_a_worker_makes_the_run_narrow(project: Project) -> None:
    """What a conftest deselects in xdist's workers is known to the controller."""
    write_baseline(project)
    project.write(
        "conftest.py",
        """
        def pytest_collection_modifyitems(config, items):
            gone = [item for item in items if item.name == "test_pipe"]
            items[:] = [item for item in items if item not in gone]
            config.hook.pytest_deselected(items=gone)
        """,
    )
    run = project.run(USE, "-p", "xdist", "-n2")

    assert run.code == 0, run.text
    assert "1 tests were deselected" in run.out


def test_fingerprints_survive_lines_folders_workers_and_parameters(
    project: Project, tmp_path: Path
) -> None:
    """The same suite, shifted, moved, distributed and with more parameters, is still known."""
    suite = SUITE.replace("open(__file__)", "os.open(os.path.dirname(__file__), os.O_RDONLY)")
    write_baseline(project, suite)
    moved = tmp_path / "another folder" / "checkout-2"
    shutil.copytree(project.path, moved, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shifted = suite.replace("    import os, socket\n", "    import os, socket\n\n\n    X = 1\n")
    project.path = moved
    project.write("test_it.py", shifted.replace("[1, 2]", "['c[0]::d', 'é', 3]"))
    env = {"TMPDIR": str(moved), "HOME": str(moved)}
    run = project.run(USE, "-p", "xdist", "-n2", env=env)

    assert run.code == 0, run.text
    assert {one["severity"] for one in run.findings} == {"known"}


def test_the_file_is_sorted_and_stays_as_it_is(project: Project) -> None:
    """Lines are sorted by owner, hold no folder of this machine, and writing again changes none."""
    write_baseline(project)
    text = (project.path / FILE).read_text(encoding="utf-8")
    noted = text.replace('"kind": "sockets"', '"kind": "sockets", "reason": "old", "issue": "#7"')
    (project.path / FILE).write_text(noted, encoding="utf-8")
    run = project.run(USE, WRITE, "-p", "xdist", "-n2")

    assert [one["name"] for one in entries(project)] == [
        "test_it.py::test_file", "test_it.py::test_pipe", "wide"]  # fmt: skip
    assert str(project.path) not in text
    (kept,) = [one for one in entries(project) if one["kind"] == "sockets"]
    assert (kept["reason"], kept["issue"]) == ("old", "#7")
    (told,) = [one for one in run.findings if one["kind"] == "sockets"]
    assert (told["reason"], told["issue"]) == ("old", "#7")


def test_report_mode_fails_for_nothing(project: Project) -> None:
    """In report mode, neither new leaks nor stale entries fail; both are shown."""
    write_baseline(project)
    suite = SUITE.replace("os.pipe()", "pass").replace(
        "test_clean(): pass", "test_new(): os.pipe()"
    )
    project.write("test_it.py", suite)
    run = project.run(USE, "--resource-hygiene=report")

    assert run.code == 0, run.text
    assert "1 " + STALE in run.out
    assert "test_new" in run.out


HEADER = '{"schema": "resource-hygiene-baseline/1"}\n'
FIELDS = {"name": "t", "owner": "test", "scope": "function", "kind": "fds", "summary": "s"}
GOOD = json.dumps({**FIELDS, "fingerprint": "0123456789abcdef"}) + "\n"
BAD = {
    "foreign": ("[tool.black]\n", "this is no baseline"),
    "empty": ("", "this is no baseline"),
    "report": ('{"schema": "resource-hygiene/1"}', "this is a report"),
    "newer": ('{"schema": "resource-hygiene-baseline/9"}\n', "another version"),
    "cut": (HEADER + GOOD[:40], ":2: the baseline is damaged"),
    "field": (HEADER + GOOD + GOOD.replace('"kind"', '"kin"'), ":3: the baseline is damaged"),
    "surplus": (HEADER + GOOD.replace('{"', '{"x": "", "'), "'x', which is none of"),
    "number": (HEADER + GOOD.replace('{"', '{"issue": 7, "'), "not text"),
    "fingerprint": (HEADER + GOOD.replace("0123456789", "xyz"), "for a fingerprint"),
    "list": (HEADER + "[1]\n", "not a JSON object"),
    "conflict": (HEADER + "<<<<<<< HEAD\n" + GOOD + "=======\n>>>>>>> x\n", "merge conflict"),
    "bytes": ("\udcff", "not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_baseline_is_told(tmp_path: Path, name: str) -> None:
    """Corrupt and foreign files are named in one sentence, with the line where there is one."""
    text, words = BAD[name]
    path = tmp_path / FILE
    path.write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(SettingsError) as caught:
        Baseline.read(path)
    assert words in str(caught.value)
    assert FILE in str(caught.value)


@pytest.mark.parametrize("flag", [WRITE, "--resource-hygiene=report"])
def test_a_foreign_file_is_never_overwritten(project: Project, flag: str) -> None:
    """The run ends before any test, without a traceback, and the file stays as it is."""
    project.write(FILE, "[tool.black]\n")
    project.write("test_it.py", SUITE)
    run = project.run(USE, flag)

    assert run.code == 4, run.text
    assert "this is no baseline" in run.err
    assert "Traceback" not in run.text
    assert (project.path / FILE).read_text(encoding="utf-8") == "[tool.black]\n"


def test_lines_of_a_union_are_read(tmp_path: Path) -> None:
    """Any order, lines and headers that stand there twice, empty lines and strange names."""
    strange = known_leak(
        {"owner": {"name": "t.py::test_\u2028\udcff[1]", "type": "test", "scope": "function"},
         "origin": None, "details": {}, "kind": "fds", "summary": "fd 7 /here/x \x0b",
         "fingerprint": "fedcba9876543210"},
        "/here",
    )  # fmt: skip
    path = tmp_path / "deep" / FILE
    Baseline([strange]).write(path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "\n" + GOOD + HEADER + text + GOOD, encoding="utf-8")
    found = list(Baseline.read(path))

    assert [one.name for one in found] == ["t", "t.py::test_\u2028\udcff"]
    assert found[1] == strange
    assert strange.summary == "fd N x \x0b"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((USE,), WRITE),
        ((WRITE,), "--resource-hygiene-baseline=FILE"),
        ((PRUNE,), "--resource-hygiene-baseline=FILE"),
        ((USE, WRITE, PRUNE), "already removes"),
        ((USE, PRUNE), "there is no file"),
    ],
)
def test_flags_that_make_no_sense_are_told(
    project: Project, args: tuple[str, ...], words: str
) -> None:
    """A missing file, a missing name and two opposite flags are usage errors."""
    project.write("test_it.py", SUITE)
    run = project.run(*args)

    assert run.code == 4, run.text
    assert words in run.err
    assert "Traceback" not in run.text


def test_a_file_that_cannot_be_written_stays_whole(project: Project) -> None:
    """Where the disk is full, the run ends with 3, and the old file is untouched."""
    write_baseline(project)
    before = (project.path / FILE).read_bytes()
    project.write("test_it.py", SUITE + "\n    def test_new(): os.pipe()\n")
    # Root may write anywhere, so the disk is made to be full.
    project.write(
        "conftest.py",
        """
        import tempfile
        def no_space(*args, **kwargs): raise OSError(28, "No space left on device")
        def pytest_runtest_logfinish(nodeid, location): tempfile.mkstemp = no_space
        """,
    )
    run = project.run(USE, WRITE)

    assert run.code == 3, run.text
    assert "No space left on device" in run.out
    assert (project.path / FILE).read_bytes() == before
    assert [one.name for one in project.path.glob(f".{FILE}*")] == []


def test_a_file_that_changes_meanwhile_is_not_overwritten(project: Project) -> None:
    """What somebody else writes while the tests run is not lost."""
    write_baseline(project)
    suite = (
        SUITE
        + f"\n    def test_new():\n        os.pipe()\n        open('{FILE}', 'a').write('\\n')\n"
    )
    project.write("test_it.py", suite)
    run = project.run(USE, WRITE, "-W", "ignore")

    assert run.code == 3, run.text
    assert "changed while the tests ran" in run.out
    assert len(entries_of_lines(project)) == 3


def entries_of_lines(project: Project) -> list[str]:
    text = (project.path / FILE).read_text(encoding="utf-8")
    return [line for line in text.splitlines()[1:] if line]


@pytest.mark.parametrize(
    ("args", "body", "told"),
    [
        (("--collect-only",), "pass", ""),
        (("-k", "nothing"), "pass", "no test was run"),
        (("-p", "xdist", "-n2"), "os._exit(7)", "a worker of xdist crashed"),
        ((), "raise KeyboardInterrupt", "the run did not come to its end"),
    ],
    ids=["collected-only", "no-test", "crash", "interrupt"],
)
def test_a_run_that_came_to_nothing_writes_nothing(
    project: Project, args: tuple[str, ...], body: str, told: str
) -> None:
    """Neither an empty file nor a shorter one comes of a run that has seen nothing, or died."""
    write_baseline(project)
    before = (project.path / FILE).read_bytes()
    project.write("test_it.py", f"import os\ndef test_pipe(): pass\ndef test_z(): {body}\n")
    for action in (WRITE, PRUNE):
        run = project.run(USE, action, *args)

        assert told in run.text
        assert (project.path / FILE).read_bytes() == before
        assert run.code == 2 or "KeyboardInterrupt" not in body, "as pytest has it"
    (project.path / FILE).unlink()
    project.run(USE, WRITE, *args)
    assert not (project.path / FILE).exists()


def test_it_is_written_through_a_link_with_its_mode(project: Project) -> None:
    """A linked file stays a link, and its permissions stay."""
    write_baseline(project)
    real = project.path / "real.jsonl"
    (project.path / FILE).rename(real)
    real.chmod(0o640)
    (project.path / FILE).symlink_to(real)
    project.write("test_it.py", SUITE.replace("os.pipe()", "pass"))
    project.run(USE, PRUNE)

    assert (project.path / FILE).is_symlink()
    assert len(entries(project)) == 2
    assert real.stat().st_mode & 0o777 == 0o640


def test_the_configuration_names_it_from_its_own_folder(project: Project) -> None:
    """A path in the configuration does not depend on where pytest is started."""
    write_baseline(project)
    project.write("pytest.ini", f"[pytest]\nresource_hygiene_baseline = {FILE}\n")
    (project.path / "sub").mkdir()
    run = project.run("--rootdir=..", "..", launcher=("-c", _IN_SUB, "-m", "pytest"))

    assert run.code == 0, run.text
    assert "3 of them seen" in run.out


_IN_SUB = "import os, sys, pytest; os.chdir('sub'); sys.exit(pytest.main(sys.argv[3:]))"


def git(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    name = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    return subprocess.run(
        ["git", *name, *args], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(shutil.which("git") is None, reason="git is needed")
def test_git_merges_what_two_branches_have_fixed(project: Project) -> None:
    """With the attribute of the docs, two branches that remove neighbours and one that adds merge."""
    suite = "import os\n" + "".join(f"def test_{n}(): os.pipe()\n" for n in range(4))
    write_baseline(project, suite)
    path = project.path / FILE
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    project.write(".gitattributes", f"{FILE} merge=union\n")
    git(project.path, "init")
    git(project.path, "add", FILE, ".gitattributes")
    git(project.path, "commit", "-m", "known leaks")
    git(project.path, "checkout", "-b", "one")
    path.write_text("".join(lines[:1] + lines[2:]), encoding="utf-8")
    git(project.path, "commit", "-a", "-m", "one fixed")
    git(project.path, "checkout", "main")
    path.write_text("".join(lines[:-1]), encoding="utf-8")
    git(project.path, "commit", "-a", "-m", "another fixed")
    merged = git(project.path, "merge", "one")

    assert merged.returncode == 0, merged.stdout + merged.stderr
    assert [one["name"] for one in entries(project)] == ["test_it.py::test_1", "test_it.py::test_2"]
