"""The kind `environment`, driven without an engine."""

from __future__ import annotations

import locale
import os
import sys
import types
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.recorder import Creation, Recorder
from pytest_resource_hygiene.tracker import Moment
from pytest_resource_hygiene.trackers import environment
from pytest_resource_hygiene.trackers._modules_lost import ModulesLost
from pytest_resource_hygiene.trackers.environment import EnvironmentTracker, make_tracker

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

NAME = "HYGIENE_EXAMPLE"
MODULE = "hygiene_example_module"
GONE = None  # what the engine passes as the value of a key that vanished


class Probe:
    """A started tracker, and what it listed first."""

    def __init__(self) -> None:
        self.tracker = EnvironmentTracker()
        self.recorder = Recorder()
        self.tracker.start(self.recorder)
        self.recorder.start()
        self.rebase()

    def rebase(self) -> None:
        self.tracker.forget()
        self.first = self.list()
        self.reading = self.tracker.reading()

    def list(self) -> Mapping[Hashable, Any]:
        return self.tracker.list_resources(Moment())

    def changes(self) -> dict[Hashable, tuple[Any, Any]]:
        now = self.list()
        return {
            key: (now.get(key), self.first.get(key))
            for key in {**self.first, **now}
            if now.get(key) != self.first.get(key)
        }

    def change(self) -> tuple[Hashable, Any, Any]:
        [(key, (value, old))] = self.changes().items()
        return key, value, old

    def summary(self) -> str:
        return self.tracker.describe(*self.change()).summary

    def has_new_reading(self) -> bool:
        return bool(self.tracker.reading() != self.reading)


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Probe]:
    monkeypatch.setenv("HYGIENE_PRESENT", "there")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, MODULE, types.ModuleType(MODULE))
    monkeypatch.delenv(NAME, raising=False)
    monkeypatch.chdir(Path.cwd())
    mask = os.umask(0o022)
    spoken = locale.setlocale(locale.LC_ALL)
    probe = Probe()
    yield probe
    probe.recorder.stop()
    probe.tracker.stop()
    os.environ.pop(NAME, None)
    os.umask(mask)
    locale.setlocale(locale.LC_ALL, spoken)


def functions_of(creation: Creation | None) -> list[str]:
    assert creation is not None, "nothing was recorded"
    return [code.co_name for code in creation.stack[::2]]


