"""The list of known leaks, kept in a file that can only shrink.

One entry stands for one leak: one kind, made by one line, for one test or fixture (its fingerprint).
How often it occurs is not part of it. The number varies with parameters, with the workers of xdist
(each has its own session fixtures) and with the threads that a pool happens to start, and a ratchet
that turns red by chance is switched off.

The file is JSON Lines: a header, then one entry a line, sorted by the owner's name. Git merges such
a file line by line, and a reviewer reads what a diff of it says.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pytest_resource_hygiene.engine.known.fingerprint import place_words, without_parameters
from pytest_resource_hygiene.errors import SettingsError
from pytest_resource_hygiene.whole_files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from pytest_resource_hygiene.model import OwnerInfo

__all__ = ["Baseline", "KnownLeak", "known_leak"]

_SCHEMA = "resource-hygiene-baseline/1"
_ABOUT = "Known leaks. Remove lines, or have them removed; never add one by hand."
_FINGERPRINT = re.compile(r"[0-9a-f]{16,64}")
_CONFLICT = re.compile(rb"^(?:<{7}|={7}|>{7}|\|{7})(?: |$)", re.MULTILINE)
_VARYING = re.compile(r"0x[0-9a-fA-F]+|\d+")
_REQUIRED = ("name", "owner", "scope", "kind", "summary", "fingerprint")
_OPTIONAL = ("made", "line", "reason", "issue", "defined")


class KnownLeak(NamedTuple):
    """One entry.

    Attributes:
        name: the test without parameters, or the fixture, module or session that answers.
        owner: ``test``, ``fixture``, ``module`` or ``session``.
        scope: as in a finding.
        kind: e.g. ``sockets``.
        made: file and function of the making line; empty if unknown.
        line: the text of that line; empty if unknown.
        summary: the resource, with ``N`` for numbers.
        fingerprint: what is compared; all else is for those who read the file.
        reason: why it stays, if somebody wrote that down.
        issue: where it is tracked, if somebody wrote that down.
        defined: the file that defines the fixture; empty if the owner is none.
    """

    name: str
    owner: str
    scope: str
    kind: str
    made: str
    line: str
    summary: str
    fingerprint: str
    reason: str = ""
    issue: str = ""
    defined: str = ""

    def to_line(self) -> str:
        """Return the line of the file, without its end."""
        return json.dumps({k: v for k, v in self._asdict().items() if v}, ensure_ascii=False)

    def __str__(self) -> str:
        """Say in one line which leak it is."""
        where = f", made in {self.made}" if self.made else ""
        defined = f" of {self.defined}" if self.defined else ""
        return f"{self.kind}: {self.summary} ({self.owner} {self.name}{defined}{where})"

    @property
    def file(self) -> str:
        """The file of the making line, relative to the project; empty if unknown."""
        return self.made.rpartition(" in ")[0]


def known_leak(finding: Mapping[str, Any], root: str) -> KnownLeak:
    """Make the entry of a finding (a dict as `Leak.to_dict` makes it), with paths below ``root``."""
    origin, owner = finding["origin"], finding["owner"]
    return KnownLeak(
        name=without_parameters(owner["name"]),
        owner=owner["type"],
        scope=owner["scope"],
        kind=finding["kind"],
        made=place_words(origin["file"], origin["function"]) if origin else "",
        line=finding["details"].get("source_line", ""),
        summary=_VARYING.sub("N", finding["summary"].replace(f"{root}/", "")),
        fingerprint=finding["fingerprint"],
        defined=finding["details"].get("owner_location", "").rpartition(":")[0],
    )


class Baseline:
    """The entries of a file.

    Args:
        entries: in any order; of two with one fingerprint the first stays.
    """

    def __init__(self, entries: Iterable[KnownLeak] = ()) -> None:
        """Take the entries."""
        self._entries: dict[str, KnownLeak] = {}
        for entry in entries:
            self._entries.setdefault(entry.fingerprint, entry)
        self._places = {
            (one.kind, one.made, one.line, one.owner, one.name, one.defined)
            for one in self._entries.values()
        }

    def __iter__(self) -> Iterator[KnownLeak]:
        return iter(sorted(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, fingerprint: str) -> KnownLeak | None:
        """Return the entry of that fingerprint, or None."""
        return self._entries.get(fingerprint)

    def expects(self, kind: str, made: str, line: str, owner: OwnerInfo) -> bool:
        """Return whether such a leak is known, by what can be said of it before anybody waits.

        Args:
            kind: of the resource.
            made: file and function of the making line, as in an entry.
            line: the text of that line.
            owner: who answers for it.
        """
        name, defined = without_parameters(owner.name), owner.location.rpartition(":")[0]
        return (kind, made, line, owner.type, name, defined) in self._places

    def with_entries(self, entries: Iterable[KnownLeak]) -> Self:
        """Return a baseline with more entries; those that are there keep their words."""
        return type(self)([*self._entries.values(), *entries])

    def without(self, entries: Iterable[KnownLeak]) -> Self:
        """Return a baseline with fewer entries."""
        gone = {entry.fingerprint for entry in entries}
        return type(self)(one for one in self._entries.values() if one.fingerprint not in gone)

    # --- the file ---

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file.

        Raises:
            FileNotFoundError: there is none.
            SettingsError: it is no baseline, or damaged; says in which line.
        """
        try:
            data = path.read_bytes()
            text = data.decode("utf-8")
        except FileNotFoundError:
            raise
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise SettingsError(f"{path}: cannot be read as a baseline: {reason}.") from None
        if _CONFLICT.search(data):
            raise SettingsError(
                f"{path}: holds marks of a merge conflict. Keep the lines of both sides, remove the "
                "marks, and run with --resource-hygiene-prune-baseline."
            )
        lines = text.split("\n")  # not splitlines: names may hold other line ends
        _check_header(path, lines)
        return cls(
            _parse(path, number, line)
            for number, line in enumerate(lines, 1)
            if line.strip() and not _is_header(line)
        )

    def write(self, path: Path) -> None:
        """Write the file whole or not at all: sorted, in UTF-8, through a link if it is one.

        Raises:
            OSError: it cannot be written; what was there is untouched.
        """
        header = json.dumps({"schema": _SCHEMA, "about": _ABOUT})
        text = "".join(f"{line}\n" for line in (header, *(entry.to_line() for entry in self)))
        write_whole(path, text)


