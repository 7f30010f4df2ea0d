"""The option table: one row makes flag, ini key, environment variable, help and documentation.

Precedence: marker > command line > environment > configuration file > default. A flag's default is
None, so that "not given" and "given as false" differ; a peer's ini switch did nothing for years
because its flag defaulted to False.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pytest

from pytest_resource_hygiene.grace import read_grace

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "MODES",
    "OPTIONS",
    "SEVERITIES",
    "Option",
    "add_options",
    "mode_of",
    "path_of",
    "refuse_misspelt_variables",
    "source_of",
    "value_of",
]

MODES = ("fail", "report", "off")
SEVERITIES = ("fail", "note", "off")
_NAMES = {
    "resource_hygiene",
    "pytest_resource_hygiene",
    "pytest_resource_hygiene.pytest_plugin",
}


class Option(NamedTuple):
    """One row.

    Attributes:
        name: behind ``resource-hygiene``; empty for the mode itself.
        form: ``text``, ``flag`` or ``lines``.
        read: turns text into the value; raises ValueError with what is valid.
        default: as text, for the documentation; None if there is none.
        metavar: what stands for the value in the help.
        help: one sentence.
    """

    name: str
    form: Literal["text", "flag", "lines"]
    read: Callable[[str], Any]
    default: str | None
    metavar: str
    help: str

    @property
    def flag(self) -> str:
        """The command-line flag."""
        return f"--resource-hygiene-{self.name}" if self.name else "--resource-hygiene"

    @property
    def ini(self) -> str:
        """The key in configuration files."""
        return self.flag.strip("-").replace("-", "_")

    @property
    def env(self) -> str:
        """The environment variable."""
        return self.ini.upper()


def _mode(text: str) -> str:
    if text not in MODES:
        raise ValueError(f"one of {', '.join(MODES)}")
    return text


def _truth(text: str) -> bool:
    plain = text.strip().lower()
    if plain in {"1", "true", "yes", "on"}:
        return True
    if plain in {"0", "false", "no", "off"}:
        return False
    raise ValueError("true or false")


def _count(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return read


OPTIONS: tuple[Option, ...] = (
    Option("", "text", _mode, None, "MODE",
           "fail: a test that leaks fails; report: findings are shown; off: nothing is watched. "
           "Default: fail if the plugin is named with -p, else off."),
    Option("kinds", "text", str, "default", "KINDS",
           "Kinds to watch, comma-separated: names, 'default', 'all', and '+kind' or '-kind' to "
           "add to or take from the default."),
    Option("grace", "text", read_grace, "0.5", "SECONDS",
           "How long a suspect may take to go by itself; nothing waits unless something looks "
           "leaked."),
    Option("strict", "flag", _truth, "false", "BOOL",
           "Fail also for what only the garbage collector freed, for what was dropped without "
           "being closed, and for allowances that matched nothing."),
    Option("restore", "flag", _truth, "true", "BOOL",
           "Put signal handlers, clocks, the signal mask, exception hooks and warning filters "
           "back after they are reported."),
    Option("orphans", "flag", _truth, "true", "BOOL",
           "On Linux, have processes whose parent has ended come to the test process, to see which "
           "tests leave some; false for tests that count children or wait for those of others."),
    Option("max-listeners", "text", _count(1, 1_000_000), "10", "N",
           "More listeners than this on one event of one emitter are a finding."),
    Option("confirm", "flag", _truth, "false", "BOOL",
           "Run a suspicious test once more and report only what grows again."),
    Option("repeat", "text", _count(0, 1_000), "0", "N",
           "Hunt slow leaks: run each selected test N times after a warm-up; what grows every "
           "time is a finding."),
    Option("json", "text", str, None, "FILE",
           "Write all findings to a file for machines."),
    Option("baseline", "text", str, None, "FILE",
           "A list of known leaks: what is in it is shown and fails nothing, what is new fails, and "
           "so does an entry that no longer occurs in a full run."),
    Option("write-baseline", "flag", _truth, "false", "BOOL",
           "Write the leaks of this run into the baseline, instead of failing for them."),
    Option("prune-baseline", "flag", _truth, "false", "BOOL",
           "Remove from the baseline what this run has shown to be gone."),
    Option("html", "text", str, None, "FILE",
           "Write a page for people: one file, no network; needs the extra 'html'."),
    Option("allow", "lines", str, None, "'KIND: GLOB -- REASON'",
           "Allow leaks of a kind (or *) whose summary, target or creation site matches the glob."),
    Option("severity", "lines", str, None, "'KIND: fail|note|off'",
           "Change what leaks of a kind do."),
    Option("emitters", "lines", str, None, "'NAME = MODULE:ATTRIBUTE'",
           "A registry of listeners of the project that is to be watched."),
)  # fmt: skip

_BY_NAME = {option.name: option for option in OPTIONS}
_ENV = "RESOURCE_HYGIENE_"
_SURE = len("RESOURCE_HY")  # so much is written right, or it is somebody else's
_CLOSE = 0.8
_SUFFIXES = [option.env.removeprefix(_ENV) for option in OPTIONS if option.name]
_OTHER_VARIABLES = {f"{_ENV}{name}" for name in ("CANARY", "DEBUG", "PURE_PYTHON", "TIMEBOX")}


def add_options(parser: pytest.Parser) -> None:
    """Declare the whole table to pytest."""
    group = parser.getgroup("resource-hygiene", "leaks of threads, sockets, signals and more")
    for option in OPTIONS:
        text = option.help + (f" Default: {option.default}." if option.default else "")
        text = text.replace("%", "%%")
        dest = option.ini
        if option.form == "flag":
            import argparse

            group.addoption(
                option.flag, dest=dest, action=argparse.BooleanOptionalAction, default=None,
                help=text,
            )  # fmt: skip
        elif option.form == "lines":
            group.addoption(
                option.flag, dest=dest, action="append", metavar=option.metavar, help=text
            )
        else:
            group.addoption(option.flag, dest=dest, metavar=option.metavar, help=text)
        if option.form == "lines":
            parser.addini(option.ini, text, type="linelist", default=None)
        else:
            parser.addini(option.ini, text, type="string", default=None)


def value_of(config: pytest.Config, name: str) -> Any:
    """Return the value of an option from its strongest source, or its default; None if it has none.

    What the option's ``read`` makes of the text: flags are bool, lines a list with their sources.

    Raises:
        pytest.UsageError: the text is not valid; says where it was read and what is.
    """
    option = _BY_NAME[name]
    if option.form == "lines":
        return _lines(config, option)
    text, source = _text(config, option)
    if text is None or isinstance(text, bool):
        return text
    try:
        return option.read(text)
    except ValueError as error:
        raise pytest.UsageError(f"{source}: {text!r} is not valid; expected {error}.") from None


def source_of(config: pytest.Config, name: str) -> str:
    """Return where the value of an option was written, as messages about it name the place."""
    return _text(config, _BY_NAME[name])[1]


def refuse_misspelt_variables() -> None:
    """Refuse an environment variable that is nearly one of ours: nobody else would ever miss it.

    pytest tells of an unknown key in a file or flag by itself.

    Raises:
        pytest.UsageError: says which variable is meant.
    """
    known = _OTHER_VARIABLES.union(option.env for option in OPTIONS)
    for name in os.environ:
        if name.startswith(_ENV[:_SURE]) and name not in known and (near := _near(name)):
            raise pytest.UsageError(
                f"environment variable {name} is not known; did you mean {near}?"
            )


def _near(name: str) -> str | None:
    """Return the variable that is meant by one that is misspelt, before or behind the prefix."""
    import difflib  # hardly ever needed

    first, second, *rest = name.split("_", 2)
    prefix, own = f"{first}_{second}", _ENV.rstrip("_")
    if prefix != own:
        is_near = difflib.get_close_matches(prefix, [own], cutoff=_CLOSE)
        return "_".join([own, *rest]) if is_near else None
    near = difflib.get_close_matches("_".join(rest), _SUFFIXES, n=1, cutoff=_CLOSE)
    return f"{_ENV}{near[0]}" if near else None


def path_of(config: pytest.Config, name: str) -> Path | None:
    """Return the file that an option names: seen from the folder where it was written down.

    Raises:
        pytest.UsageError: the text is not valid.
    """
    value = value_of(config, name)
    if not value:
        return None
    is_written = source_of(config, name).startswith(_BY_NAME[name].ini)
    base = config.invocation_params.dir
    if is_written:
        base = config.inipath.parent if config.inipath is not None else config.rootpath
    return Path(base, value)


def _text(config: pytest.Config, option: Option) -> tuple[Any, str]:
    given = config.getoption(option.ini, default=None)
    if given is not None:
        return given, option.flag
    if os.environ.get(option.env):
        return os.environ[option.env], f"environment variable {option.env}"
    written = config.getini(option.ini)
    if written not in {None, ""}:
        return str(written), f"{option.ini} in {config.inipath or 'the configuration'}"
    return option.default, "default"


def _lines(config: pytest.Config, option: Option) -> list[tuple[str, str]]:
    """Return all lines with their sources: lists add up rather than replace each other."""
    lines = [(line, option.flag) for line in config.getoption(option.ini, default=None) or ()]
    lines += [
        (line, f"environment variable {option.env}")
        for line in os.environ.get(option.env, "").splitlines()
    ]
    lines += [(line, option.ini) for line in config.getini(option.ini) or ()]
    return [(line.strip(), source) for line, source in lines if line.strip()]


def mode_of(config: pytest.Config) -> str:
    """Return the mode: as set; else ``fail`` if somebody named the plugin; else ``off``."""
    mode = value_of(config, "")
    if mode is not None:
        return str(mode)
    return "fail" if _is_named(config) else "off"


def _is_named(config: pytest.Config) -> bool:
    """Return whether somebody asked for the plugin by name, rather than merely installed it."""
    named = set(config.getoption("plugins", default=None) or ())
    named.update(getattr(config.known_args_namespace, "plugins", None) or ())
    named.update(os.environ.get("PYTEST_PLUGINS", "").split(","))
    for plugin in config.pluginmanager.get_plugins():
        declared = getattr(plugin, "pytest_plugins", ())
        named.update([declared] if isinstance(declared, str) else _strings(declared))
    return bool(named & _NAMES)


def _strings(declared: Any) -> list[str]:
    if not isinstance(declared, (list, tuple)):
        return []
    return [one for one in declared if isinstance(one, str)]
