"""The recipes for CI: valid for their services, and their lines do what the page says."""

from __future__ import annotations

import configparser
import importlib.resources
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hygiene.docs.pages import DOCS, blocks_of
from ruamel.yaml import YAML

if TYPE_CHECKING:
    from support.inner import Project

RECIPES = {block.role: block.text for block in blocks_of(DOCS / "ci.md")}
SCHEMAS = importlib.resources.files("check_jsonschema").joinpath("builtin_schemas/vendor")
SUITE = "import os\ndef test_known(): os.pipe()\ndef test_clean(): pass\n"
NEW = "def test_new(): os.pipe()\n"


def parsed(role: str) -> Any:
    return json.loads(json.dumps(YAML(typ="safe", pure=True).load(RECIPES[role])))


def environment(folder: Path) -> dict[str, str]:
    """Return what a CI service gives: the tools on the path, and nothing of our own run."""
    strangers = ("PYTEST_", "RESOURCE_HYGIENE", "COV_", "COVERAGE_", "NOX")
    env = {name: value for name, value in os.environ.items() if not name.startswith(strangers)}
    return env | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "RESOURCE_HYGIENE_GRACE": "0",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # other neighbours of ours are none of CI's
        "PYTEST_ADDOPTS": "-p xdist",
    }


def shell(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-e", "-c", line], cwd=folder, env=environment(folder), capture_output=True,
        text=True, check=False, timeout=240,
    )  # fmt: skip


@pytest.fixture
def suite(project: Project) -> Path:
    """A suite with one leak in its baseline and one that is new."""
    project.write("test_it.py", SUITE)
    use = ("--resource-hygiene-baseline=known-leaks.jsonl", "--resource-hygiene-write-baseline")
    assert project.run(*use, grace=0).code == 0
    project.write("test_it.py", SUITE + NEW)
    return project.path


@pytest.mark.parametrize(
    ("role", "schema"), [("github", "github-workflows"), ("gitlab", "gitlab-ci")]
)
def test_a_recipe_is_valid_for_its_service(role: str, schema: str) -> None:
    """The published schema of the service accepts it, and would not accept a typo."""
    text = SCHEMAS.joinpath(f"{schema}.json").read_text("utf-8")
    validator = jsonschema.validators.validator_for(json.loads(text))(json.loads(text))
    recipe = parsed(role)

    assert [error.message for error in validator.iter_errors(recipe)] == []
    (job,) = recipe["jobs"].values() if role == "github" else recipe.values()
    job["steps" if role == "github" else "script"] = 7
    assert not validator.is_valid(recipe)


def test_the_lines_for_github_fail_for_the_new_leak_and_show_it(suite: Path) -> None:
    """The run fails; annotations, summary and SARIF are there, and tell of it."""
    (job,) = parsed("github")["jobs"].values()
    install, tests, show = (step["run"] for step in job["steps"] if "run" in step)
    assert install.startswith("pip install")
    done = shell(suite, tests)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "LEAKED test_it.py::test_new" in done.stdout

    shown = shell(suite, show)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("::error file=test_it.py,line=4,")
    assert "Resource hygiene: 1 leak" in (suite / "summary.md").read_text(encoding="utf-8")
    upload = next(step["with"] for step in job["steps"] if "sarif" in step.get("uses", ""))
    log = json.loads((suite / upload["sarif_file"]).read_text(encoding="utf-8"))
    assert [len(one["suppressions"]) for one in log["runs"][0]["results"]] == [0, 1]


def test_the_lines_for_gitlab_fail_for_the_new_leak_and_show_it(suite: Path) -> None:
    """The script fails; what ``artifacts`` names is there afterwards."""
    (job,) = parsed("gitlab").values()
    install, tests = job["script"]
    assert install.startswith("pip install")
    done = shell(suite, tests)
    assert done.returncode == 1, done.stdout + done.stderr

    shown = shell(suite, "\n".join(job["after_script"]))
    assert shown.returncode == 0, shown.stderr
    for path in (*job["artifacts"]["paths"], *job["artifacts"]["reports"].values()):
        assert (suite / path).exists(), path
    issues = json.loads((suite / "gl-code-quality-report.json").read_text(encoding="utf-8"))
    assert [issue["severity"] for issue in issues] == ["major", "minor"]


def test_the_lines_for_tox_fail_for_the_new_leak_and_show_it(suite: Path) -> None:
    """The commands, with what tox puts in for its names."""
    recipe = configparser.ConfigParser(interpolation=None)
    recipe.read_string(RECIPES["tox"])
    section = recipe["testenv:leaks"]
    names = {"{env_tmp_dir}": str(suite), "{/}": os.sep, "{posargs}": ""}
    commands = []
    for key in ("commands", "commands_post"):
        line = section[key].strip()
        for name, value in names.items():
            line = line.replace(name, value)
        assert "{" not in line
        commands.append(line)
    done = shell(suite, commands[0])

    assert done.returncode == 1, done.stdout + done.stderr
    assert "test_new" in shell(suite, commands[1]).stdout


def test_the_session_for_nox_fails_for_the_new_leak_and_passes_without_it(suite: Path) -> None:
    """The tool itself runs it, in this environment instead of one of its own."""
    (suite / "noxfile.py").write_text(RECIPES["nox"], encoding="utf-8")
    line = f"{sys.executable} -m nox --no-venv --no-install -s leaks"
    done = shell(suite, line)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 leak in 1 finding" in done.stdout + done.stderr

    (suite / "test_it.py").write_text(SUITE, encoding="utf-8")
    done = shell(suite, line)
    assert done.returncode == 0, done.stdout + done.stderr
