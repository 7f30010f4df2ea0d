"""Both hooks, run by the real pre-commit on a real commit of a repository that uses ours."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.repository import ROOT, Repository, copy_of_ours

if TYPE_CHECKING:
    from collections.abc import Callable

if not (ROOT / ".pre-commit-hooks.yaml").is_file():
    pytest.skip("only in a checkout: the hooks are described at its top", allow_module_level=True)
pytest.importorskip("pre_commit", reason="pre-commit is not installed")

_ATEXIT = """\
    import atexit


    def test_leaks():
        atexit.register(print, "bye")
"""
_CLEAN = """\
    def test_is_clean():
        assert True
"""


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Path]:
    """The repository of the hooks, its commit, and pre-commit's folder with built environments."""
    folder = tmp_path_factory.mktemp("hooks")
    ours, commit = copy_of_ours(folder / "ours")
    return ours.path, commit, folder / "home"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A project that is going to use a hook."""
    return Repository(tmp_path / "project")


@pytest.fixture
def use(
    repository: Repository, hooks: tuple[Path, str, Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Make the project use a hook, with arguments, and install pre-commit in it."""
    path, commit, home = hooks
    repository.environment["PRE_COMMIT_HOME"] = str(home)
    scripts = str(Path(sys.executable).parent)
    repository.environment["PATH"] = f"{scripts}:{repository.environment['PATH']}"

    def used(hook: str, *arguments: str) -> None:
        args = f"\n        args: [{', '.join(arguments)}]" if arguments else ""
        repository.write(
            ".pre-commit-config.yaml",
            f"""\
repos:
  - repo: {path}
    rev: {commit}
    hooks:
      - id: {hook}{args}
""",
        )
        repository.run(sys.executable, "-m", "pre_commit", "install", check=True)
        built = repository.run(sys.executable, "-m", "pre_commit", "install-hooks")
        if built.returncode and "No matching distribution" in built.stdout + built.stderr:
            pytest.skip("no package index can be reached: the hook's environment cannot be built")
        assert built.returncode == 0, built.stdout + built.stderr

    return used


def test_a_commit_whose_test_leaks_is_refused(
    repository: Repository, use: Callable[..., None]
) -> None:
    """The hook runs the staged test file, names the leak, and lets the mended one pass."""
    use("resource-hygiene", "--time-box=50", "-p", "no:cacheprovider", "--")
    repository.commit()
    repository.write("test_new.py", _ATEXIT)

    refused = repository.run("git", "commit", "-m", "leaks")
    repository.write("test_new.py", _CLEAN)
    taken = repository.run("git", "commit", "-m", "clean")

    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert "atexit" in refused.stdout + refused.stderr
    assert taken.returncode == 0, taken.stdout + taken.stderr
    assert "1 passed" in taken.stdout + taken.stderr
    assert repository.git("log", "--format=%s").split()[0] == "clean"


def test_a_commit_of_no_test_has_nothing_to_run(
    repository: Repository, use: Callable[..., None]
) -> None:
    """A line says so, and deleting a test file is no reason to fail."""
    repository.write("test_old.py", _CLEAN)
    use("resource-hygiene")
    repository.commit()
    repository.git("rm", "--quiet", "test_old.py")

    done = repository.run("git", "commit", "-m", "without")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing to run" in done.stdout + done.stderr


def test_the_lint_runs_in_an_environment_of_its_own(
    repository: Repository, use: Callable[..., None]
) -> None:
    """It refuses what leaks, takes a `noqa` with a reason, and knows nothing of the project."""
    use("resource-hygiene-lint")
    repository.commit()
    bad = "import atexit\n\n\nclass Cache:\n    def __init__(self):\n        atexit.register(self.flush)"
    repository.write("cache.py", bad + "\n")

    refused = repository.run("git", "commit", "-m", "leaks")
    repository.write("cache.py", bad + "  # noqa: RH002 -- one for each process\n")
    taken = repository.run("git", "commit", "-m", "allowed")

    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert "cache.py:6:9: RH002" in refused.stdout + refused.stderr
    assert taken.returncode == 0, taken.stdout + taken.stderr
