"""Git repositories for tests: made anew, with nothing of the user's configuration."""

from __future__ import annotations

import os
import shutil
import subprocess
import textwrap
from pathlib import Path

__all__ = ["ROOT", "Repository", "copy_of_ours"]

ROOT = Path(__file__).resolve().parent.parent.parent
_PARTS = ("pytest_resource_hygiene", "claude_wrapper", "docs")  # what the wheel is built from
_FILES = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".pre-commit-hooks.yaml")


class Repository:
    """A repository in a folder."""

    def __init__(self, path: Path) -> None:
        """Make it."""
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        self.environment = kept | {
            "COVERAGE_FILE": "",  # records of this repository are not those of our own run
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "somebody",
            "GIT_AUTHOR_EMAIL": "somebody@example.org",
            "GIT_COMMITTER_NAME": "somebody",
            "GIT_COMMITTER_EMAIL": "somebody@example.org",
        }
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        """Run git and return what it printed."""
        return self.run("git", *arguments, check=True).stdout

    def run(
        self, *command: str | Path, check: bool = False, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the repository."""
        done = subprocess.run(
            command,
            cwd=self.path,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def write(self, name: str, text: str) -> None:
        """Write a file and stage it."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        self.git("add", "--", name)

    def commit(self, message: str = "a step") -> str:
        """Commit without hooks, and return the commit's name."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--no-verify", "--message", message)
        return self.git("rev-parse", "HEAD").strip()


def copy_of_ours(path: Path) -> tuple[Repository, str]:
    """Return a repository with what is in our working tree, and its only commit."""
    repository = Repository(path)
    leave_out = shutil.ignore_patterns("__pycache__")
    for name in _PARTS:
        shutil.copytree(ROOT / name, path / name, ignore=leave_out)
    for name in _FILES:
        shutil.copy(ROOT / name, path / name)
    return repository, repository.commit("hooks")