class TestVariables:
    def test_variable_that_was_set_is_seen_with_its_origin(self, probe: Probe) -> None:
        """A new variable is listed with its origin, and removed by restore()."""
        os.environ[NAME] = "on"

        key, value, old = probe.change()

        assert probe.has_new_reading()
        assert (key, value, old) == (("env", NAME), "on", None)
        assert probe.summary() == f"environment variable {NAME} set to 'on'"
        assert "test_variable_that_was_set_is_seen_with_its_origin" in functions_of(
            probe.tracker.creation(key, value)
        )
        assert probe.tracker.restore(key, value, old)
        assert not probe.changes()

    def test_changed_variable_is_put_back(self, probe: Probe) -> None:
        """Another value is a replacement that can be undone."""
        os.environ["HYGIENE_PRESENT"] = "changed"

        assert probe.summary() == (
            "environment variable HYGIENE_PRESENT changed: 'there' -> 'changed'"
        )
        assert probe.tracker.restore(*probe.change())
        assert os.environ["HYGIENE_PRESENT"] == "there"

    def test_deleted_variable_is_put_back(self, probe: Probe) -> None:
        """A variable that vanished is a change to no value, with its origin."""
        del os.environ["HYGIENE_PRESENT"]

        key, value, old = probe.change()

        assert value is GONE
        assert probe.summary() == "environment variable HYGIENE_PRESENT removed, was 'there'"
        assert "test_deleted_variable_is_put_back" in functions_of(
            probe.tracker.creation(key, value)
        )
        assert probe.tracker.restore(key, value, old)
        assert os.environ["HYGIENE_PRESENT"] == "there"

    def test_variable_put_back_by_the_test_is_no_change(
        self, probe: Probe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What monkeypatch undoes leaves nothing, and its record is dropped."""
        with monkeypatch.context() as patch:
            patch.setenv(NAME, "on")
            patch.delenv("HYGIENE_PRESENT")

        assert not probe.changes()
        probe.tracker.forget()
        assert probe.tracker.creation(("env", NAME), None) is None

    @pytest.mark.parametrize("name", ["PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER"])
    def test_the_runners_variables_do_not_count(
        self, probe: Probe, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """The runners set variables of their own all the time."""
        monkeypatch.setenv(name, "something else")

        assert not probe.changes()

    def test_the_current_test_does_not_change_the_reading(
        self, probe: Probe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The runner sets PYTEST_CURRENT_TEST three times a test, which must stay free."""
        monkeypatch.setenv("PYTEST_CURRENT_TEST", "something else")

        assert not probe.has_new_reading()

    @pytest.mark.parametrize(
        "name",
        ["APP_KEY", "GITHUB_TOKEN", "my_secret", "DB_PASSWORD", "AWS_CREDS", "AUTH", "MYSQL_PWD"],
    )
    def test_secrets_are_never_shown(
        self, probe: Probe, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """Old and new value of a variable with a telling name appear nowhere."""
        monkeypatch.setenv(name, "hunter1")
        probe.rebase()
        monkeypatch.setenv(name, "hunter2")

        text = probe.tracker.describe(*probe.change())

        assert "(hidden)" in text.summary
        assert "hunter" not in repr(text)

    def test_password_in_an_address_is_never_shown(self, probe: Probe) -> None:
        """An address keeps its host, and loses its password."""
        os.environ[NAME] = "postgres://me:hunter2@db.example/app"

        assert probe.summary().endswith("set to 'postgres://me:(hidden)@db.example/app'")

    def test_long_values_are_cut(self, probe: Probe) -> None:
        """A finding is no wall of text."""
        os.environ[NAME] = "x" * 500

        assert len(probe.summary()) < 120


class TestOtherSettings:
    def test_working_folder(self, probe: Probe, tmp_path: Path) -> None:
        """chdir() is seen with its origin, and undone."""
        before = Path.cwd()
        os.chdir(tmp_path)

        key, value, old = probe.change()

        assert probe.has_new_reading()
        assert probe.summary() == f"cwd changed: {str(before)!r} -> {str(tmp_path)!r}"
        assert functions_of(probe.tracker.creation(key, value))[0] == "test_working_folder"
        assert probe.tracker.restore(key, value, old)
        assert Path.cwd() == before

    def test_working_folder_that_is_gone(self, probe: Probe, tmp_path: Path) -> None:
        """Neither a removed present folder nor a removed previous one is an error."""
        before, folder = Path.cwd(), tmp_path / "gone"
        folder.mkdir()
        os.chdir(folder)
        folder.rmdir()

        key, value, old = probe.change()

        assert value is None
        assert not probe.tracker.restore(key, value, str(folder))
        assert probe.tracker.restore(key, value, old)
        assert Path.cwd() == before

    @pytest.mark.parametrize("has_proc", [True, False])
    def test_umask(self, probe: Probe, monkeypatch: pytest.MonkeyPatch, has_proc: bool) -> None:
        """The umask is seen with its origin and undone, with or without /proc."""
        if not has_proc:

            def missing(path: str) -> bytes:
                raise FileNotFoundError(path)

            monkeypatch.setattr(environment, "System", types.SimpleNamespace(read=missing))
        os.umask(0o077)

        key, value, old = probe.change()

        assert probe.has_new_reading()
        assert probe.summary() == "umask changed: 0o22 -> 0o77"
        assert functions_of(probe.tracker.creation(key, value))[0] == "test_umask"
        assert probe.tracker.restore(key, value, old)
        assert not probe.changes()

    def test_locale(self, probe: Probe) -> None:
        """setlocale() is seen with its origin, and undone."""
        other = "C.UTF-8" if locale.setlocale(locale.LC_ALL) == "C" else "C"
        locale.setlocale(locale.LC_ALL, other)

        key, value, old = probe.change()

        assert probe.has_new_reading()
        assert probe.summary().startswith("locale changed: ")
        assert "test_locale" in functions_of(probe.tracker.creation(key, value))
        assert probe.tracker.restore(key, value, old)
        assert not probe.changes()

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda path: path.insert(0, "/one"), "/one added"),
            (lambda path: path.extend("abcd"), "a, b, c and 1 more added"),
            (lambda path: path.append(path[0]), "order or repetitions changed"),
        ],
    )
    def test_import_path(self, probe: Probe, change: Any, words: str) -> None:
        """sys.path is one slot; what was added is named, and the list is put back in place."""
        path = sys.path
        change(path)

        assert probe.has_new_reading()
        assert probe.summary() == f"sys.path: {words}"
        key, value, old = probe.change()
        assert probe.tracker.creation(key, value) is None
        assert probe.tracker.restore(key, value, old)
        assert sys.path is path
        assert not probe.changes()

    def test_removed_entry_of_the_import_path(self, probe: Probe) -> None:
        """An entry that vanished is named."""
        gone = next(one for one in reversed(sys.path) if sys.path.count(one) == 1)
        sys.path.remove(gone)

        assert probe.summary() == f"sys.path: {gone} removed"


