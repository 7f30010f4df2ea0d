"""Turns judged groups into `Leak` records: the words, the origin, the holder, the fingerprint."""

from __future__ import annotations

import inspect
from types import CodeType
from typing import TYPE_CHECKING, Any, Literal, cast

from pytest_resource_hygiene.engine.known.fingerprint import fingerprint, place_words, relative
from pytest_resource_hygiene.engine.origins.assignments import (
    Mention,
    assignment_in,
    call_in,
)
from pytest_resource_hygiene.engine.references.holders import MAX_DEPTH, find_holder
from pytest_resource_hygiene.engine.suspects.hints import hint_of_maker
from pytest_resource_hygiene.engine.suspects.settle import describe
from pytest_resource_hygiene.leak import Leak
from pytest_resource_hygiene.model import Origin, OwnerInfo
from pytest_resource_hygiene.objects import attribute_of, is_a, is_within
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.engine.inventory.ledger import Ledger
    from pytest_resource_hygiene.engine.inventory.owners import Owner
    from pytest_resource_hygiene.engine.known.baseline import Baseline
    from pytest_resource_hygiene.engine.origins.stacks import StackReader
    from pytest_resource_hygiene.engine.suspects.groups import Group
    from pytest_resource_hygiene.model import Severity
    from pytest_resource_hygiene.recorder import Creation

__all__ = ["FindingWriter"]

_MAX_PARTS = 10
_HINT_OF_C = (
    "nobody in Python saw it opened: close() the object of the extension module that owns it, "
    "or close it with os.close() if it is your own"
)
_FAR = 20  # references from a socket up to a module whose object has a session of `requests`
_TIME_FOR_FAR = 2.0  # seconds; each step up takes some 20 ms
_MAX_HOLDER_SEARCHES = 50  # each walks the heap a few times


