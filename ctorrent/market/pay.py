"""What each worker of a job has earned: its verified work, by what others say that work takes. Pure.

A worker measures its own work, and could say anything. So a block is paid by its *canonical cost*: the lower median of
what the owners whose answers agreed say it cost them (of two, the less), in reference core-seconds. Whoever inflates its
figure gains nothing where another owner ran the block, and nobody is told where that is:

  1. no unit is believed to have used more than its cores and GPUs times the seconds it was out, by the payer's clock;
  2. a block that one owner ran alone counts as that owner's figure times (canonical ÷ said) over all blocks that it
     shared with others in this job, never above 1; before it shared any, at most the median block of the job;
  3. who says more than twice what others say, in half of its blocks and beside three owners, is corrected where it meets
     somebody who does the same: two inflaters gain nothing while most of their partners are honest;
  4. who says less than a quarter of it is left out where another figure is there: nobody can push down what others are
     paid by saying nothing. It takes three owners to tell who is low from who is high; of two the less is paid;
  5. over a bill nobody is paid more than it says itself.

What it does not stop: owners who know that they run the same block and say too much there only. They gain up to what (1)
leaves them in the share of blocks that they draw together: tests/market/test_pay.py has figures.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ctorrent.market.price import reference_core_hours, reference_gpu_hours, worth
from ctorrent.model.ids import NodeId
from ctorrent.model.result import Usage
from ctorrent.model.trade import GPU_CORES


@dataclass(frozen=True, slots=True)
class PayRules:
    """When figures are doubted."""

    judged_after: int = 5  # shared blocks: fewer say nothing about an owner
    remembered: int = 63  # of the latest shared blocks, for medians: odd, and enough to outlast a cold start
    partners: int = 3  # owners beside whom a figure was high or low: with fewer, nobody can tell whose it is
    look_every: int = 16  # shared blocks of an owner: a median of 63 takes 10 µs, an empty block 170 µs in all
    low: float = 0.25  # of what others say: machines differ by two or three, measured by one benchmark
    high: float = 2.0  # times what others say, in half of the blocks


@dataclass(frozen=True, slots=True)
class Terms:
    """Of one worker: whose it is, its speeds as it claims them, and the price that it bid."""

    owner: str
    price: float
    gflops: float = 0.0  # of a core; 0: not measured
    tflops: float = 0.0  # of a GPU


@dataclass(frozen=True, slots=True)
class Earned:
    """Verified work of one worker. hours: of the reference core and GPU."""

    blocks: int = 0
    core_hours: float = 0.0
    gpu_hours: float = 0.0
    credits: float = 0.0

    def plus(self, other: Earned) -> Earned:
        return Earned(
            self.blocks + other.blocks, self.core_hours + other.core_hours, self.gpu_hours + other.gpu_hours,
            self.credits + other.credits,
        )  # fmt: skip

    def times(self, share: float) -> Earned:
        """The same blocks for a share of their cost."""
        return Earned(self.blocks, self.core_hours * share, self.gpu_hours * share, self.credits * share)


@dataclass(slots=True)
class _Claim:
    """What one worker says that one block took it."""

    worker: NodeId
    terms: Terms
    core_hours: float
    gpu_hours: float

    @property
    def cost(self) -> float:
        return self.core_hours + GPU_CORES * self.gpu_hours


@dataclass(slots=True)
class _Record:
    """How an owner's figures compared with others' on the same blocks."""

    said: float = 0.0
    found: float = 0.0
    beside: deque[tuple[str, float]] = field(default_factory=deque)  # another owner, and its figure ÷ the other's
    ratio: float | None = None  # in the middle of its blocks; None: too few, or beside too few others
    _fresh: int = 0

    def add(self, other: str, ratio: float, rules: PayRules) -> None:
        """One more block. The middle is looked for now and then: it costs more than all the rest."""
        self.beside.append((other, ratio))
        self._fresh += 1
        if self._fresh >= rules.look_every or len(self.beside) < 2 * rules.look_every:
            self._fresh = 0
            enough = len(self.beside) >= rules.judged_after and len({other for other, _ in self.beside}) >= rules.partners
            self.ratio = _lower_median(ratio for _, ratio in self.beside) if enough else None


@dataclass(slots=True)
class _Due:
    """Of one worker, since its last bill."""

    earned: Earned = Earned()
    said: float = 0.0


class Pay:
    """Of one job. Blocks are claimed when results come, and become pay when they are settled."""

    def __init__(self, rules: PayRules | None = None) -> None:
        self.rules = rules or PayRules()
        self._claims: dict[int, list[_Claim]] = {}
        self._owners: dict[str, _Record] = {}
        self._costs: deque[float] = deque(maxlen=self.rules.remembered)  # canonical, of the latest shared blocks
        self._due: dict[NodeId, _Due] = {}
        self.paid = Earned()  # all blocks of this job so far, at their cost, once each

    def worked(self, worker: NodeId, terms: Terms, indices: Sequence[int], usages: Sequence[Usage], core_s: float, gpu_s: float) -> None:
        """A unit came back. core_s, gpu_s: what it can have used at most while it was out."""
        cores = _share(sum(max(0.0, usage.cpu_s) for usage in usages), core_s)
        gpus = _share(sum(max(0.0, usage.gpu_s) for usage in usages), gpu_s)
        for index, usage in zip(indices, usages, strict=True):
            claims = self._claims.setdefault(index, [])
            if all(claim.worker != worker for claim in claims):  # a second run of one's own is no second block
                claims.append(_Claim(
                    worker, terms, reference_core_hours(usage, terms.gflops) * cores, reference_gpu_hours(usage, terms.tflops) * gpus
                ))  # fmt: skip

    def settled(self, index: int, workers: Iterable[NodeId], terms: Callable[[NodeId], Terms] | None = None) -> list[NodeId]:
        """A block's result is final, and these workers' answers are it. -> those that earned by it.

        terms: for a block whose figures a restart lost; it is paid by the mean of those before it.
        """
        agreed = dict.fromkeys(workers)
        if index not in self._claims and terms is not None and self.paid.blocks:
            mean = self.paid.times(1 / self.paid.blocks)
            self._claims[index] = [_Claim(worker, terms(worker), mean.core_hours, mean.gpu_hours) for worker in agreed]
        claims = [claim for claim in self._claims.pop(index, ()) if claim.worker in agreed]
        owners: dict[str, _Claim] = {}
        for claim in sorted(claims, key=lambda claim: (claim.cost, claim.worker)):
            owners.setdefault(claim.terms.owner, claim)  # of one owner's two nodes, the lower figure
        kinds = list(owners.values())
        if not kinds:
            return []
        cost = self._compare(kinds) if len(kinds) > 1 else kinds[0].cost
        for claim in kinds:
            self._add(claim, min(cost, self._corrected(claim)) if len(kinds) > 1 else self._alone(claim))
        share = cost / kinds[0].cost if kinds[0].cost > 0 else 0.0
        self.paid = self.paid.plus(Earned(1, kinds[0].core_hours * share, kinds[0].gpu_hours * share))
        return [claim.worker for claim in kinds]

    def revoked(self, index: int) -> None:
        """A provisional block is run again: what was said of it counts for nothing."""
        self._claims.pop(index, None)

    def due(self, worker: NodeId) -> Earned:
        """What a bill made now would say."""
        due = self._due.get(worker, _Due())
        cost = due.earned.core_hours + GPU_CORES * due.earned.gpu_hours
        return due.earned.times(min(1.0, due.said / cost)) if cost > 0 else due.earned

    def take(self, worker: NodeId) -> Earned:
        """The same, taken: it is on a bill."""
        earned = self.due(worker)
        self._due.pop(worker, None)
        return earned

    def restore(self, worker: NodeId, earned: Earned) -> None:
        """What was due before a restart."""
        due = self._due.setdefault(worker, _Due())
        due.earned = due.earned.plus(earned)
        due.said += earned.core_hours + GPU_CORES * earned.gpu_hours

    def workers(self) -> list[NodeId]:
        """Those that something is due to."""
        return sorted(worker for worker, due in self._due.items() if due.earned.blocks)

    def withheld(self) -> dict[NodeId, Earned]:
        """Work that came back and is not settled, as its workers say: a figure to show, not to pay by."""
        found: dict[NodeId, Earned] = {}
        for claims in self._claims.values():
            for claim in claims:
                one = Earned(1, claim.core_hours, claim.gpu_hours, worth(claim.terms.price, claim.core_hours, claim.gpu_hours))
                found[claim.worker] = found.get(claim.worker, Earned()).plus(one)
        return found

    # -- what a block costs -------------------------------------------------------------------------------------------

    def _compare(self, claims: Sequence[_Claim]) -> float:
        """Remember how each owner's figure stands beside the others'. -> what the block cost."""
        for claim in claims:
            others = [other for other in claims if other is not claim and not self._is_low(other)]
            record = self._owners.setdefault(claim.terms.owner, _Record(beside=deque(maxlen=self.rules.remembered)))
            if (cost := _lower_median(other.cost for other in others)) > 0:
                record.add(others[0].terms.owner, claim.cost / cost, self.rules)
        cost = self._canonical(claims)
        self._costs.append(cost)
        for claim in claims:
            record = self._owners[claim.terms.owner]
            record.said += claim.cost
            record.found += min(cost, self._corrected(claim))
        return cost

    def _canonical(self, claims: Sequence[_Claim]) -> float:
        believed = [claim for claim in claims if not self._is_low(claim)] or claims
        return _lower_median(claim.cost for claim in believed)

    def _ratio(self, claim: _Claim) -> float | None:
        record = self._owners.get(claim.terms.owner)
        return record.ratio if record is not None else None

    def _is_low(self, claim: _Claim) -> bool:
        ratio = self._ratio(claim)
        return ratio is not None and ratio < self.rules.low

    def _corrected(self, claim: _Claim) -> float:
        """The most that a figure counts for beside others'."""
        ratio = self._ratio(claim)
        return claim.cost / ratio if ratio is not None and ratio > self.rules.high else float("inf")

    def _alone(self, claim: _Claim) -> float:
        record = self._owners.get(claim.terms.owner)
        if record is not None and record.said > 0 and len(record.beside) >= self.rules.judged_after:
            return claim.cost * min(1.0, record.found / record.said)
        if len(self._costs) >= self.rules.judged_after:
            return min(claim.cost, _lower_median(self._costs))
        return claim.cost

    def _add(self, claim: _Claim, cost: float) -> None:
        due = self._due.setdefault(claim.worker, _Due())
        share = cost / claim.cost if claim.cost > 0 else 0.0
        core, gpu = (claim.core_hours * share, claim.gpu_hours * share) if claim.cost > 0 else (cost, 0.0)
        due.earned = due.earned.plus(Earned(1, core, gpu, worth(claim.terms.price, core, gpu)))
        due.said += claim.cost


def _share(said: float, most: float) -> float:
    """What of a figure is believed: all of it, or as much as the clock allows."""
    return min(1.0, max(0.0, most) / said) if said > 0 else 1.0


def _lower_median(values: Iterable[float]) -> float:
    """Of an even number, the lower of the two in the middle; of none, 0."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2] if ordered else 0.0
