"""Which opening a descriptor came from: the kernel tells its path, the events told many paths.

A loop leaves thousands of records of one place and one path; each is asked about once.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.positions import are_one_place, is_entered
from pytest_resource_hygiene.recorder import Creation
from pytest_resource_hygiene.system import System
from pytest_resource_hygiene.trackers._young_records import YoungRecords

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from pytest_resource_hygiene.recorder import Recorder

__all__ = ["Fits", "OpenedFiles", "target_of"]

_PROC = "/proc/self/fd"
_MAX_RECORDS = 20_000
_MAX_STATUSES = 1_000
_NOTHING = object()
_NAMED, _NEAR = "NamedTemporaryFile", 3  # a function of tempfile, and how near it is to its `open`
_MKSTEMP = "_mkstemp_inner"  # of `tempfile`, innermost where it opens the file

Fits = Callable[[Any, str], bool]  # whether a recorded path is what a descriptor points to


class OpenedFiles:
    """Records of openings by name.

    Args:
        recorder: knows whose frames are whose.
        new_numbers: returns the descriptors of a file that the last listing had anew.

    Attributes:
        records: `Site` tuples, the path last; the oldest are dropped.
    """

    def __init__(self, recorder: Recorder, new_numbers: Callable[[Hashable], list[int]]) -> None:
        """Begin without records."""
        self.records: deque[Any] = deque(maxlen=_MAX_RECORDS)
        self._recorder = recorder
        self._new_numbers = new_numbers
        self._young = YoungRecords()
        # Made when first asked: with ten thousand new descriptors, comparing all with all takes
        # minutes.
        self._indexed = -1
        self._by_name: dict[str, list[Any]] = {}
        self._by_inode: dict[tuple[int, int], list[Any]] = {}
        self._likely: dict[str, list[Any]] = {}
        self._found: dict[str, Creation | None] = {}
        self._of_file: dict[Hashable, Creation] = {}
        self._ordered: dict[Hashable, dict[int, Creation]] = {}

    def forget(self) -> None:
        """Drop the records, but for what another thread is about to open."""
        self._young.drop_others(self.records, len(self.records))
        self._drop_index()

    def known_opening(self, file: Hashable) -> Creation | None:
        """Return the opening of a file, if it was found before for a descriptor of the same.

        Of thousands that point to one file only the first is asked for its name.
        """
        if self._indexed != len(self.records):
            return None  # what was found before is found anew
        return self._of_file.get(file)

    def opening(
        self, fd: int, file: Hashable, fits: Fits, object_of: Callable[[int], object]
    ) -> Creation | None:
        """Return the latest opening of a file by name, uncertain if several places have opened it.

        Args:
            fd: the descriptor.
            file: what it points to, as the kernel identifies it.
            fits: decides whether a recorded path is that target.
            object_of: returns the file object that has a descriptor, or None.
        """
        self._index()
        in_order = self._in_order(fd, file, fits)
        if fd in in_order:
            return in_order[fd]
        bare = self._opening_of_bare(fd, fits, object_of)
        if bare is not None:
            return bare
        known = self.opening_of_name(target_of(fd), fits)
        if known is not None and not in_order and _has_one_name(fd):
            self._of_file[file] = known
        return known

    def opening_of_name(self, target: str, fits: Fits) -> Creation | None:
        """Return the latest opening that fits what a descriptor points to."""
        likely = self._likely_openings(target, fits)
        if target not in self._found:
            self._found[target] = _latest(likely)
        return self._found[target]

    def opening_by_inode(self, device: int, inode: int, target: str) -> Creation | None:
        """Return the opening of a file by another path than its own: a link, ``.``, a folder.

        A temporary file without a name is opened by its folder (``O_TMPFILE``).
        """
        self._index()
        if not self._by_inode:
            for record in list(self.records)[-_MAX_STATUSES:]:
                with suppress(OSError, ValueError, TypeError):
                    status = System.stat(record[4])
                    place = status.st_dev, status.st_ino
                    self._by_inode.setdefault(place, []).append(record)
        folder, name = os.path.split(target)
        with suppress(OSError):
            if name.startswith("#") and name.endswith(" (deleted)"):
                status = System.stat(folder)
                device, inode = status.st_dev, status.st_ino
                opened = self._by_inode.get((device, inode), [])
                return _latest(self._ours(_without_names(opened)))
        return _latest(self._ours(self._by_inode.get((device, inode), [])))

    def opening_of_moved(self, path: object) -> Creation | None:
        """Return the opening of a file that has another path by now.

        Args:
            path: by which its object was opened; None if it has no object.
        """
        if path is not None:
            return _latest(self._ours([one for one in list(self.records) if one[4] == path]))
        found = _latest(self._ours([one for one in list(self.records) if _is_gone(one[4])]))
        return found._replace(certain=False) if found is not None and found.certain else None

    def _opening_of_bare(
        self, fd: int, fits: Fits, object_of: Callable[[int], object]
    ) -> Creation | None:
        """Return the call of ``mkstemp`` that made a file, if a descriptor has no file object.

        Whatever opens the file by its name afterwards, mostly has one.
        """
        likely = self._likely_openings(target_of(fd), fits)
        bare = [one for one in likely if one[0] and one[0][0].co_name == _MKSTEMP]
        if not bare or len(bare) == len(likely) or object_of(fd) is not None:
            return None
        return Creation(*bare[-1])._replace(certain=False)

    def _in_order(self, fd: int, file: Hashable, fits: Fits) -> dict[int, Creation]:
        """Return the openings of several new descriptors of one file, if all are still open.

        They were opened in the order of their numbers, unless a lower one became free meanwhile.
        """
        ordered = self._ordered.get(file)
        if ordered is None:
            ordered = self._put_in_order(fd, file, fits)
            # Only now, for what a server's thread has opened meanwhile has the index made anew.
            self._ordered[file] = ordered
        return ordered

    def _put_in_order(self, fd: int, file: Hashable, fits: Fits) -> dict[int, Creation]:
        likely = self._likely_openings(target_of(fd), fits)
        if len(likely) < 2 or _are_one_place(likely):
            return {}  # whichever it was
        numbers = sorted(self._new_numbers(file))
        if len(numbers) < 2 or len(likely) < len(numbers):
            return {}
        left_open = _left_open(likely)
        if len(left_open) != len(numbers) or _are_one_place(left_open):
            return {}
        made = [Creation(*record)._replace(certain=False) for record in left_open]
        return dict(zip(numbers, made, strict=True))

    def _likely_openings(self, target: str, fits: Fits) -> list[Any]:
        """Return, in order, the records of a target without those of the runner."""
        self._index()
        if target not in self._likely:
            # One of before, which was kept in case that its file comes late, has had its file.
            opened = self._young.without_kept(self._opened_as(target))
            paths = _distinct(one[4] for one in opened)
            fitting = {number for number, path in paths.items() if fits(path, target)}
            if len(fitting) < len(paths):
                opened = [one for one in opened if id(one[4]) in fitting]
            self._likely[target] = self._ours(opened)
        return self._likely[target]

    def _ours(self, records: list[Any]) -> list[Any]:
        """Leave out what the runner opened, if that is not all.

        It opens test files, too, to show the lines of a traceback; it closes them.
        """
        last: Any = (_NOTHING,) * 5
        made: dict[tuple[int, int], Creation] = {}
        for record in records:
            if record[0] is not last[0] or record[3] is not last[3]:
                made[id(record[0]), id(record[3])] = Creation(*record)
            last = record
        ours = {key for key, one in made.items() if not self._recorder.is_foreign(one)}
        ours = {key for key in ours if self._recorder.is_by_user(made[key])} or ours or set(made)
        if len(ours) == len(made):
            return records
        return [one for one in records if (id(one[0]), id(one[3])) in ours]

    # --- the index ---

    def _drop_index(self) -> None:
        self._indexed = -1
        self._by_name, self._by_inode = {}, {}
        self._likely, self._found = {}, {}
        self._of_file, self._ordered = {}, {}

    def _index(self) -> None:
        """Sort the records by the last part of their paths, unless that was done."""
        if self._indexed == len(self.records):
            return
        self._drop_index()
        records = list(self.records)  # to which other threads may add at any time
        self._indexed = len(records)
        path, name = None, ""
        for record in records:
            if record[4] is not path:
                path = record[4]
                name = _last_component(path)
            self._by_name.setdefault(name, []).append(record)

    def _opened_as(self, target: str) -> list[Any]:
        name = _last_component(target.removesuffix(" (deleted)"))
        stem = name.rpartition("-")[0]  # SQLite keeps its journal beside the file it was given
        return self._by_name.get(name, []) + (self._by_name.get(stem, []) if stem else [])


def target_of(fd: int) -> str:
    """Return what a descriptor points to, in the kernel's words; nothing where it does not tell."""
    try:
        return System.readlink(f"{_PROC}/{fd}")
    except OSError:
        return ""


