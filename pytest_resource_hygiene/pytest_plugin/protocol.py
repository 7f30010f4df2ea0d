"""When owners begin and end.

A test answers from before its setup to after its own fixtures' teardown, a wider fixture from its
setup to after its teardown.

Two hooks run for every test, one of them without a generator: the budget of the happy path is some
ten microseconds. All else is registered when the first finding comes.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_resource_hygiene.engine.checker import LeakChecker
from pytest_resource_hygiene.engine.origins.places import Places
from pytest_resource_hygiene.pytest_plugin.activation import (
    early_trackers,
    engine_settings,
    make_trackers,
    stop_files,
    tool_files,
)
from pytest_resource_hygiene.pytest_plugin.extensions import declare_emitters, extra_trackers
from pytest_resource_hygiene.pytest_plugin.markers import (
    ItemRules,
    has_late_markers,
    names_ours,
    read_markers,
)
from pytest_resource_hygiene.pytest_plugin.neighbours import Neighbours
from pytest_resource_hygiene.pytest_plugin.options import value_of
from pytest_resource_hygiene.pytest_plugin.owners import (
    TestOwner,
    fixture_owner,
    waiting_finalizers,
)
from pytest_resource_hygiene.pytest_plugin.spare import SpareDescriptors
from pytest_resource_hygiene.pytest_plugin.taken_arguments import put_back
from pytest_resource_hygiene.recorder import Recorder
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.trackers import kind_names
from pytest_resource_hygiene.trackers.listeners import ListenerTracker
from pytest_resource_hygiene.trackers.unclosed import UnclosedTracker

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pytest_resource_hygiene.engine.inventory.owners import Owner
    from pytest_resource_hygiene.leak import Leak
    from pytest_resource_hygiene.pytest_plugin.delivery import Delivery
    from pytest_resource_hygiene.pytest_plugin.owners import FixtureOwner
    from pytest_resource_hygiene.pytest_plugin.results import Results
    from pytest_resource_hygiene.tracker import Tracker

__all__ = ["Watcher"]

_now = System.perf_counter


class Watcher:
    """Watches the tests of this process."""

    def __init__(self, config: pytest.Config, results: Results) -> None:
        """Validate the settings at once, so that a mistake is told before any test is collected."""
        self.config = config
        self.results = results
        engine_settings(config, [])
        self._early = early_trackers(config)
        self._extra: list[Tracker] = []
        self._recorder = Recorder(stop_files())
        for tracker in self._early:
            self._recorder.start_tracker(tracker)
        self._neighbours = Neighbours(config, self._recorder)
        self.checker: LeakChecker | None = None
        self._spare: SpareDescriptors | None = None
        self._kinds = set(kind_names())
        self._rules: dict[pytest.Item, ItemRules] = {}
        self._owner: TestOwner | None = None  # of the test that runs, or ran last
        self._leaks: list[Leak] = []
        self._delivery: Delivery | None = None
        self._fixtures: dict[FixtureOwner, None] = {}
        self._open: Callable[[Owner], object] = _do_nothing
        self._close_if_quiet: Callable[[Owner, Any], bool] = _find_nothing
        self._session: Owner | None = None  # as an owner
        self._listen: Callable[[], object] = _do_nothing

    # --- the whole run ---

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Read the markers of all items."""
        self._extra = extra_trackers(self.config)
        self._kinds |= {tracker.kind for tracker in self._extra}
        self._rules = read_markers(items, self._kinds)

    def pytest_unconfigure(self) -> None:
        """Undo the hooks of a run that never came to its tests."""
        self._recorder.stop()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Watch from the first test to the last: what collection made is taken as given."""
        if session.config.option.collectonly:
            return (yield)
        self._start(session)
        try:
            return (yield)
        finally:
            self._finish()

    def _start(self, session: pytest.Session) -> None:
        trackers = make_trackers(self.config, self._early, self._extra)
        settings = engine_settings(self.config, trackers)
        if self.results.baseline is not None:
            settings = settings._replace(known=self.results.baseline.known)
        roots = {str(self.config.rootpath), str(self.config.invocation_params.dir)}
        roots.update({str(item.path.parent) for item in session.items[:1]})
        places = Places(roots, tool_files(self.config))
        files = {item.path for item in session.items}  # first, for all items of a file share one
        for folder in {str(file.parent) for file in files}:
            if not places.has_in_a_root(folder):
                places.add_root(folder)
        for tracker in trackers:
            if isinstance(tracker, ListenerTracker):
                declare_emitters(tracker, self.config)
            elif isinstance(tracker, UnclosedTracker):
                self._listen = tracker.listen
        self.checker = LeakChecker(trackers, settings, places=places, recorder=self._recorder)
        with self._recorder.mute():
            self._spare = SpareDescriptors()
        self.checker.before_looking = self._make_room
        self.checker.start()
        self._neighbours.attend(self.checker.settler, lambda: self._item)
        self._open, self._close_if_quiet = self.checker.open, self.checker.close_if_quiet
        self._session = self.checker.session
        self._session.value = lambda: waiting_finalizers(session, self._item)
        self._run_again_where_asked()
        self.results.blind_spots = [
            {"kind": kind, "why": why} for kind, why in self.checker.blind_spots
        ]

    def _make_room(self) -> None:
        assert self._spare is not None
        self._spare.give_if_short()
        if self._spare.is_given:
            self._open = self._open_with_room

    def _open_with_room(self, owner: Owner) -> None:
        """Take back before a test what the looking at one before it has needed."""
        assert self._spare is not None
        assert self.checker is not None
        with self._recorder.mute():
            self._spare.take()
        self._open = self.checker.open
        self._open(owner)

    def _run_again_where_asked(self) -> None:
        times, confirm = value_of(self.config, "repeat"), value_of(self.config, "confirm")
        if not times and not confirm:
            return
        from pytest_resource_hygiene.pytest_plugin.again import Confirmer, Repeater

        if times:
            self.config.pluginmanager.register(Repeater(self, times), "resource_hygiene_repeat")
        else:
            self.config.pluginmanager.register(Confirmer(self), "resource_hygiene_confirm")

    def _finish(self) -> None:
        checker = self.checker
        if checker is None:
            return
        if self._spare is not None:
            self._spare.give()
        try:
            self._add_late(checker.close(checker.session, everything=True))
        except Exception as error:  # noqa: BLE001 - ours, and said so
            self.results.fail(error, "at the end of the session")
        checker.stop()
        self._neighbours.finish()
        # Of a run that was cut short, pytest tears the wider fixtures down when all is reported.
        self._fixtures.clear()
        self.results.failures += [f"resource hygiene: {error}" for error in checker.failures]
        self.results.tests += checker.recorder.begins
        self.results.seconds = checker.seconds
        self.results.waited = checker.settler.waited
        self.results.collections = checker.settler.collections
        self.results.used_allowances = [str(one) for one in checker.used_allowances]
        self.results.unused_allowances = [
            str(one) for one in self._all_allowances() if one not in checker.used_allowances
        ]
        output = getattr(self.config, "workeroutput", None)
        if output is not None:
            output["resource_hygiene"] = self.results.to_worker_output()

    def _all_allowances(self) -> list[Any]:
        assert self.checker is not None
        own = dict.fromkeys(self.checker.settings.allowances)
        for rules in self._rules.values():
            own.update(dict.fromkeys(rules.allowances))
        return list(own)

    def _add_late(self, leaks: list[Leak]) -> None:
        """Take what nobody answers for any more; it fails the run only where strict asks for it."""
        strict = self.checker is not None and self.checker.settings.strict
        for leak in self.results.without_known(leaks):
            severity = leak.severity
            if severity == "fail" and not (strict and leak.kind == "unclosed"):
                severity = "note"
            self.results.late_failure |= severity == "fail"
            self.results.findings.append(
                {**replace(leak, severity=severity).to_dict(), "late": True}
            )

    # --- a test ---

    def has_run(self, nodeid: str) -> bool:
        """Return whether a test is the one that this process runs, or has run last."""
        return self._owner is not None and self._owner.nodeid == nodeid

    @property
    def _item(self) -> pytest.Item | None:
        return self._owner.item if self._owner is not None else None

    def _ended_item(self) -> pytest.Item | None:
        """Return the test that ran last, if its own end is over.

        A fixture with other params ends while the next test is set up, which needs its arguments.
        """
        return self._item if self._owner is not None and self._owner.closed else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Open the window of a test."""
        self._owner = owner = TestOwner(item)
        self._open(owner)
        self._listen()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Judge a test when its fixtures are gone; fail it if it leaked."""
        if nextitem is None or nextitem.parent is not item.parent:
            self._judge_before_wider_fixtures(item)
        try:
            result = yield
        except BaseException:
            self._judge_test()
            if self._leaks:
                self._conclude(item, failed=True)
            raise
        owner = self._owner
        if owner is not None and not self._close_if_quiet(owner, self._session):
            self._judge_at_length(owner)
        elif item.own_markers:
            self._read_late_markers(item)
        if self._leaks or (self._delivery is not None and self._delivery.has_more):
            self._conclude(item, failed=False)
        return result

    def _judge_before_wider_fixtures(self, item: Any) -> None:
        """Have the test judged between its own fixtures' teardown and that of wider ones.

        pytest tears all of them down in one hook. The item's finalizers run in reverse order, so
        one that is put before all others runs last.
        """
        stack = getattr(item.session._setupstate, "stack", {})  # noqa: SLF001
        if item in stack:
            with suppress(AttributeError, IndexError, TypeError):
                finalizers, error = stack[item]
                finalizers.insert(0, self._judge_test)
                if self._owner is not None and error is not None:
                    self._keep_error(error[0] if isinstance(error, tuple) else error)

    def _keep_error(self, error: BaseException) -> None:
        from pytest_resource_hygiene.pytest_plugin.letting_go import will_be_raised_again

        assert self._owner is not None
        self._owner.error = error
        definitions = [fixture.definition for fixture in self._fixtures]
        self._owner.error_stays = will_be_raised_again(error, definitions)

    def _judge_test(self) -> None:
        owner = self._owner
        if owner is not None and not self._close_if_quiet(owner, self._session):
            self._judge_at_length(owner)

    def _judge_at_length(self, owner: TestOwner) -> None:
        assert self.checker is not None
        began = _now()
        try:
            self._read_late_markers(owner.item)
            with self._neighbours.collecting():  # it also runs by itself, now that much is made
                self._leaks += self._close_by_rules(owner, self._rules.get(owner.item))
        except Exception as error:  # noqa: BLE001 - ours, and never the test's
            self.results.fail(error, f"judging {owner.nodeid}")
        finally:
            owner.closed = True  # whatever went wrong: once is enough
            put_back(self._item)
            self.checker.has_taken(_now() - began)

    def _read_late_markers(self, item: pytest.Item) -> None:
        """Read what was added since collection; a mistake in it is told in any case."""
        if names_ours(item) and has_late_markers(item, self._rules.get(item)):
            mistake = ""
            try:
                self._rules[item] = read_markers([item], self._kinds)[item]
            except pytest.UsageError as error:
                mistake = str(error)
            if mistake:  # without our own lines, which say nothing about it
                pytest.fail(mistake, pytrace=False)

    def _close_by_rules(self, owner: TestOwner, rules: ItemRules | None) -> list[Leak]:
        assert self.checker is not None
        if rules is None:
            return self.checker.close(owner)
        general = self.checker.settings
        if rules.mode == "off":
            rules = rules._replace(grace=0.0)  # nobody waits for what nobody is told
        self.checker.settings = general._replace(
            grace=general.grace if rules.grace is None else rules.grace,
            strict=general.strict if rules.strict is None else rules.strict,
        )
        try:
            return self.checker.close(owner, rules.allowances)
        finally:
            self.checker.settings = general

    def _conclude(self, item: pytest.Item, *, failed: bool) -> None:
        leaks, self._leaks = self._leaks, []
        self.delivery().conclude(item, leaks, failed=failed)

    def delivery(self) -> Delivery:
        """Return what delivers findings."""
        if self._delivery is None:
            from pytest_resource_hygiene.pytest_plugin.delivery import Delivery

            self._delivery = Delivery(self.results, self._rules.get)
        return self._delivery

    # --- a fixture ---

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: Any
    ) -> Generator[None, object, object]:
        """Give what a wider fixture makes to that fixture, and judge it when it is finished."""
        if fixturedef.scope == "function" or self.checker is None:
            return (yield)
        # A class-scoped fixture of a test without a class ends with that test, among its own.
        # So does one of which pytest takes the scope of a test's parameters for its own.
        if self._owner is not None and request.node is self._owner.item:
            self._owner.narrowed = (*self._owner.narrowed, fixturedef)
            return (yield)
        owner = fixture_owner(fixturedef, request, self.checker.nodeid, self._ended_item)
        # Whoever runs a test again whose setup has failed drops the finalizers of that setup.
        for earlier in [one for one in self._fixtures if one.definition is fixturedef]:
            del self._fixtures[earlier]
            self.checker.take_over(earlier, owner)
        self._fixtures[owner] = None
        # Before all others, so that it runs last: a hook for this end would be asked in every test.
        request.addfinalizer(lambda: self._judge_fixture(owner, request.node))
        with self.checker.setting_up(owner):
            try:
                return (yield)
            finally:
                owner.setup_ended()

    def _judge_fixture(self, owner: FixtureOwner, node: Any) -> None:
        """Judge a wider fixture after its own teardown."""
        if owner not in self._fixtures or self.checker is None:
            return
        del self._fixtures[owner]
        began = _now()
        try:
            rules = read_markers([node], self._kinds).get(node)  # of the module, or the class
            allowances = rules.allowances if rules is not None else ()
            self._leaks += self.checker.close_fixture(owner, allowances)
        except Exception as error:  # noqa: BLE001
            self.results.fail(error, f"judging {owner.info}")
        finally:
            put_back(self._item)
            self.checker.has_taken(_now() - began)


def _do_nothing(*_: object) -> None:
    """Stand for what comes with the first test."""


def _find_nothing(*_: object) -> bool:
    return True
