"""What this node concludes about workers from the entries it holds; never a global number.

A worker's record is a Beta lower bound on its share of agreed verdicts. Each tally is testimony: it counts as much as
this node trusts its signer, and a signer outside that trust counts for nothing, neither good nor bad, so that a
thousand invented identities that praise each other weigh nothing. Later tallies of one signer on one worker make its
earlier ones fade, by number, not by time: an absence neither heals nor harms.
Source of the bound: Jøsang and Ismail, "The Beta Reputation System", Bled 2002.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ctorrent.ledger.beta import lower_bound
from ctorrent.ledger.rules import ReputationRules
from ctorrent.ledger.tally import Counts
from ctorrent.model.entry import SignedEntry, Tally
from ctorrent.model.ids import Digest, NodeId


@dataclass(frozen=True, slots=True)
class Record:
    """What is thought of one worker. Counts are weighed blocks, so not whole numbers."""

    agreed: float
    disputed: float  # disputed and invalid
    lower_bound: float  # 0..1: its share of agreed verdicts is above this with 95 % confidence
    newcomer: bool  # fewer weighed blocks than the rules ask: always replicated
    blocks: float
    forks: int = 0  # how often its own log was proven forked


Snapshot = Mapping[NodeId, Record]


@dataclass(frozen=True, slots=True)
class Testimony:
    """One tally as it was weighed: a line of `why`."""

    author: NodeId
    incarnation: int
    seq: int
    id: Digest | None  # None: this node's own verdicts that no tally holds yet
    counts: Counts
    weight: float  # trust × fading; 0: says nothing here


@dataclass(frozen=True, slots=True)
class _Heard:
    incarnation: int
    seq: int
    id: Digest
    counts: Counts


@dataclass(slots=True)
class _Worker:
    heard: dict[NodeId, list[_Heard]] = field(default_factory=dict)  # by author, oldest first


class Reputation:
    """Testimony by worker. `trust`: how much each signer counts, 0..1; those not in it count 0, this node 1."""

    def __init__(self, me: NodeId, trust: Mapping[NodeId, float] | None = None, rules: ReputationRules | None = None) -> None:
        self._me = me
        self._rules = rules or ReputationRules()
        self._trust = dict(trust or {})
        self._workers: dict[NodeId, _Worker] = {}
        self._forks: dict[NodeId, int] = {}

    def trust(self, signers: Mapping[NodeId, float]) -> None:
        """Replace whom this node believes (friends, contacts of long standing). Takes effect at the next snapshot."""
        if any(not 0.0 <= weight <= 1.0 for weight in signers.values()):
            raise ValueError("trust is a number from 0 to 1")
        self._trust = dict(signers)

    def learn(self, signed: SignedEntry, tally: Tally) -> None:
        """Take in an accepted TALLY entry, own or another's. A signer's word about itself is not kept."""
        author = signed.entry.author
        if tally.worker == author and author != self._me:
            return
        worker = self._workers.pop(tally.worker, None) or _Worker()
        self._workers[tally.worker] = worker  # last in order: the longest unheard of is first
        counts = Counts(tally.agreed, tally.disputed, tally.invalid)
        heard = worker.heard.setdefault(author, [])
        heard.append(_Heard(signed.entry.incarnation, signed.entry.seq, signed.id, counts))
        del heard[: -self._rules.testimonies_max]
        self._bound(worker)

    def forked(self, author: NodeId, incarnation: int, seq: int) -> None:
        """A proven fork: the author's testimony from there on is forgotten, and the fork counted against it."""
        self._forks[author] = self._forks.get(author, 0) + 1
        for worker in self._workers.values():
            heard = worker.heard.get(author, [])
            heard[:] = [h for h in heard if h.incarnation != incarnation or h.seq < seq]

    def snapshot(self, pending: Mapping[NodeId, Counts] | None = None) -> Snapshot:
        """Everyone's record, frozen. pending: own verdicts that no tally holds yet (`Tallies.pending()`)."""
        pending = pending or {}
        known = sorted({*self._workers, *pending, *self._forks})
        return MappingProxyType({worker: self._record(worker, pending.get(worker)) for worker in known})

    def record(self, worker: NodeId, pending: Counts | None = None) -> Record:
        """One worker's record; a newcomer's for one never heard of."""
        return self._record(worker, pending)

    def why(self, worker: NodeId, pending: Counts | None = None) -> list[Testimony]:
        """The entries behind a record and what each weighs, heaviest signer first, newest first within."""
        held = self._workers.get(worker)
        lines = [] if pending is None else [Testimony(self._me, 0, 0, None, pending, 1.0)]
        if held is None:
            return lines
        authors = sorted(held.heard, key=lambda author: (-self._weight(author), author))
        for author in authors:
            lines += self._weighed(author, held.heard[author])
        return lines

    def _record(self, worker: NodeId, pending: Counts | None) -> Record:
        agreed = bad = 0.0
        for line in self.why(worker, pending):
            agreed += line.weight * line.counts.agreed
            bad += line.weight * (line.counts.disputed + line.counts.invalid)
        bound = lower_bound(agreed, bad, self._rules.confidence)
        blocks = agreed + bad
        return Record(agreed, bad, bound, blocks < self._rules.newcomer_blocks, blocks, self._forks.get(worker, 0))

    def _weighed(self, author: NodeId, heard: list[_Heard]) -> list[Testimony]:
        weight = self._weight(author)
        return [
            Testimony(author, h.incarnation, h.seq, h.id, h.counts, weight * self._rules.decay**age)
            for age, h in enumerate(reversed(heard))
        ]

    def _weight(self, author: NodeId) -> float:
        return 1.0 if author == self._me else self._trust.get(author, 0.0)

    def _bound(self, worker: _Worker) -> None:
        """Keep within the limits; strangers' words go first, then those of whom one trusts least."""
        if len(worker.heard) > self._rules.authors_max:
            least = min(worker.heard, key=lambda author: (self._weight(author), author))
            del worker.heard[least]
        while len(self._workers) > self._rules.workers_max:
            del self._workers[next(iter(self._workers))]
