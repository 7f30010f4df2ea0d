"""Makes one resource of each kind, checks that it is seen, and removes it.

A check that has silently become a no-op is worse than none: it says "clean".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_resource_hygiene.tracker import Moment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_resource_hygiene.tracker import Tracker

__all__ = ["UNSEEN", "blind_spots", "means_blind", "words_of_failure"]

_CANARY = "the canary "  # so begin the reasons that mean: nothing of this kind is seen
UNSEEN = f"{_CANARY}was not seen: leaks of this kind go unnoticed here"


def blind_spots(trackers: Iterable[Tracker]) -> list[tuple[str, str]]:
    """Return kinds that cannot see, or not everything, on this machine, each with the reason."""
    spots = []
    for tracker in trackers:
        spots += [(tracker.kind, why) for why in (_known(tracker), _try(tracker)) if why]
    return spots


def means_blind(why: str) -> bool:
    """Tell whether a reason says that a kind sees nothing at all, rather than not everything.

    It travels as text: from the workers of xdist, and in the JSON document.
    """
    return why.startswith(_CANARY)


def words_of_failure(error: BaseException) -> str:
    """Return the reason for a kind whose canary could not be made or looked for."""
    return f"{_CANARY}failed: {type(error).__name__}: {error}"


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
        return words_of_failure(error)
    return None if seen else UNSEEN