def _without_names(records: list[Any]) -> list[Any]:
    """Leave out what has opened its folder to make a file with a name in it, if that is not all."""
    left = [
        one for one in records if all(code.co_name != _NAMED for code in one[0][: 2 * _NEAR : 2])
    ]
    return left or records


def _latest(records: list[Any]) -> Creation | None:
    if not records:
        return None
    left = _left_open(records)
    return Creation(*left[-1])._replace(certain=_are_one_place(left))


def _left_open(records: list[Any]) -> list[Any]:
    """Leave out what a `with` statement has closed, if that is not all."""
    stacks = _distinct(one[0] for one in records)
    left = {number for number, stack in stacks.items() if not is_entered(stack)}
    if len(left) in {0, len(stacks)}:
        return records
    return [one for one in records if id(one[0]) in left]


def _are_one_place(records: Iterable[Any]) -> bool:
    return are_one_place(list(_distinct(record[0] for record in records).values()))


def _distinct(things: Iterable[Any]) -> dict[int, Any]:
    """Return each object once, by its id.

    Thousands in a row are one: a loop that opens makes one stack. Each call of ``id`` is an audit
    event, and costs four times as much as a look.
    """
    last: Any = _NOTHING
    found: dict[int, Any] = {}
    for thing in things:
        if thing is not last:
            found[id(thing)] = last = thing
    return found


def _has_one_name(fd: int) -> bool:
    try:
        return System.fstat(fd).st_nlink == 1
    except OSError:
        return False


def _last_component(path: Any) -> str:
    try:
        return os.fsdecode(path).rstrip("/").rpartition("/")[2]
    except TypeError:
        return ""


def _is_gone(path: Any) -> bool:
    try:
        System.stat(path)
    except FileNotFoundError:
        return True
    except (OSError, ValueError, TypeError):
        return False
    return False
