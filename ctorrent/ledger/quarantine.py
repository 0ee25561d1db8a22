"""Who is let in no longer, since when, and how it comes back. By owner: all nodes of one stand and fall together.

    free ──the sum reaches held_at, or a proof──▶ held ──rest over──▶ on trial ──trial_blocks right──▶ free
                                                   ▲                    │ the sum reaches trial_held_at
                                                   └───── twice the rest ┘

Time is counted in entries of this node's own log: nobody else can make it pass. A held owner's jobs done elsewhere change
nothing here. A new key escapes, at the price of a newcomer's dues and with nothing of what the old one had earned
(Friedman and Resnick, "The Social Cost of Cheap Pseudonyms", JEMS 10(2), 2001: with free names that is the best there is).
The sum: Page, "Continuous Inspection Schemes", Biometrika 41, 1954.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from ctorrent.ledger.trust_rules import QuarantineRules
from ctorrent.model.ids import Digest


class Cause(Enum):
    """What somebody was quarantined for."""

    RATE = "rate"  # too many wrong blocks, found by this node itself
    FORK = "fork"
    EQUIVOCATION = "equivocation"
    RERUN = "rerun"  # this node ran a signed block again itself, twice


class Phase(Enum):
    FREE = "free"
    HELD = "held"
    TRIAL = "trial"


@dataclass(frozen=True, slots=True)
class Case:
    """What this node holds against one owner. Positions count entries of this node's own logs."""

    owner: str
    sum: float = 0.0
    right: float = 0.0  # blocks behind the sum: since it was last 0, or since the return
    wrong: float = 0.0
    offences: int = 0  # 0: never held
    cause: Cause | None = None
    since: int = 0
    until: int = 0  # the position at which the trial begins
    blame: tuple[float, float] = (0.0, 0.0)  # wrong, and verified in all, at the time
    trial_right: float = -1.0  # right blocks on trial; -1: none is under way
    ids: tuple[Digest, ...] = ()  # of proofs
    networks: tuple[str, ...] = ()  # where its nodes were at the time
    clean: int = 0  # the position at which the sum was last 0: what was wrong before counts for nothing in it
    under: Case | None = None  # held by its rate already when a proof came

    def phase(self, at: int) -> Phase:
        """at: this node's own entries so far."""
        if self.offences and at < self.until:
            return Phase.HELD
        return Phase.TRIAL if self.trial_right >= 0 else Phase.FREE


@dataclass(frozen=True, slots=True)
class Blame:
    """What one entry of this node's own counts against an owner. term: for its how-manieth offence, from 0."""

    owner: str
    term: int
    at: int  # the position of this node's logs
    wrong: float = 0.0  # blocks, of a tally
    proof: Digest | None = None  # as `proven` names it


