"""What a kind of resource has to be able to do: the class that every tracker extends."""

from __future__ import annotations

import weakref
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from types import CodeType

    from pytest_resource_hygiene.recorder import Creation, Recorder

__all__ = ["Captured", "Description", "IdentityKey", "Moment", "Tracker"]


class Moment:
    """One look at the process: what several trackers need is measured once in it."""

    def __init__(self) -> None:
        """Start with nothing measured."""
        self._cache: dict[object, Any] = {}

    def once(self, name: object, measure: Callable[[], Any]) -> Any:
        """Return ``measure()``, called at most once in this moment for that name."""
        try:
            return self._cache[name]
        except KeyError:
            value = self._cache[name] = measure()
            return value


class IdentityKey:
    """A key that is equal for the same object only, and keeps nothing alive.

    ``id()`` alone would be reused by the next object; the object itself may define ``__eq__``.
    """

    __slots__ = ("_id", "ref")

    def __init__(self, obj: object) -> None:
        """Refer to the object weakly."""
        self._id = id(obj)
        self.ref = weakref.ref(obj)

    def __hash__(self) -> int:
        return self._id

    def __eq__(self, other: object) -> bool:
        # An object has one plain weak reference, so this holds also when the object is gone.
        return isinstance(other, IdentityKey) and self.ref is other.ref


class Description(NamedTuple):
    """A resource in plain words; made for suspects only, never while measuring.

    Attributes:
        summary: one clause without numbers that change from run to run where that is possible.
        target: class, function, path or address; what ``match`` globs and fingerprints look at.
        details: JSON-safe facts.
        hint: one sentence: how to close it.
        present_stack: where a thread or task is now, outermost first, as printable lines.
    """

    summary: str
    target: str = ""
    details: Mapping[str, Any] = MappingProxyType({})
    hint: str = ""
    present_stack: tuple[str, ...] = ()


class Captured(NamedTuple):
    """A leak that a tracker caught in the act, because it is gone when the test is over.

    Attributes:
        key: identity, to report it once.
        value: whatever ``describe`` of the tracker understands.
        creation: how it was made, if that was seen.
        anchor: the Python object behind it, if any.
        severity: overrides that of the kind: a thing that was cleaned up after all is a note.
        change: how it differs from what was expected.
        waited: seconds already waited for it to go.
        description: made at once, where the thing will look different later.
        abandoned: nobody will end it; if it does not even exist when its owner is judged, that is
            a note.
        code: of what it runs, if it runs anything.
    """

    key: Hashable
    value: Any
    creation: Creation | None = None
    anchor: Any = None
    severity: Literal["fail", "note"] | None = None
    change: Literal["added", "replaced", "removed", "exceeded"] = "added"
    waited: float = 0.0
    description: Description | None = None
    abandoned: bool = False
    code: CodeType | None = None


