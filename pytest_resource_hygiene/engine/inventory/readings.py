"""Asks whether anything can have been added since it was last asked: the whole happy path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_resource_hygiene.engine.inventory.entries import same
from pytest_resource_hygiene.quiet import Quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_resource_hygiene.engine.inventory.entries import Shelf
    from pytest_resource_hygiene.recorder import Recorder
    from pytest_resource_hygiene.tracker import Tracker

__all__ = ["Readings"]


class Readings:
    """The last readings of all kinds, and what has to be asked for the next.

    Args:
        shelves: those of all kinds; one whose tracker raises is broken from then on.
        recorder: whose pulse says whether anything was recorded.
        report: is told of a tracker that raises, and at what.

    Attributes:
        changed: the shelves whose reading was another when it was last asked for.
        quiet: tells whether any has to be asked for.
    """

    def __init__(
        self,
        shelves: Iterable[Shelf],
        recorder: Recorder,
        report: Callable[[Tracker, str, Exception], None],
    ) -> None:
        """Have no reading yet: nothing is quiet at first."""
        self.changed: list[Shelf] = []
        self._report = report
        # The first kind of those that share a question speaks for all.
        self._chosen: dict[Tracker, tuple[Callable[[], object], ...]] = {}
        # Kinds that ask the same question share one answer a test.
        sensors: dict[Callable[[], object], list[Shelf]] = {}
        late: list[tuple[Callable[[], object], list[Shelf]]] = []
        for shelf in shelves:
            sensor = self._sensor_of(shelf)
            if shelf.tracker.senses:
                sensors.setdefault(sensor, []).append(shelf)
            else:
                late.append((sensor, [shelf]))
        self._asked = _Questions(sensors.items(), self.give_up)
        self._asked_late = _Questions(late, self.give_up)
        for one, *_ in self._asked.shelves:
            if not one.broken:
                self._chosen[one.tracker] = ()
        self.quiet = Quiet(recorder, recorder.passing)

    def _sensor_of(self, shelf: Shelf) -> Callable[[], object]:
        try:
            return shelf.tracker.sensor()
        except Exception as error:  # noqa: BLE001 - a tracker may be anybody's
            self.give_up([shelf], "choosing its sensor", error)
            return object

    def is_quiet(self) -> bool:
        """Return whether nothing can have been added since the last call."""
        if self.quiet():
            if self.changed:
                self.changed = []
            return True
        # What comes meanwhile is news for the next call. If something was recorded no probe was
        # asked, for the readings tell the same, and the last answers will do.
        self.changed = self._read()
        return not self.changed

    def give_up(self, shelves: Iterable[Shelf], action: str, error: Exception) -> None:
        """Ask no more for kinds whose tracker raised at that action."""
        for shelf in shelves:
            if not shelf.broken:
                shelf.broken = True
                if self._chosen.pop(shelf.tracker, None):
                    self._gather_probes()
                self._report(shelf.tracker, action, error)

    def _read(self) -> list[Shelf]:
        """Return the shelves whose reading differs from the last."""
        changed = self._asked.changed()
        if changed:
            self._choose_probes(changed)
            changed += self._asked_late.changed()
        return [shelf for shelf in changed if not shelf.broken]

    def _choose_probes(self, changed: list[Shelf]) -> None:
        """Ask the kinds that have changed what has to be asked once a test from now on."""
        for tracker in [shelf.tracker for shelf in changed if shelf.tracker in self._chosen]:
            try:
                self._chosen[tracker] = tuple(tracker.probes())
            except Exception as error:  # noqa: BLE001
                self._chosen[tracker] = ()
                self._report(tracker, "choosing its probes", error)
        self._gather_probes()

    def _gather_probes(self) -> None:
        self.quiet.ask_for([probe for probes in self._chosen.values() for probe in probes])


class _Questions:
    """Sensors, the kinds that each is for, and the last readings."""

    def __init__(
        self,
        sensors: Iterable[tuple[Callable[[], object], list[Shelf]]],
        give_up: Callable[[Iterable[Shelf], str, Exception], None],
    ) -> None:
        pairs = list(sensors)
        self._sensors = [sensor for sensor, _ in pairs]
        self.shelves = [shelves for _, shelves in pairs]
        self._readings: list[object] = [object() for _ in pairs]  # which no sensor ever returns
        self._give_up = give_up

    def changed(self) -> list[Shelf]:
        """Ask all of them; return the kinds whose reading is not the last one."""
        before = self._readings
        try:
            readings = [sensor() for sensor in self._sensors]
            if readings == before:
                return []
            pairs = zip(readings, before, self.shelves, strict=True)
            changed = [shelves for reading, former, shelves in pairs if reading != former]
        except Exception:  # noqa: BLE001 - a tracker may be anybody's: now find out whose
            readings, changed = self._one_by_one()
        self._readings = readings
        return [shelf for shelves in changed for shelf in shelves]

    def _one_by_one(self) -> tuple[list[object], list[list[Shelf]]]:
        readings, changed = list(self._readings), []
        for at, (sensor, shelves) in enumerate(zip(self._sensors, self.shelves, strict=True)):
            try:
                readings[at] = sensor()
            except Exception as error:  # noqa: BLE001
                self._give_up(shelves, "reading", error)
                continue
            if not same(readings[at], self._readings[at]):
                changed.append(shelves)
        return readings, changed
