"""Verdicts into votes: one tally per (job, worker), seldom, with the Merkle root of the evidence behind it.

The first tally of a worker comes after 30 s, the next after two minutes, then eight …; a tally that holds anything but
agreement waits 30 s only, so that bad news is not slow. Whatever is left goes out at the job's end.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from ctorrent import canon
from ctorrent.ledger.rules import TallyRules
from ctorrent.model.entry import Tally
from ctorrent.model.ids import Digest, JobId, NodeId, OwnerId, Ring
from ctorrent.model.result import Verdict
from ctorrent.seal import digest, merkle_root


@dataclass(frozen=True, slots=True)
class Observation:
    """One verdict on one replica."""

    job: JobId
    worker: NodeId
    block: Digest
    assignment: Digest
    commitment: Digest
    verdict: Verdict
    against: tuple[Digest, ...] = ()  # assignments whose answers it lost to, as far as whoever saw it says; in no leaf


@dataclass(frozen=True, slots=True)
class DueTally:
    """A vote to be signed now. `leaves`: the evidence under its root, bad news first: disputed, invalid, agreed.

    negative: the observations behind the first leaves, one each, in their order.
    """

    job: JobId
    ring: Ring
    tally: Tally
    leaves: tuple[Digest, ...]
    negative: tuple[Observation, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """Verdicts, in blocks."""

    agreed: int = 0
    disputed: int = 0
    invalid: int = 0


@dataclass(slots=True)
class _Open:
    owner: OwnerId
    hardware_class: str
    started: float
    last: float  # when the last tally was handed out; the first verdict's time before that
    made: int = 0
    counts: dict[Verdict, int] = field(default_factory=dict)
    leaves: list[Digest] = field(default_factory=list)  # of agreement
    negative: list[Observation] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.leaves) + len(self.negative)


@dataclass(slots=True)
class _Job:
    tag: Digest
    ring: Ring
    workers: dict[NodeId, _Open] = field(default_factory=dict)


def evidence_leaf(seen: Observation) -> Digest:
    """What a tally's root stands over: digest of [block, assignment, worker, commitment, verdict], canonical."""
    words = [bytes(seen.block), bytes(seen.assignment), str(seen.worker), bytes(seen.commitment), seen.verdict.value]
    return Digest(digest("ctorrent/evidence/1", canon.encode(words)))


def without(vote: DueTally, dropped: Collection[int]) -> DueTally | None:
    """The vote without some of its negative leaves, by place: what nobody could check is not said. None: nothing is left."""
    if not dropped:
        return vote
    kept = [seen for place, seen in enumerate(vote.negative) if place not in dropped]
    leaves = tuple(evidence_leaf(seen) for seen in kept) + vote.leaves[len(vote.negative) :]
    tally = replace(
        vote.tally, disputed=sum(seen.verdict is Verdict.DISPUTED for seen in kept),
        invalid=sum(seen.verdict is Verdict.INVALID for seen in kept), evidence_root=merkle_root([bytes(leaf) for leaf in leaves]),
    )  # fmt: skip
    return replace(vote, tally=tally, leaves=leaves, negative=tuple(kept)) if leaves else None


class Tallies:
    """What this coordinator saw and has not yet said."""

    def __init__(self, rules: TallyRules | None = None) -> None:
        self._rules = rules or TallyRules()
        self._jobs: dict[JobId, _Job] = {}

    def open(self, job: JobId, tag: Digest, ring: Ring) -> None:
        """Before the first verdict of a job. tag: model.entry.job_tag(job, secret)."""
        self._jobs.setdefault(job, _Job(tag, ring))

    def record(self, seen: Observation, owner: OwnerId, hardware_class: str, now: float) -> None:
        """Count one verdict. Raises KeyError for a job that is not open (our bug)."""
        workers = self._jobs[seen.job].workers
        entry = workers.get(seen.worker)
        if entry is None:
            entry = workers[seen.worker] = _Open(owner, hardware_class, now, now)
        entry.counts[seen.verdict] = entry.counts.get(seen.verdict, 0) + 1
        if seen.verdict is Verdict.AGREED:
            entry.leaves.append(evidence_leaf(seen))
        else:
            entry.negative.append(seen)

    def due(self, now: float) -> list[DueTally]:
        """Take out every tally whose time has come."""
        return [
            self._take(job, worker, now)
            for job, held in self._jobs.items()
            for worker, entry in sorted(held.workers.items())
            if entry.size and now >= self._due_at(entry)
        ]

    def close(self, job: JobId, now: float) -> list[DueTally]:
        """Take out all that is left of a job, at its end, and forget the job."""
        rest = self.flush(job, now)
        self._jobs.pop(job, None)
        return rest

    def flush(self, job: JobId, now: float) -> list[DueTally]:
        """Take out all that is left of a job."""
        workers = self._jobs[job].workers if job in self._jobs else {}
        return [self._take(job, worker, now) for worker, entry in sorted(workers.items()) if entry.size]

    @property
    def wake_at(self) -> float | None:
        """When `due` next has something to say; None: not before another verdict."""
        times = [self._due_at(e) for held in self._jobs.values() for e in held.workers.values() if e.size]
        return min(times, default=None)

    def pending(self) -> dict[NodeId, Counts]:
        """Verdicts that no tally holds yet, by worker: for the reputation to know at once."""
        workers = dict.fromkeys(worker for held in self._jobs.values() for worker in held.workers)
        found = ((worker, self.pending_of(worker)) for worker in workers)
        return {worker: counts for worker, counts in found if counts is not None}

    def pending_of(self, worker: NodeId) -> Counts | None:
        """Those on one worker."""
        agreed = disputed = invalid = 0
        for held in self._jobs.values():
            entry = held.workers.get(worker)
            if entry is not None:
                agreed += entry.counts.get(Verdict.AGREED, 0)
                disputed += entry.counts.get(Verdict.DISPUTED, 0)
                invalid += entry.counts.get(Verdict.INVALID, 0)
        return Counts(agreed, disputed, invalid) if agreed or disputed or invalid else None

    def _due_at(self, entry: _Open) -> float:
        if entry.size >= self._rules.leaves_max:
            return entry.last
        patience = self._rules.interval_s
        if set(entry.counts) == {Verdict.AGREED}:
            patience = min(patience * self._rules.growth**entry.made, self._rules.interval_max_s)
        return entry.last + patience

    def _take(self, job: JobId, worker: NodeId, now: float) -> DueTally:
        held = self._jobs[job]
        entry = held.workers[worker]
        negative = sorted(entry.negative, key=lambda seen: seen.verdict.value)  # 2 disputed, 3 invalid; stable
        leaves = (*(evidence_leaf(seen) for seen in negative), *entry.leaves)
        tally = Tally(
            job_tag=held.tag,
            worker=worker,
            worker_owner=entry.owner,
            agreed=entry.counts.get(Verdict.AGREED, 0),
            disputed=entry.counts.get(Verdict.DISPUTED, 0),
            invalid=entry.counts.get(Verdict.INVALID, 0),
            hardware_class=entry.hardware_class,
            evidence_root=merkle_root([bytes(leaf) for leaf in leaves]),
        )
        entry.counts, entry.leaves, entry.negative = {}, [], []
        entry.last, entry.made = now, entry.made + 1
        return DueTally(job, held.ring, tally, leaves, tuple(negative))
