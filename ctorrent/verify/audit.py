"""Whom a job believes, and how far: checks passed and failed by each worker, audits, windows, expulsion. Pure.

A check is a comparison with an independent answer: another owner's, or the requester's own. Three rules:

    share   of agreed blocks is run once more: of an established worker's lone answers max(floor, 1/valid in a row), as
            BOINC's adaptive replication has it but for the floor; of answers that owners agree on, `strict_share`
    window  an answer is final when one of its workers passed so many more checks after it
    expel   a worker that was wrong more often than an honest one would be with a chance of `doubt`, and at least once by
            the requester's own run, unless it was wrong more often than colluders can make an honest one look

The honest rate that a worker is measured against is never below `honest_rate`, and never below three times what the
median of the others shows: where the program itself wavers, all are wrong alike and nobody is expelled.
Papers: Anderson, "BOINC", 2019 (adaptive replication); Sarmenta, "Sabotage-tolerance mechanisms", FGCS 2002 (credibility).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ctorrent.model.ids import NodeId
from ctorrent.model.job import Assurance, Verify
from ctorrent.verify import draw
from ctorrent.verify.ballot import Replica
from ctorrent.verify.case import Case
from ctorrent.verify.odds import tail
from ctorrent.verify.words import Pardoned


@dataclass(frozen=True, slots=True)
class AuditRules:
    """Numbers of one job's checks."""

    alone: bool = False  # economy: an established worker's answer stands by itself
    established_after: int = 10  # checks passed in a row, BOINC's figure: a liar of 30 % passes with 3 %; so many more for each
    # recent wrong answer: nearly every honest worker has none
    floor: float = 0.05  # of lone answers, however long the worker was right: sleepers wake
    strict_share: float = 0.025  # of agreed answers: colluders that never differ are found by third owners only
    window: int = 4  # checks passed after an answer before it is final: 60 lone answers at 6 %; lies are found in 50 …
    window_strict: int = 1  # … where two agreed already, so many audits: 40 blocks at 2.5 %
    honest_rate: float = 0.01  # five times what honest machines show: nobody is expelled for bad memory
    median_factor: float = 3.0
    median_checked: int = 5  # checks of a worker before it counts for the median
    together_first: int = 10  # audits of lone answers of units of several blocks, until those count as others: newcomers'
    together_share: float = 0.5  # blocks ran alone, so nobody saw yet whether the program is safe to run with others
    doubted_share: float = 0.15  # of the lone answers of a worker that was wrong; what it does next is all run twice
    doubt: float = 2e-4  # that a worker of the honest rate looks so bad; one of a fifth of it does with 1e-7
    outvoted_rate: float = 0.05  # of an honest worker's checks, when a fifth collude in 30 %: two of them against it, 1.5 %
    wrong_least: int = 4  # nobody is expelled for fewer, however few were checked
    recent: int = 64  # checks; then both counts are halved: a long good name does not pay for lies
    anchors: int = 3  # own runs that bore out what others agreed on, before anybody is expelled
    own_first: int = 10  # of the first agreed blocks the requester runs so many itself: nobody else is trusted yet
    own_share: float = 0.001  # and later: its machine is one among hundreds
    own_at_once: int = 4  # each runs a block twice, once after the other: who is suspected waits for one of these
    reruns_first: int = 16  # disputes in which both are asked again alone: enough to see a program that wavers
    expel: bool = True


def rules_for(verify: Verify) -> AuditRules:
    """What a manifest asks for."""
    rules = AuditRules(alone=verify.assurance is Assurance.ECONOMY)
    share = verify.audit_share
    return replace(rules, floor=share, strict_share=share) if share else rules


@dataclass(slots=True)
class Seen:
    """One worker in this job."""

    owner: str
    valid: int = 0  # checks passed in a row, with those of the ledger
    checked: int = 0
    wrong: int = 0
    answers: int = 0  # messages with answers
    contested: int = 0  # open disputes in which it is a party
    led: bool = False  # it passed an audit with an answer that came first: nobody can have told it what to say
    witnessed: bool = False  # the requester's own run of a block said otherwise than it
    expelled: bool = False
    recalled: bool = False  # from a life before a restart: the ledger was asked then

    @property
    def why(self) -> str:
        return f"{self.wrong} of its {self.checked} checked answers were wrong"