class Tracker:
    """Lists the live resources of one kind.

    Only `list_resources` must be written; the rest makes a tracker cheaper or its findings better.

    Class attributes:
        kind: the plural noun that options, markers and reports use; equals the module's name.
        title: the singular, for sentences.
        severity: what a leak of this kind does by default: ``fail``, ``note`` or ``off``.
        slots: True if each key always has one value, so that a change is *replaced*, not added.
        removals: True if a key that vanishes is a change as well, for slots.
        settles: False if nothing of this kind goes by itself, so that waiting is in vain.
        senses: False if the kind is not worth asking once a test; its reading is then asked for
            whenever another kind has changed, and it is listed at the end of the run.
        lists_anew: True if `list_resources` returns the same object again only where nothing has
            changed, so that it need not be gone through; and makes nothing that is recorded.
        collectable: False if the garbage collector can never be what ends one.
        rank: in a group of things made by one call, the highest rank names the finding.
    """

    kind: ClassVar[str] = ""
    title: ClassVar[str] = ""
    severity: Literal["fail", "note", "off"] = "fail"
    slots: ClassVar[bool] = False
    removals: ClassVar[bool] = False
    senses: bool = True
    settles: ClassVar[bool] = True
    lists_anew: bool = False
    collectable: ClassVar[bool] = True
    rank: ClassVar[int] = 0

    def start(self, recorder: Recorder) -> None:
        """Ask the recorder for the events and wraps that this kind needs."""

    def stop(self) -> None:
        """Undo what `start` did beyond the recorder's own hooks."""

    def reading(self) -> object:
        """Return something cheap that changes whenever a resource may have been added.

        It is compared by ``==`` once a test, in the happy path: aim for less than 2 µs. The
        default never equals anything, so that `list_resources` is asked every time.
        """
        return object()

    def sensor(self) -> Callable[[], object]:
        """Return what is called for the reading: kinds that share a question return the same."""
        return self.reading

    def probes(self) -> Collection[Callable[[], object]]:
        """Return what has to be asked once a test because no event tells of it.

        As long as nothing is recorded that lasts (`Recorder.lasting`) and the answers equal the last
        ones, not even the reading is asked for. Functions written in C are best: they cost a tenth.
        The default is the reading itself. Asked again after each change of the reading.
        """
        return (self.sensor(),)

    def may_be_as_listed(self) -> bool:
        """Return False if a listing cannot be the last one again: then none is made to find out."""
        return True

    def list_resources(self, moment: Moment) -> Mapping[Hashable, Any]:
        """Return the live resources: an identity that survives reuse of numbers, and a handle."""
        raise NotImplementedError

    def forget(self) -> None:
        """Drop creation records that were not needed: everything listed so far is judged."""

    def creation(self, key: Hashable, value: Any) -> Creation | None:
        """Return how this resource was made, if it was seen."""
        return None

    def late_creation(self, key: Hashable, value: Any) -> Creation | None:
        """Return how a resource was made that another thread has told of since it was listed.

        Asked again for what is suspected and has no `creation`; no guess is wanted here.
        """
        return None

    def anchor(self, key: Hashable, value: Any) -> Any:
        """Return the Python object behind a resource, for finding who holds it; or None."""
        return None

    def kept_as(self, key: Hashable, value: Any) -> Any:
        """Return the object that a wider fixture's value leads to if the resource is the fixture's.

        Not the function that somebody calls: whoever calls it leads to it. But a bound method is its
        object's, if the list in which it hangs is one of the whole process.
        """
        return self.anchor(key, value) if self.settles else None

    def seat(self, key: Hashable) -> Hashable | None:
        """Return what stays the same if the resource is closed and opened again, e.g. its file.

        A connection of the whole session that is closed and opened again during a test takes its
        old seat, and is nobody's leak. None if there is no telling.
        """
        return None

    def ends(self, key: Hashable, value: Any) -> tuple[str, str] | None:
        """Return the addresses of both ends of a connection, the near one first; None for all else.

        What waits for connections has nothing at its far end.
        """
        return None

    def code(self, key: Hashable, value: Any) -> CodeType | None:
        """Return the code that the resource runs, if it runs any: a thread's target, a coroutine.

        What runs the user's code is the user's, whoever keeps it.
        """
        return None

    def assigned_as(self, key: Hashable, value: Any) -> str | None:
        """Return the name of the attribute to which it was assigned, if no event tells of that.

        The line is looked up in the code of the owner, if it has just one such line.
        """
        return None

    def called_as(self, key: Hashable, value: Any) -> Collection[str]:
        """Return the names by which it is made, where neither an event nor a wrapper tells of that.

        The line is looked up in the code of the owner, if only one of its functions has such a name.
        """
        return ()

    def kept_in(self, key: Hashable, value: Any) -> str | None:
        """Return the name of the module for which a list of the whole process keeps this.

        For what hangs in such a list no reference tells whose it is: everything that refers to the
        list would. ``""`` for what nobody can be named for; None to follow references.
        """
        return None

    def describe(self, key: Hashable, value: Any, old: Any = None) -> Description:
        """Put the resource in words; ``old`` is the value that it replaced, for slots."""
        return Description(summary=f"{self.title or self.kind} {key}")

    def drain(self) -> Collection[Captured]:
        """Return, once, what was caught since the last call."""
        return ()

    def pause(self, keys: Collection[Hashable], seconds: float) -> bool:
        """Let time pass for these suspects; return False to have the caller just sleep."""
        return False

    def restore(self, key: Hashable, value: Any, old: Any) -> bool:
        """Put a reported slot back to ``old``; return whether that was done."""
        return False

    def is_ours(self, key: Hashable, value: Any) -> bool:
        """Return whether the test runner or this package made it, as only the kind can know."""
        return False

    def is_default(self, key: Hashable, value: Any) -> bool:
        """Return whether a slot holds what it holds in a fresh interpreter: nobody listens."""
        return False

    def blind_spot(self) -> str | None:
        """Say what this kind cannot see on this machine, or None."""
        return None

    def specimen(self) -> AbstractContextManager[object] | None:
        """Return a context that makes one resource and removes it, or None if that must not be.

        The canary uses it at start to prove that the kind can see.
        """
        return None

    def iter_limits(self) -> Iterator[tuple[str, str, int, Creation | None]]:
        """Yield emitter, event, number of listeners and the creation of the newest one."""
        return iter(())