class Quarantine:
    """Cases by owner. The node keeps each changed one beside the entry that changed it (`to_words`, `from_words`)."""

    def __init__(self, rules: QuarantineRules | None = None, cases: Iterable[Case] = ()) -> None:
        self.rules = rules or QuarantineRules()
        self._cases: dict[str, Case] = {case.owner: case for case in cases}
        self._networks: dict[str, int] = {}
        self.version = 0  # grows with every change
        for case in self._cases.values():
            self._count(case, +1)

    def case(self, owner: str) -> Case | None:
        return self._cases.get(owner)

    def phase(self, owner: str, at: int) -> Phase:
        case = self._cases.get(owner)
        return Phase.FREE if case is None else case.phase(at)

    def cases(self) -> list[Case]:
        """Those with an offence, by owner."""
        return [case for _, case in sorted(self._cases.items()) if case.offences]

    def owners_of(self, network: str) -> int:
        """How many owners that were ever held were seen in a network then."""
        return self._networks.get(network, 0)

    def verdicts(self, owner: str, right: float, wrong: float, at: int, networks: tuple[str, ...] = ()) -> Case | None:
        """This node's own verdicts of one tally. -> the case to keep, if it changed.

        A tally's blocks are taken as if their wrong ones were spread evenly: never more than their order could give.
        """
        old = self._cases.get(owner) or Case(owner)
        if old.phase(at) is Phase.HELD or not (right or wrong):
            return None  # work from before the door closed
        total = max(0.0, old.sum + self.rules.wrong * wrong - right)
        counts = (old.right + right, old.wrong + wrong) if total or old.trial_right >= 0 else (0.0, 0.0)
        on_trial = old.trial_right >= 0
        clean = at if not total and (old.sum or wrong) and not on_trial else old.clean
        trial = old.trial_right + right if on_trial else -1.0
        new = replace(old, sum=total, right=counts[0], wrong=counts[1], trial_right=trial, clean=clean)
        if total >= (self.rules.trial_held_at if on_trial else self.rules.held_at):
            return self._hold(new, Cause.RATE, self.rules.rest_entries, at, networks)
        if on_trial and trial >= self.rules.trial_blocks:
            new = replace(new, trial_right=-1.0)
        return None if new == old else self._put(new)

    def proven(self, owner: str, cause: Cause, proof: Digest, at: int, networks: tuple[str, ...] = ()) -> Case | None:
        """A proof that was checked. proof: names its content, so that one told by many is one. -> the case to keep."""
        old = self._cases.get(owner) or Case(owner)
        if proof in old.ids:
            return None
        old = replace(old, ids=(*old.ids, proof)[-self.rules.ids_max :])
        if old.phase(at) is Phase.HELD and old.cause is not Cause.RATE:
            return self._put(old)  # one rest for what came to light together
        under = replace(self._cases[owner], under=None) if old.phase(at) is Phase.HELD else None
        return self._put(replace(self._hold(old, cause, self.rules.rest_proven, at, networks), under=under))

    def term(self, owner: str, at: int, proof: bool) -> int | None:
        """For which offence of an owner a wrong block counts now, or a proof. None: held, and wrong blocks count for none."""
        case = self._cases.get(owner) or Case(owner)
        if case.phase(at) is not Phase.HELD or (proof and case.cause is Cause.RATE):
            return case.offences
        return case.offences - 1 if proof else None

    def relieved(self, owner: str, term: int, blames: Sequence[Blame], at: int) -> Case | None:
        """What was counted for an offence of the owner's was no fault of it. -> the case to keep, if it changed.

        Who was held for it was never held, unless what is left would have been enough. Proofs stay known: told again, they
        are no news.
        """
        old = self._cases.get(owner)
        if old is None or not old.offences >= term >= old.offences - 1:
            return None
        wrong = sum(one.wrong for one in blames if one.at >= old.clean)
        if term == old.offences:
            less = replace(old, sum=max(0.0, old.sum - self.rules.wrong * wrong), wrong=max(0.0, old.wrong - wrong))
            return self._put(less) if less != old else None
        left = max(0.0, old.blame[0] - wrong)
        proofs = {one.proof for one in blames}
        if old.cause is not Cause.RATE and not proofs.issuperset(old.ids):
            return None  # which of them it is held for is not known
        if left * self.rules.wrong >= (self.rules.trial_held_at if term else self.rules.held_at):
            return None
        if old.under is not None:
            return self._put(replace(old.under, ids=old.ids))
        if term:
            return self._put(replace(old, offences=term, until=min(old.until, at)))  # on trial, as it was
        right = old.right + old.blame[1] - old.blame[0]
        return self._put(Case(owner, max(old.sum, left * self.rules.wrong), right, old.wrong + left, ids=old.ids, clean=old.clean))

    def renamed(self, old: str, new: str) -> list[Case]:
        """An owner changed its key: what is held against the old one is held against the new. -> cases to keep."""
        case, there = self._cases.get(old), self._cases.get(new)
        if case is None or (there is not None and (there.offences, there.until, there.sum) >= (case.offences, case.until, case.sum)):
            return []
        ids = tuple(dict.fromkeys((*(there.ids if there else ()), *case.ids)))[-self.rules.ids_max :]
        return [self._put(replace(case, owner=new, ids=ids))]

    def _hold(self, case: Case, cause: Cause, rest: int, at: int, networks: tuple[str, ...]) -> Case:
        entries = min(self.rules.rest_max, rest << min(case.offences, 20))
        networks = tuple(sorted({*case.networks, *networks})[:4])
        blame = (case.wrong, case.right + case.wrong)
        held = Case(case.owner, 0.0, 0.0, 0.0, case.offences + 1, cause, at, at + entries, blame, 0.0, case.ids, networks, case.clean)
        return self._put(held)

    def _put(self, case: Case) -> Case:
        old = self._cases.pop(case.owner, None)
        if old is not None:
            self._count(old, -1)
        self._cases[case.owner] = case  # last in order
        self._count(case, +1)
        self.version += 1
        while len(self._cases) > self.rules.owners_max:
            light = (owner for owner, one in self._cases.items() if not one.offences)
            gone = self._cases.pop(next(light, next(iter(self._cases))))
            self._count(gone, -1)
        return case

    def _count(self, case: Case, step: int) -> None:
        for network in case.networks if case.offences else ():
            self._networks[network] = self._networks.get(network, 0) + step
            if not self._networks[network]:
                del self._networks[network]


def describe(case: Case, at: int) -> str:
    """For a person, and for the one refused: why, since when, and the way back."""
    match case.cause:
        case Cause.RATE:
            why = f"{case.blame[0]:,.0f} of the last {case.blame[1]:,.0f} blocks checked here were wrong"
        case Cause.FORK:
            why = "it signed two ledger entries for one place"
        case Cause.EQUIVOCATION:
            why = "it signed two results for one assignment"
        case Cause.RERUN:
            why = "this node ran one of its blocks again, twice, and what it had signed was wrong"
        case _:
            why = "it was found wrong"
    since = f"since entry {case.since:,} of this node's ledger"  # whoever reads it: the node that refuses
    again = "" if case.offences < 2 else f"; time {case.offences}, and each rests twice as long"
    if case.phase(at) is Phase.HELD:
        return f"{why}, {since}. Back on trial after {case.until - at:,} more entries there{again}"
    if case.phase(at) is Phase.TRIAL:
        return f"on trial: {case.trial_right:,.0f} right blocks since its return ({why}, {since}{again})"
    return f"was quarantined once: {why}, {since}" if case.offences == 1 else f"was quarantined {case.offences} times, last: {why}, {since}"


def to_words(case: Case) -> list[Any]:
    """A case as lists, numbers and text, for the journal."""
    cause = "" if case.cause is None else case.cause.value
    return [
        case.owner, case.sum, case.right, case.wrong, case.offences, cause, case.since, case.until, list(case.blame),
        case.trial_right, list(case.ids), list(case.networks), case.clean, to_words(case.under) if case.under else [],
    ]  # fmt: skip


def from_words(words: Any) -> Case:
    """What `to_words` made; the journal's own bytes."""
    owner, total, right, wrong, offences, cause, since, until, blame, trial, ids, networks, *rest = words
    clean, under = rest[:2] if len(rest) > 1 else (0, [])
    return Case(
        owner, total, right, wrong, offences, Cause(cause) if cause else None, since, until, (blame[0], blame[1]), trial,
        tuple(Digest(one) for one in ids), tuple(networks), clean, from_words(under) if under else None,
    )  # fmt: skip