def _schema_of(line: str) -> object:
    try:
        header = json.loads(line)
    except ValueError:
        return None
    return header.get("schema") if isinstance(header, dict) else None


def _is_header(line: str) -> bool:
    """Return whether it is a header; a union of two versions may hold it twice."""
    return "schema" in line[:12] and _schema_of(line) == _SCHEMA


def _check_header(path: Path, lines: list[str]) -> None:
    schema = _schema_of(lines[0])
    if schema == _SCHEMA:
        return
    if isinstance(schema, str) and schema.startswith("resource-hygiene-baseline/"):
        raise SettingsError(
            f"{path}: its format {schema!r} is not {_SCHEMA!r}: another version of "
            "pytest-resource-hygiene wrote it. Use that version, or write the file anew."
        )
    if schema == "resource-hygiene/1":
        raise SettingsError(
            f"{path}: this is a report (--resource-hygiene-json), not a baseline. Give another file."
        )
    raise SettingsError(
        f"{path}: this is no baseline: its first line is not the header that "
        "--resource-hygiene-write-baseline writes. It is left as it is; give another file."
    )


def _parse(path: Path, number: int, line: str) -> KnownLeak:
    try:
        fields = json.loads(line)
    except ValueError:
        raise _damaged(path, number, "is not a JSON object") from None
    if not isinstance(fields, dict):
        raise _damaged(path, number, "is not a JSON object")
    for name in _REQUIRED:
        if not isinstance(fields.get(name), str) or not fields[name]:
            raise _damaged(path, number, f"has no text {name!r}")
    unknown = sorted(set(fields) - {*_REQUIRED, *_OPTIONAL})
    if unknown:
        valid = ", ".join((*_REQUIRED, *_OPTIONAL))
        raise _damaged(path, number, f"has a field {unknown[0]!r}, which is none of {valid}")
    if not all(isinstance(value, str) for value in fields.values()):
        raise _damaged(path, number, "has a field that is not text")
    if not _FINGERPRINT.fullmatch(fields["fingerprint"]):
        raise _damaged(path, number, f"has {fields['fingerprint']!r} for a fingerprint")
    return KnownLeak(**{name: fields.get(name, "") for name in KnownLeak._fields})


def _damaged(path: Path, number: int, what: str) -> SettingsError:
    return SettingsError(
        f"{path}:{number}: the baseline is damaged: this line {what}. It is left as it is; restore "
        "the file from version control, or remove the line."
    )
