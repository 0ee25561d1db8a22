"""Who is worth engaging: score = P(finishes) × lower-bound reliability × speed ÷ price, each clipped.

The snapshot of standings is frozen and belongs to the caller: this node's own view, never a global number. What a
reputation is, who is a newcomer and who is quarantined, the ledger says; here it is weighed against speed and price.
Where it gives counts alone: Wilson's lower bound, "Probable inference", JASA 22, 1927.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ctorrent.market.price import REFERENCE_GFLOPS
from ctorrent.model.ids import NodeId


@dataclass(frozen=True, slots=True)
class Rules:
    """Ranges of the factors, and shares."""

    finishes_min: float = 0.05  # a peer back from a bad week ranks low, not nowhere
    reliability_min: float = 0.02  # likewise; the distrusted are refused, not ranked
    speed_min: float = 0.01  # reference cores: slower peers rank alike
    speed_max: float = 100.0  # one claim must not outweigh everything else
    price_min: float = 0.01  # credits: when neither peer nor job names a price
    z: float = 1.645  # one-sided 95 %
    reliability_newcomer: float = 0.13  # Wilson's bound for somebody never seen: what strangers are taken for
    newcomer_votes: float = 10.0  # where no ledger says: agreed and disputed together, below which one is a newcomer
    observed_blocks: int = 3  # then the observed speed replaces the claim
    share_newcomers: float = 0.25  # of the slots wanted, while others fit
    share_owner: float = 1 / 3


@dataclass(frozen=True, slots=True)
class Standing:
    """What this node concludes of a peer, decayed counts. `finished`, `lost`: assignments, own experience only."""

    agreed: float = 0.0
    disputed: float = 0.0
    finished: float = 0.0
    lost: float = 0.0
    reliability: float | None = None  # the ledger's lower bound on its share of right blocks; None: from the counts
    newcomer: bool | None = None  # must it still pay its dues? None: from the counts
    held: str = ""  # quarantined: why, since when, and its way back; its bids are refused with these words


@dataclass(frozen=True, slots=True)
class Bidder:
    """A checked bid. `trusted`: this node's own, or a friend's: never a newcomer."""

    node: NodeId
    owner: str
    slots: int
    credit: int
    speed_gflops: float  # claimed, per slot
    price: float
    isolation: int = 1
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Ranked:
    """A bidder with its score and the factors behind it, for `why`."""

    bidder: Bidder
    score: float
    newcomer: bool
    finishes: float
    reliability: float
    speed: float  # reference cores a slot
    price: float


Speeds = Mapping[NodeId, float]  # observed, GFLOP/s per slot; absent before `observed_blocks`


def score(
    bidder: Bidder, standing: Standing, observed_gflops: float | None, price_floor: float, rules: Rules
) -> Ranked:
    """Rank one bidder. price_floor: the job's, credits per reference core-hour."""
    finishes = _clip((standing.finished + 1) / (standing.finished + standing.lost + 2), rules.finishes_min, 1.0)
    reliability = _clip(_reliability(standing, rules), rules.reliability_min, 1.0)
    claimed = bidder.speed_gflops
    gflops = claimed if observed_gflops is None else min(claimed, observed_gflops) if claimed > 0 else observed_gflops
    speed = _clip(gflops / REFERENCE_GFLOPS, rules.speed_min, rules.speed_max)
    price = max(bidder.price, price_floor, rules.price_min)
    few = standing.agreed + standing.disputed < rules.newcomer_votes if standing.newcomer is None else standing.newcomer
    newcomer = few and not bidder.trusted
    value = finishes * reliability * speed / price
    return Ranked(bidder, value, newcomer, finishes, reliability, speed, price)


def lower_bound(agreed: float, disputed: float, z: float) -> float:
    """Wilson's lower bound of the share of agreed, after one of each was added: strangers start at 0.13, not 0."""
    good, n = agreed + 1.0, agreed + disputed + 2.0
    if not (n < math.inf and agreed >= 0 and disputed >= 0):
        return 0.0
    p, zz = good / n, z * z
    return (p + zz / (2 * n) - z * math.sqrt(p * (1 - p) / n + zz / (4 * n * n))) / (1 + zz / n)


def _reliability(standing: Standing, rules: Rules) -> float:
    """The ledger's bound; nobody is taken for worse than a stranger for having begun, but for having been wrong."""
    if standing.reliability is None:
        return lower_bound(standing.agreed, standing.disputed, rules.z)
    begun = rules.reliability_newcomer if standing.disputed * 9 <= standing.agreed + 1 else 0.0
    return max(standing.reliability, begun)


def observed_speeds(
    measured: Mapping[NodeId, tuple[int, float]], claimed: Mapping[NodeId, float], rules: Rules
) -> dict[NodeId, float]:
    """GFLOP/s per slot from blocks done and slot seconds taken, in one job.

    What a block costs is not known: it is taken as the median over peers of claim × seconds per block, so that one
    liar moves nothing while most claims hold.
    """
    each = {
        node: seconds / blocks
        for node, (blocks, seconds) in measured.items()
        if blocks >= rules.observed_blocks and seconds > 0
    }
    costs = sorted(each[node] * claimed[node] for node in each if claimed.get(node, 0.0) > 0)
    if not costs:
        return {}
    cost = costs[(len(costs) - 1) // 2]
    return {node: cost / seconds for node, seconds in each.items()}


def order(ranked: Iterable[Ranked]) -> list[Ranked]:
    """Best first; ties break on node id."""
    return sorted(ranked, key=lambda r: (-r.score, r.bidder.node))


def choose(
    candidates: Iterable[Ranked],
    engaged: Iterable[Ranked],
    fill: int,
    wanted: int,
    rules: Rules,
    strict: bool = False,
) -> list[Ranked]:
    """Whom to engage so that `fill` of the `wanted` slots are taken: best first within the shares of `wanted`.

    Then whoever is left, since no others fit; not when `strict`: others may still bid.
    """
    have = list(engaged)
    slots = sum(r.bidder.slots for r in have)
    chosen: list[Ranked] = []
    queue = order(candidates)
    for capped in (True,) if strict else (True, False):
        for one in list(queue):
            if slots >= fill:
                return chosen
            if capped and not _within(one, have, wanted, rules):
                continue
            queue.remove(one)
            chosen.append(one)
            have.append(one)
            slots += one.bidder.slots
    return chosen


def _within(one: Ranked, have: list[Ranked], wanted: int, rules: Rules) -> bool:
    """Would it keep its owner's share and the newcomers'? The first of either always may come."""
    of_owner = sum(r.bidder.slots for r in have if r.bidder.owner == one.bidder.owner)
    fresh = sum(r.bidder.slots for r in have if r.newcomer)
    if of_owner and of_owner + one.bidder.slots > wanted * rules.share_owner:
        return False
    return not (one.newcomer and fresh and fresh + one.bidder.slots > wanted * rules.share_newcomers)


def _clip(value: float, low: float, high: float) -> float:
    return low if not value > low else min(value, high)