class TestModules:
    def test_import_is_no_change(self, probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
        """Modules that appear are nobody's fault."""
        monkeypatch.setitem(sys.modules, "hygiene_new", types.ModuleType("hygiene_new"))

        assert not probe.changes()

    def test_removed_module_is_a_change(self, probe: Probe) -> None:
        """A module that vanished is named; it cannot be put back, for we do not keep it."""
        del sys.modules[MODULE]

        assert probe.has_new_reading()
        assert probe.summary() == f"sys.modules: {MODULE} removed"
        assert not probe.tracker.restore(*probe.change())

    def test_module_put_back_is_no_change(
        self, probe: Probe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The same module under the same name is as before, even if its absence was seen."""
        with monkeypatch.context() as patch:
            patch.delitem(sys.modules, MODULE)
            assert probe.changes()

        assert not probe.changes()

    @pytest.mark.parametrize("double", [types.ModuleType(MODULE), object(), 7])
    def test_exchanged_module_is_a_change(self, probe: Probe, double: object) -> None:
        """Another object under the name is a replacement, whatever it is."""
        sys.modules[MODULE] = double  # type: ignore[assignment]

        assert probe.summary() == f"sys.modules: {MODULE} replaced"

    def test_next_test_may_import_it_again(self, probe: Probe) -> None:
        """Who imports what somebody else removed did nothing wrong."""
        del sys.modules[MODULE]
        probe.rebase()

        sys.modules[MODULE] = types.ModuleType(MODULE)

        assert not probe.changes()

    def test_removed_module_is_free_to_die(self, probe: Probe) -> None:
        """We keep no module alive."""
        ref = weakref.ref(sys.modules[MODULE])

        del sys.modules[MODULE]

        assert ref() is None
        assert probe.changes()

    def test_value_that_is_put_back_is_described(self, probe: Probe) -> None:
        """Nothing new among the names can only mean that some were put back."""
        text = probe.tracker.describe("sys.modules", frozenset(), frozenset({MODULE}))

        assert text.summary == "sys.modules: put back"


def test_nothing_happened_nothing_changed(probe: Probe) -> None:
    """A quiet test has the same reading and the same list."""
    assert not probe.has_new_reading()
    assert not probe.changes()


def test_every_key_is_a_slot() -> None:
    """The engine judges a key that vanished like one that was replaced."""
    assert EnvironmentTracker.slots
    assert EnvironmentTracker.removals
    assert EnvironmentTracker.severity == "off"


def test_specimen_is_seen_and_leaves_nothing(probe: Probe) -> None:
    """The canary's variable is listed while it is set."""
    context = make_tracker().specimen()
    assert context is not None
    with context:
        assert len(probe.changes()) == 1

    assert not probe.changes()


def test_wraps_are_undone() -> None:
    """After stop() nothing of us is left."""
    before = os.umask, locale.setlocale

    Probe().recorder.stop()

    assert before == (os.umask, locale.setlocale)


def test_what_was_taken_away_first_is_what_must_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in that comes and goes meanwhile is not waited for."""
    modules, first = ModulesLost(), types.ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, first)
    modules.look()
    for present in (None, types.ModuleType(MODULE), None):
        sys.modules.pop(MODULE, None)
        if present is not None:
            sys.modules[MODULE] = present
        assert modules.look() == {MODULE}
    sys.modules[MODULE] = first

    assert modules.look() == frozenset()


def test_what_is_no_module_is_known_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything may be put into the table, without weak references as well."""
    modules = ModulesLost()
    odd: Any = (1, 2)
    monkeypatch.setitem(sys.modules, MODULE, odd)
    modules.look()

    assert modules.look() == frozenset()
    sys.modules[MODULE] = types.ModuleType(MODULE)
    assert modules.look() == {MODULE}
