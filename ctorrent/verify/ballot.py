"""One block's replicas: which outputs are equal, and whether a strict majority of owners gave one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ctorrent.errors import Malformed
from ctorrent.model.ids import Digest, NodeId
from ctorrent.verify.compare import Different, Same, is_failure

_NOBODY: dict[NodeId, None] = {}  # shared: most ballots never wait for anybody
Compare = Callable[[bytes, bytes], Same | Different]


@dataclass(slots=True)
class Replica:
    """One worker's answer. An owner has one voice a block."""

    worker: NodeId
    owner: str
    fingerprint: Digest
    digest: Digest
    output: bytes | None
    alone: bool
    order: int = 0  # among its worker's answers of the job
    judged: bool = True  # as in words.Arrived

    @property
    def failed(self) -> bool:
        return is_failure(self.output)


@dataclass(frozen=True, slots=True)
class Split:
    """Answers, and the most of them that are equal."""

    values: list[Replica]
    most: list[Replica]

    @property
    def differ(self) -> bool:
        return len(self.most) < len(self.values)

    @property
    def majority(self) -> bool:
        return 2 * len(self.most) > len(self.values)

    def outside(self) -> list[Replica]:
        """Who may be the odd one out: those outside a strict majority, or all."""
        return [r for r in self.values if r not in self.most] if self.majority else self.values


@dataclass(slots=True)
class Repeats:
    """Of a disputed block: who was asked to run it again alone, and what came of it."""

    asked: dict[NodeId, int] = field(default_factory=dict)
    before: dict[NodeId, Replica] = field(default_factory=dict)  # what the answer just given is to be compared with
    same: dict[NodeId, int] = field(default_factory=dict)  # how often each gave its answer again
    wavered: dict[NodeId, None] = field(default_factory=dict)  # gave another, alone both times
    changed: bool = False  # somebody's came out otherwise when run alone


class Ballot:
    """The open vote on one block; exists from its first replica to its decision."""

    __slots__ = (
        "awaiting", "checked", "checking", "differed", "fetching", "lone", "own", "recorded", "repeats", "replicas",
        "target",
    )  # fmt: skip

    def __init__(self, target: int, lone: bool) -> None:
        self.replicas: list[Replica] = []
        self.target = target  # owners to hear before weighing
        self.lone = lone  # no other owner will come
        self.awaiting: dict[NodeId, None] = _NOBODY  # re-runs; replaced, never filled in place
        self.fetching: dict[NodeId, None] = _NOBODY  # outputs; likewise
        self.repeats: Repeats | None = None  # of a dispute
        self.recorded = False  # as a disagreement, in the early window
        self.checking = self.checked = False  # self-check under way; over
        self.own: Replica | None = None  # what the self-check gave, twice
        self.differed = ""  # the first difference, in words

    @property
    def waiting(self) -> bool:
        return bool(self.awaiting or self.fetching or self.checking)

    def waits_for(self) -> str:
        if self.awaiting:
            return "being run again alone"
        if self.fetching:
            return "its outputs"
        return "the requester's own check" if self.checking else f"{self.target - len(self.replicas)} more"

    def by_worker(self, worker: NodeId) -> Replica | None:
        return next((r for r in self.replicas if r.worker == worker), None)

    def doubted(self, values: Split, limit: int) -> list[NodeId]:
        """Who should run it again alone: who ran it with others, and who is not of a strict majority.

        limit: how often one may be asked for the latter. The coordinator's own node ran it twice already.
        """
        repeats, outside = self.repeats or Repeats(), values.outside()
        own = self.own.worker if self.own else ""
        return [
            r.worker
            for r in values.values
            if r.worker not in repeats.wavered
            and r.worker != own
            and ((r in outside and repeats.asked.get(r.worker, 0) < limit)
                 or (not r.alone and r.worker not in repeats.asked))
        ]  # fmt: skip

    def ask_again(self, workers: list[NodeId]) -> None:
        repeats = self.repeats = self.repeats or Repeats()
        for worker in workers:
            repeats.asked[worker] = repeats.asked.get(worker, 0) + 1
        self.awaiting = dict.fromkeys(workers)

    def owners(self) -> tuple[str, ...]:
        return tuple(r.owner for r in self.replicas)

    def unopened(self) -> list[Replica]:
        """Replicas whose bytes are needed to compare: none while all digests are equal, and were before."""
        if all(r.digest == self.replicas[0].digest for r in self.replicas):
            before = self.repeats.before if self.repeats else {}
            return [r for r in self.replicas if r.output is None and before.get(r.worker, r).digest != r.digest]
        return [r for r in self.replicas if r.output is None]


def verdict(left: Replica, right: Replica, compare: Compare) -> Same | Different:
    """Compare two replicas; an output that does not decode equals nothing but itself."""
    if left.digest == right.digest:
        return Same()
    if left.output is None or right.output is None:
        return Different("the result differs", True)
    try:
        return compare(left.output, right.output)
    except Malformed as error:
        return Different(error.message, True)


def largest_class(replicas: list[Replica], compare: Compare) -> list[Replica]:
    """The most replicas equal to one of them (on a tie a value's, then the earliest), that one first.

    Equality within a tolerance is not transitive, so every replica is tried as the centre of a class.
    """
    best: list[Replica] = []
    for centre in sorted(replicas, key=lambda r: r.failed):
        members = [centre] + [r for r in replicas if r is not centre and isinstance(verdict(centre, r, compare), Same)]
        if len(members) > len(best):
            best = members
    return best


def first_difference(replicas: list[Replica], compare: Compare) -> Different | None:
    """Between the earliest two that differ."""
    for at, left in enumerate(replicas):
        for right in replicas[at + 1 :]:
            found = verdict(left, right, compare)
            if isinstance(found, Different):
                return found
    return None


def split(values: list[Replica], compare: Compare) -> Split:
    return Split(values, largest_class(values, compare) if values else [])
