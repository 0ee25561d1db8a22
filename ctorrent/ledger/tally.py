"""Verdicts into votes: one tally per (job, worker), seldom, with the Merkle root of the evidence behind it.

The first tally of a worker comes after 30 s, the next after two minutes, then eight …; a tally that holds anything but
agreement waits 30 s only, so that bad news is not slow. Whatever is left goes out at the job's end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True)
class DueTally:
    """A vote to be signed now. `leaves`: the evidence under its root, in order."""

    job: JobId
    ring: Ring
    tally: Tally
    leaves: tuple[Digest, ...]


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
    leaves: list[Digest] = field(default_factory=list)


@dataclass(slots=True)
class _Job:
    tag: Digest
    ring: Ring
    workers: dict[NodeId, _Open] = field(default_factory=dict)


def evidence_leaf(seen: Observation) -> Digest:
    """What a tally's root stands over: digest of [block, assignment, worker, commitment, verdict], canonical."""
    words = [bytes(seen.block), bytes(seen.assignment), str(seen.worker), bytes(seen.commitment), seen.verdict.value]
    return Digest(digest("ctorrent/evidence/1", canon.encode(words)))


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
        entry.leaves.append(evidence_leaf(seen))

    def due(self, now: float) -> list[DueTally]:
        """Take out every tally whose time has come."""
        return [
            self._take(job, worker, now)
            for job, held in self._jobs.items()
            for worker, entry in sorted(held.workers.items())
            if entry.leaves and now >= self._due_at(entry)
        ]

    def close(self, job: JobId, now: float) -> list[DueTally]:
        """Take out all that is left of a job, at its end, and forget the job."""
        held = self._jobs.get(job)
        if held is None:
            return []
        rest = [self._take(job, worker, now) for worker, entry in sorted(held.workers.items()) if entry.leaves]
        del self._jobs[job]
        return rest

    @property
    def wake_at(self) -> float | None:
        """When `due` next has something to say; None: not before another verdict."""
        times = [self._due_at(e) for held in self._jobs.values() for e in held.workers.values() if e.leaves]
        return min(times, default=None)

    def pending(self) -> dict[NodeId, Counts]:
        """Verdicts that no tally holds yet, by worker: for the reputation to know at once."""
        sums: dict[NodeId, list[int]] = {}
        for held in self._jobs.values():
            for worker, entry in held.workers.items():
                mine = sums.setdefault(worker, [0, 0, 0])
                for verdict, count in entry.counts.items():
                    mine[verdict.value - 1] += count
        return {worker: Counts(*mine) for worker, mine in sums.items() if any(mine)}

    def _due_at(self, entry: _Open) -> float:
        if len(entry.leaves) >= self._rules.leaves_max:
            return entry.last
        patience = self._rules.interval_s
        if set(entry.counts) == {Verdict.AGREED}:
            patience = min(patience * self._rules.growth**entry.made, self._rules.interval_max_s)
        return entry.last + patience

    def _take(self, job: JobId, worker: NodeId, now: float) -> DueTally:
        held = self._jobs[job]
        entry = held.workers[worker]
        leaves = tuple(entry.leaves)
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
        entry.counts, entry.leaves = {}, []
        entry.last, entry.made = now, entry.made + 1
        return DueTally(job, held.ring, tally, leaves)
