"""Makes one resource of each kind, checks that it is seen, and removes it.

A check that has silently become a no-op is worse than none: it says "clean".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_resource_hygiene.tracker import Moment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_resource_hygiene.tracker import Tracker

__all__ = ["blind_spots"]


def blind_spots(trackers: Iterable[Tracker]) -> list[tuple[str, str]]:
    """Return kinds that cannot see, or not everything, on this machine, each with the reason."""
    spots = []
    for tracker in trackers:
        spots += [(tracker.kind, why) for why in (_known(tracker), _try(tracker)) if why]
    return spots


def _known(tracker: Tracker) -> str | None:
    try:
        return tracker.blind_spot()
    except Exception as error:  # noqa: BLE001 - a tracker may be anybody's
        return f"it cannot say what it does not see: {type(error).__name__}: {error}"


def _try(tracker: Tracker) -> str | None:
    try:
        specimen = tracker.specimen()
        if specimen is None:
            return None
        before = dict(tracker.list_resources(Moment()))
        with specimen:
            during = tracker.list_resources(Moment())
            seen = any(
                key not in before or (tracker.slots and before[key] is not value)
                for key, value in during.items()
            )
        tracker.forget()
    except Exception as error:  # noqa: BLE001 - whatever it is, the kind is blind
        return f"the canary failed: {type(error).__name__}: {error}"
    return None if seen else "the canary was not seen: leaks of this kind go unnoticed here"