@dataclass(slots=True)
class Audit:
    """Of one job. `secret` is the job's draw secret."""

    rules: AuditRules
    secret: bytes
    me: NodeId  # the requester's own node, whose answers it trusts
    workers: dict[NodeId, Seen] = field(default_factory=dict)
    backed: int = 0  # own runs that agreed with what others said
    together: int = 0  # lone answers of units of several blocks that passed an audit
    out: dict[NodeId, None] = field(default_factory=dict)  # who is expelled
    touched: dict[NodeId, None] = field(default_factory=dict)  # whose record changed since it was taken: see record.py

    def worker(self, name: NodeId, owner: str) -> Seen:
        return self.workers.setdefault(name, Seen(owner))

    def join(self, name: NodeId, owner: str, valid: int) -> None:
        """It takes part. valid: in a row, as the ledger has it, which a record of this job knew already."""
        seen = self.worker(name, owner)
        known = 0 if seen.recalled or seen.checked else valid  # who was wrong here does not mend that by coming back
        seen.valid = max(seen.valid, known, self.rules.established_after if name == self.me else 0)

    def contest(self, case: Case) -> None:
        """A dispute began: what speaks for its parties is known at once, what speaks against them later."""
        if not case.contested:
            case.contested = tuple(r.worker for r in case.replicas())
            for name in case.contested:
                self.workers[name].contested += 1

    def calm(self, case: Case | None) -> None:
        """It is over."""
        if case is not None:
            for name in case.contested:
                self.workers[name].contested -= 1
            case.contested = ()

    def expel(self, name: NodeId) -> None:
        """For the rest of the job, over restarts too, unless it turns out to be the program."""
        self.workers[name].expelled = True
        self.out[name] = self.touched[name] = None

    def pardon(self) -> list[Pardoned]:
        """The program wavers: who differed may have done nothing wrong."""
        gone, self.out = self.out, {}
        for name in gone:
            seen = self.workers[name]
            seen.checked, seen.wrong, seen.expelled, seen.witnessed = 0, 0, False, False
            self.touched[name] = None
        return [Pardoned(name) for name in gone]

    def answered(self, name: NodeId, owner: str) -> int:
        """Answers came. -> their order among this worker's."""
        seen = self.worker(name, owner)
        seen.answers += 1
        return seen.answers

    def established(self, name: NodeId) -> bool:
        seen = self.workers.get(name)
        return seen is not None and not seen.expelled and seen.valid >= self.rules.established_after * (1 + seen.wrong)

    def expelled(self, name: NodeId) -> bool:
        seen = self.workers.get(name)
        return seen is not None and seen.expelled

    def needed(self, voices: list[NodeId], replicas: int) -> int:
        """How many owners must have given an answer that these gave."""
        if not self.rules.alone or replicas < 2:
            return replicas
        return 1 if any(name == self.me or self.established(name) for name in voices) else 2

    def trusted(self, name: NodeId) -> bool:
        """May its passing of checks make its answers final?"""
        if self.expelled(name) or self.workers[name].contested:
            return False
        return name == self.me or (self.established(name) if self.rules.alone else self.workers[name].led)

    def is_drawn(self, index: int, members: Sequence[Replica]) -> bool:
        """Is a block on which these agree run once more?"""
        share = self.rules.strict_share
        if len(members) == 1:
            share = max(self.rules.floor, 1.0 / max(1, self.workers[members[0].worker].valid))
            if self.together < self.rules.together_first and not members[0].alone:
                share = max(share, self.rules.together_share)
        return draw.chance(self.secret, "audit", index) < share

    def is_doubted(self, index: int, name: NodeId) -> bool:
        """Is this lone answer of a worker that was wrong lately run once more?"""
        return draw.chance(self.secret, "doubt", index, self.workers[name].wrong) < self.rules.doubted_share

    def is_lone_doubted(self, index: int, members: Sequence[Replica]) -> bool:
        """The same after a restart, which forgot whether it was."""
        lone = members[0].worker if len(members) == 1 else self.me
        return lone != self.me and self.workers[lone].wrong > 0 and self.is_doubted(index, lone)

    def is_drawn_for_own(self, index: int, done: int) -> bool:
        """Does the requester run it itself? done: how many it ran so far."""
        return done < self.rules.own_first or draw.chance(self.secret, "own", index) < self.rules.own_share

    def count(self, name: NodeId, right: bool, before: bool | None) -> None:
        """The outcome of a check, or another one than `before` of the same check."""
        seen = self.workers[name]
        self.touched[name] = None
        if before is not None:
            seen.checked = max(0, seen.checked - 1)
            seen.wrong = max(0, seen.wrong - (not before))
        if seen.checked >= self.rules.recent:
            seen.checked, seen.wrong = seen.checked // 2, seen.wrong // 2
        seen.checked += 1
        if right:
            seen.valid += before is None
        else:
            seen.wrong += 1
            seen.valid = 0

    def suspects(self, name: NodeId) -> str:
        """Why this worker is to be expelled; "" while chance may have done it, or nothing is proven yet."""
        seen = self.workers[name]
        if seen.expelled or not self.rules.expel or seen.wrong < self.rules.wrong_least or self.backed < self.rules.anchors:
            return ""
        rate = max(self.rules.honest_rate, self.rules.median_factor * self._median_rate(name))
        if tail(seen.wrong, seen.checked, rate) >= self.rules.doubt:
            return ""
        return seen.why

    def convicted(self, name: NodeId) -> bool:
        """Is a suspect guilty even if others collude against it?"""
        seen = self.workers[name]
        return seen.witnessed or tail(seen.wrong, seen.checked, self.rules.outvoted_rate) < self.rules.doubt

    def _median_rate(self, but: NodeId) -> float:
        """Of the others that were checked often enough; the upper one of two."""
        rates = sorted(
            seen.wrong / seen.checked
            for name, seen in self.workers.items()
            if name != but and not seen.expelled and seen.checked >= self.rules.median_checked
        )
        return rates[len(rates) // 2] if rates else 0.0
