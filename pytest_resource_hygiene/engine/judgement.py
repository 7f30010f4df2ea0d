"""From suspects to findings: what an owner holds at its end gets time to go, and is judged.

Loaded with the first suspect: a clean run never needs it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_resource_hygiene.engine.handover.transfer import OwnershipTransfer
from pytest_resource_hygiene.engine.inventory.caught import take_caught, told_once
from pytest_resource_hygiene.engine.known.allowances import find_allowance
from pytest_resource_hygiene.engine.references.far_ends import far_ends
from pytest_resource_hygiene.engine.suspects.settle import describe
from pytest_resource_hygiene.engine.verdicts.judge import Judge
from pytest_resource_hygiene.objects import collector_paused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_resource_hygiene.engine.checker import LeakChecker
    from pytest_resource_hygiene.engine.findings import FindingWriter
    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.engine.inventory.owners import Owner
    from pytest_resource_hygiene.engine.known.allowances import Allowance
    from pytest_resource_hygiene.engine.suspects.groups import Group
    from pytest_resource_hygiene.leak import Leak
    from pytest_resource_hygiene.model import Severity

__all__ = ["Judgement"]

_A_MOMENT = 0.01


class Judgement:
    """Judges one owner after the other.

    Args:
        checker: whose windows these are; what is asked of it may change from owner to owner.
    """

    def __init__(self, checker: LeakChecker) -> None:
        """Have judged nobody yet."""
        self._checker = checker
        self._ledger = checker.ledger
        self._reader = checker.reader
        self._settler = checker.settler
        self._patience = checker.patience
        self._judge = Judge(self._ledger, self._reader, lambda: checker.settings, checker.in_c)
        self._transfer = OwnershipTransfer(
            self._ledger,
            self._reader,
            lambda: (*checker.fixtures, checker.session),
            checker.in_c.known,
        )

    @cached_property
    def _writer(self) -> FindingWriter:
        # Loaded with the first finding: most suspects end before there is any.
        from pytest_resource_hygiene.engine.findings import FindingWriter

        return FindingWriter(self._ledger, self._reader, self._checker.settings.root)

    def of(self, owner: Owner, others: list[Entry], allowances: Sequence[Allowance]) -> list[Leak]:
        """Return the findings about an owner; each is told once, and joins the baseline.

        Args:
            owner: whose window is over.
            others: what is found beside that which it holds: limits, and what it closed of others.
            allowances: what it may leave.
        """
        caught = take_caught(self._ledger, owner)  # before any collection
        suspects = [entry for entry in list(owner.held) if not self._is_dropped(entry)]
        served = self._far_ends(suspects, owner) if owner.info.type == "fixture" else {}
        suspects = [entry for entry in suspects if entry not in served]
        left, freed = self._settle(suspects, owner)
        left = self._transfer.hand_over_again(left, owner)
        if owner.info.type == "test":  # now that wider fixtures have what is theirs
            served = self._far_ends(left, owner)
            left = [entry for entry in left if entry not in served]
        left = [entry for entry in left if self._is_describable(entry)]
        self._checker.hand_out_caught(owner)
        caught += take_caught(self._ledger, owner)
        caught, freed = told_once(caught, left, freed)
        groups = self._judge.judge([*left, *freed, *caught, *others], owner)
        groups += self._judge_far_ends(served, owner)
        leaks = [self._report(group, owner, allowances) for group in groups]
        for group in groups:
            self._checker.told.add(group.entries)
            self._ledger.note_told(group.entries)
        self._put_back(groups)
        return leaks

    def _is_dropped(self, entry: Entry) -> bool:
        """Leave what the test runner made out before anybody waits for it.

        A slot that holds the runner's own function is the runner's, whoever put it back last.
        """
        if (
            self._reader.is_foreign(entry.creation)
            or (entry.tracker.slots and self._reader.is_tool_code(entry.value))
            or self._ledger.is_ours(entry)
        ):
            entry.release()
            return True
        return entry.owner is not self._checker.session and self._ledger.seats.take(entry)

    def _is_describable(self, entry: Entry) -> bool:
        """Put an entry in words, unless it is gone: a thread may end at any time until then."""
        value = entry.value  # which stays as long as this does
        if value is None and entry.is_gone:
            return False
        describe(entry, self._ledger)
        return True

    # --- the far ends of connections ---

    def _far_ends(self, suspects: list[Entry], owner: Owner) -> dict[Entry, Owner]:
        with self._ledger.recorder.mute():
            return far_ends(suspects, owner, self._ledger)

    def _judge_far_ends(self, served: dict[Entry, Owner], owner: Owner) -> list[Group]:
        """Note what a server is left with because somebody else holds a connection open."""
        for entry in served:
            entry.severity = "note"
        groups = self._judge.judge(filter(self._is_describable, served), owner)
        for group in groups:
            other = served[group.primary]
            has = "has left open" if other.closed else "still holds"
            group.why = f"the other end of a connection that {other.info} {has}"
        return groups

    # --- waiting ---

    def _settle(self, suspects: list[Entry], owner: Owner) -> tuple[list[Entry], list[Entry]]:
        """Wait for suspects, and for what they have made meanwhile: a thread may start another.

        Returns:
            What is left, and what only the garbage collector freed.
        """
        left: list[Entry] = []
        freed: list[Entry] = []
        seen = set(owner.held)
        began = self._settler.passed
        rest: float | None = None
        spent = 0.0
        while suspects:
            # A finalizer that raises in a collection leaves a traceback that keeps the frame in
            # which the collection came, and with it the suspects' objects, which it has at hand.
            with collector_paused():
                suspects = self._transfer.hand_over(suspects, owner)
            waiting: list[Entry] = []
            others: list[Entry] = []
            for entry in suspects:
                (waiting if self._judge.deserves_wait(entry) else others).append(entry)
            if rest == 0:  # a timer that sets itself again, and again
                left += self._going_on([*waiting, *others], owner)
                break
            stayed, dropped = self._wait_for(waiting, others, owner, rest, spent)
            left += [*stayed, *self._briefly(others, owner)]
            freed += dropped
            suspects = self._new_meanwhile(owner, seen) if waiting else []
            spent = self._settler.passed - began
            rest = self._patience.rest_of(suspects, spent)
        return [entry for entry in left if self._ledger.is_live(entry)], freed

    def _wait_for(
        self,
        entries: list[Entry],
        others: list[Entry],
        owner: Owner,
        rest: float | None,
        spent: float,
    ) -> tuple[list[Entry], list[Entry]]:
        settle, nodeid = self._settler.settle, self._checker.nodeid
        if self._are_known(entries, owner):
            # Nor is the collector run: that one frees it would make a note of what fails nothing.
            return settle(entries, owner, nodeid, self._patience.of_known(), collect=False)
        if rest is not None:  # the collector has run; few that come late need it again
            # Of a chain with thousands of links not each is looked at.
            left, _ = settle(entries, owner, nodeid, rest, collect=False, first_pause=spent)
            return settle(left, owner, nodeid, 0.0) if left else ([], [])
        patience = self._patience.of(entries)
        left, freed = settle(
            entries, owner, nodeid, patience,
            may_fail=lambda left: self._judge.would_fail([*left, *others], owner),
        )  # fmt: skip
        self._patience.is_over(left, patience)
        return left, freed

    def _briefly(self, entries: list[Entry], owner: Owner) -> list[Entry]:
        """Give what will be a note at most a moment: a joined thread leaves the kernel's list late."""
        if not any(entry.tracker.kind == "native_threads" for entry in entries):
            return [entry for entry in entries if self._ledger.is_live(entry)]
        nodeid = self._checker.nodeid
        return self._settler.settle(entries, owner, nodeid, _A_MOMENT, collect=False)[0]

    def _new_meanwhile(self, owner: Owner, seen: set[Entry]) -> list[Entry]:
        if not self._ledger.is_quiet():
            self._checker.look_at(self._ledger.changed, owner)
        new = [entry for entry in owner.held if entry not in seen]
        seen.update(new)
        return [entry for entry in new if not self._is_dropped(entry)]

    def _going_on(self, entries: list[Entry], owner: Owner) -> list[Entry]:
        """Take what there is of a chain that has lasted as long as anybody waits for."""
        owner.kept = [*owner.kept, *(entry.value for entry in entries)]  # the next link ends it
        for entry in entries:
            entry.waited = self._checker.settings.grace
        self._patience.was_in_vain(entries)
        return entries

    def _are_known(self, entries: list[Entry], owner: Owner) -> bool:
        known = self._checker.settings.known
        if known is None or not entries:
            return False
        with self._ledger.recorder.mute():  # sources are read for it
            return all(self._writer.is_known(entry, owner, known) for entry in entries)

    # --- telling ---

    def _report(self, group: Group, owner: Owner, allowances: Iterable[Allowance]) -> Leak:
        with self._ledger.recorder.mute():  # sources are read for it: no opening of the test's
            leak = self._writer.write(group, owner, self._checker.nodeid)
        allowance = find_allowance(allowances, leak.kind, _texts(leak, group))
        if allowance is None:
            return leak
        self._checker.used_allowances.add(allowance)
        severity: Severity = "allowed" if leak.severity == "fail" else leak.severity
        return replace(leak, severity=severity, reason=allowance.reason, issue=allowance.issue)

    def _put_back(self, groups: Iterable[Group]) -> None:
        if not self._checker.settings.restore:
            return
        for group in groups:
            for entry in group.entries:
                if self._ledger.is_live(entry) and entry.owner is not None:
                    self._ledger.put_back(entry)
        self._ledger.is_quiet()  # our own restoring is no change


def _texts(leak: Leak, group: Group) -> list[str]:
    """Return what an allowance's glob is compared with."""
    texts = [leak.summary]
    if group.primary.description is not None:
        texts.append(group.primary.description.target)
    if leak.origin is not None:
        texts.append(f"{leak.origin.file}:{leak.origin.line} in {leak.origin.function}")
    return texts