class FindingWriter:
    """Writes findings.

    Args:
        ledger: to describe what is not described yet.
        reader: reads creation records.
        root: the project's folder.
    """

    def __init__(self, ledger: Ledger, reader: StackReader, root: str) -> None:
        """Have searched for nobody's holder yet."""
        self._ledger = ledger
        self._reader = reader
        self._root = root
        self._holders: dict[str, tuple[str, ...]] = {}
        self._searched = 0.0

    def write(self, group: Group, window: Owner, nodeid: str) -> Leak:
        """Make the record of one group.

        Args:
            group: judged; its first entry names it.
            window: the owner that is being closed.
            nodeid: the test being torn down.
        """
        primary = group.primary
        words = describe(primary, self._ledger)
        owner = primary.owner or window
        info = self._blame(primary, owner)
        if group.module is not None:
            info = OwnerInfo("module", relative(group.module, self._root), "session")
        origin = self.origin(primary, owner)
        mark = fingerprint(
            primary.tracker.kind, primary.change, info, origin, words.target, self._root
        )
        details = dict(words.details)
        if group.why:
            details["why"] = group.why
        return Leak(
            kind=primary.tracker.kind,
            severity=cast("Severity", group.severity),
            change=primary.change,
            count=_count(group),
            summary=words.summary,
            details=details,
            nodeid=nodeid,
            made_during=primary.made_during or owner.nodeid or nodeid,
            owner=info,
            origin=origin and origin._replace(file=relative(origin.file, self._root)),
            stack=tuple(
                frame._replace(file=relative(frame.file, self._root))
                for frame in self._reader.frames(primary.creation)
            ),
            held_by=self._held_by(group, mark),
            present_stack=tuple(relative(line, self._root) for line in words.present_stack),
            waited_seconds=primary.waited,
            hint=self._hint_of_c(primary) or hint_of_maker(group) or words.hint,
            fingerprint=mark,
            parts=self._parts(group),
        )

    def _hint_of_c(self, entry: Entry) -> str:
        """Return what to do about what C code seems to have made: nothing of Python's has it."""
        # Nobody is ever seen to open an epoll; whoever has it, closes it.
        is_epoll = describe(entry, self._ledger).details.get("form") == "eventpoll"
        if is_epoll or not _is_made_in_c(entry) or self._ledger.anchor_of(entry) is not None:
            return ""
        return _HINT_OF_C

    def _blame(self, entry: Entry, owner: Owner) -> OwnerInfo:
        """Return the owner, or which of the fixtures that answer within it has made something."""
        if entry.creation is not None:
            parts = owner.parts()
            maker: Creation | None = entry.creation
            while maker is not None:
                codes = maker.stack[::2]
                # A finalizer is written within its fixture; so is what the test itself may call.
                outer = parts if owner.code not in codes else ()
                for code in codes:
                    if code in parts:
                        return parts[code]
                    around = next((one for one in outer if is_within(code, one)), None)
                    if around is not None:
                        return parts[around]
                    if owner.code is not None and is_within(code, owner.code):
                        return owner.info  # though it ran in a thread that a fixture has started
                maker = maker.parent
            return owner.info
        named = self._mention(entry, owner)
        return owner.parts().get(named.within, owner.info) if named else owner.info

    def is_known(self, entry: Entry, owner: Owner, known: Baseline) -> bool:
        """Return whether a baseline has such a leak of this owner, made by this line."""
        origin = self.origin(entry, owner)
        if origin is None:
            return False
        made = place_words(relative(origin.file, self._root), origin.function)
        return known.expects(entry.tracker.kind, made, origin.text, self._blame(entry, owner))

    def origin(self, entry: Entry, owner: Owner) -> Origin | None:
        """Return where it was made; concluded from the thing or its owner if nobody saw it."""
        recorded = self._reader.origin(entry.creation)
        if recorded is not None and self._is_runners(entry.creation):
            recorded = None
        if recorded is not None and not self._reader.is_posted(entry.creation):
            written = owner.written_at(recorded.file, recorded.line)
            return recorded if written is None else _at(*written, recorded.source)
        named = self._mention(entry, owner) if recorded is None else None
        if named is not None:
            return _at(*named.place, "inferred")
        # What has a number is no function that is written somewhere, and is dear to find.
        anchor = self._ledger.anchor_of(entry) if type(entry.value) is not int else None
        place = _place_of(anchor)
        if place is None or self._reader.places.of(place[0]) != "user":
            place = owner.place() or place
        if place is None:
            return None
        return _at(*place, "inferred")

    def _mention(self, entry: Entry, owner: Owner) -> Mention | None:
        """Return the line of the owner's that names what it has assigned, or called."""
        name = self._ledger.assigned_as(entry)
        names = self._ledger.called_as(entry) if name is None else ()
        if name is None and not names:
            return None
        own = {*owner.codes, *owner.parts()}
        if owner.code is not None:
            own.add(owner.code)
        return call_in(own, names) if name is None else assignment_in(own, name)

    def _is_runners(self, creation: Creation | None) -> bool:
        """Return whether all that is known is who ran the user's code when the thing was dropped.

        The locals of a test's method are dropped with its frame: `unittest` is left on the stack.
        """
        if creation is None or creation.certain:
            return False
        places = {place for _, _, place in self._reader.sorted(creation)}
        return self._reader.user_frame(creation) is None and places <= {"stdlib", "frozen", "own"}

    def _parts(self, group: Group) -> tuple[str, ...]:
        parts = []
        for entry in group.entries[1 : _MAX_PARTS + 1]:
            describe(entry, self._ledger)
            if entry.description is not None:
                parts.append(entry.description.summary)
        return tuple(parts)

    def _held_by(self, group: Group, mark: str) -> tuple[str, ...]:
        if group.holder is not None:
            return group.holder.path
        if group.severity != "fail" or group.primary.tracker.slots:
            return ()
        if mark not in self._holders and len(self._holders) < _MAX_HOLDER_SEARCHES:
            anchor = self._ledger.anchor_of(group.primary)
            began = System.perf_counter()
            far = _FAR if self._searched < _TIME_FOR_FAR else MAX_DEPTH
            with self._ledger.recorder.mute():
                holder = find_holder(anchor, max_depth=far) if anchor is not None else None
            self._searched += System.perf_counter() - began
            self._holders[mark] = holder.path if holder is not None else ()
        return self._holders.get(mark, ())


def _at(file: str, line: int, function: str, source: Literal["recorded", "inferred"]) -> Origin:
    return Origin(file, line, function, source, System.getline(file, line).strip())


def _is_made_in_c(entry: Entry) -> bool:
    return entry.creation is None and entry.tracker.kind == "fds" and entry.change == "added"


def _count(group: Group) -> int:
    kind, form = group.primary.tracker.kind, type(group.primary.key)
    return sum(
        1 for entry in group.entries if entry.tracker.kind == kind and type(entry.key) is form
    )


def _place_of(function: Any) -> tuple[str, int, str] | None:
    """Return where a function (or a partial, method or handle around one) is written."""
    for name in ("_callback", "func", "__func__"):
        function = attribute_of(function, name, function)
    try:
        function = inspect.unwrap(function)
    except Exception:  # noqa: BLE001 - it wraps itself, or raises when it is asked what it wraps
        return None
    code = attribute_of(function, "__code__")
    return (code.co_filename, code.co_firstlineno, code.co_name) if is_a(code, CodeType) else None
