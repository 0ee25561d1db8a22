"""Who is paid what: honest machines that differ, and those that say what suits them."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

import pytest

from ctorrent.market.pay import Earned, Pay, PayRules, Terms
from ctorrent.market.price import Prices, price_for, worth
from ctorrent.model.ids import NodeId
from ctorrent.model.result import Usage
from ctorrent.model.trade import GPU_CORES

HOUR = 3600.0
ANN, BEN, CAT = NodeId("ann"), NodeId("ben"), NodeId("cat")


def terms(owner: str, price: float = 1.0, gflops: float = 10.0, tflops: float = 10.0) -> Terms:
    return Terms(owner, price, gflops, tflops)


def ran(pay: Pay, worker: NodeId, index: int, hours: float, *, out: float = 1e9, gpu: float = 0.0, **how: float) -> None:
    pay.worked(worker, terms(f"own_{worker}", **how), [index], [Usage(cpu_s=hours * HOUR, gpu_s=gpu * HOUR)], out, out)


def test_both_who_agree_are_paid_what_the_cheaper_of_them_says() -> None:
    pay = Pay()
    ran(pay, ANN, 0, 2.0)
    ran(pay, BEN, 0, 50.0)
    assert pay.withheld()[BEN].credits == 50.0 and not pay.workers()
    assert pay.settled(0, [ANN, BEN]) == [ANN, BEN]
    assert pay.due(ANN) == Earned(1, 2.0, 0.0, 2.0) == pay.due(BEN)
    assert not pay.withheld()


def test_the_outvoted_and_the_revoked_earn_nothing() -> None:
    pay = Pay()
    for worker in (ANN, BEN, CAT):
        ran(pay, worker, 0, 1.0)
        ran(pay, worker, 1, 1.0)
    pay.revoked(1)
    assert pay.settled(0, [ANN, BEN]) == [ANN, BEN]
    assert pay.settled(1, [ANN, BEN]) == []
    assert pay.workers() == [ANN, BEN] and pay.take(CAT) == Earned()


def test_a_bill_is_made_once() -> None:
    pay = Pay()
    ran(pay, ANN, 0, 1.0)
    pay.settled(0, [ANN])
    assert pay.take(ANN).blocks == 1 and pay.take(ANN) == Earned()
    pay.restore(ANN, Earned(3, 1.5, 0.0, 1.5))
    assert pay.due(ANN) == Earned(3, 1.5, 0.0, 1.5)


def test_two_nodes_of_one_owner_are_paid_once() -> None:
    pay = Pay()
    for worker, said in ((ANN, 1.0), (BEN, 2.0)):
        pay.worked(worker, terms("own_one"), [0], [Usage(cpu_s=said * HOUR)], 1e9, 1e9)
    assert pay.settled(0, [ANN, BEN]) == [ANN]


def test_nobody_used_more_than_its_cores_in_the_time_it_was_out() -> None:
    pay = Pay()
    ran(pay, ANN, 0, 5.0, out=2 * HOUR)
    pay.settled(0, [ANN])
    assert pay.due(ANN).core_hours == pytest.approx(2.0)


def test_a_gpu_hour_counts_as_ten_core_hours_and_is_asked_for_by_one_figure() -> None:
    prices = Prices(core_hour=1.0, gpu_hour=20.0)
    asked = price_for(prices, friend=False, gpu=True)
    assert asked == 20.0 / GPU_CORES and price_for(prices, friend=True, gpu=True) == 0.0
    pay = Pay()
    ran(pay, ANN, 0, 0.0, gpu=0.5, price=asked, tflops=40.0)
    pay.settled(0, [ANN])
    assert pay.due(ANN) == Earned(1, 0.0, 2.0, worth(asked, 0.0, 2.0))
    assert pay.due(ANN).credits == pytest.approx(40.0)


Says = Callable[[NodeId, float, random.Random, bool], float]  # worker, true cost, dice, "both are in the ring" -> its figure


def market(says: Says, seed: int, lone: float = 0.0, liars: int = 1, blocks: int = 2000) -> dict[str, float]:
    """Ten owners, two drawn a block; a share of blocks runs alone. -> paid ÷ what the work took, of liars and of the honest.

    The liars follow `says`; the others say what it took, by clocks and benchmarks that differ by a fifth.
    """
    dice, pay = random.Random(seed), Pay()
    workers = [NodeId(f"{'r' if n < liars else 'h'}{n}") for n in range(10)]
    pace = {worker: dice.uniform(0.9, 1.1) for worker in workers}
    true = dict.fromkeys(workers, 0.0)
    for index in range(blocks):
        cost = dice.lognormvariate(0.0, 0.5)
        drawn = dice.sample(workers, 1 if dice.random() < lone and index > 100 else 2)
        ring = all(worker.startswith("r") for worker in drawn) and len(drawn) > 1
        for worker in drawn:
            fair = cost * pace[worker] * dice.uniform(0.95, 1.05)
            ran(pay, worker, index, says(worker, fair, dice, ring) if worker.startswith("r") else fair)
            true[worker] += cost
        pay.settled(index, drawn)
    paid = {worker: pay.take(worker).core_hours / true[worker] for worker in workers}
    honest = [paid[worker] for worker in workers if worker.startswith("h")]
    return {"ring": sum(paid[worker] for worker in workers[:liars]) / liars, "honest": sum(honest) / len(honest), "least": min(honest)}


def always(_: NodeId, fair: float, __: random.Random, ___: bool) -> float:
    return 10 * fair


def sometimes(_: NodeId, fair: float, dice: random.Random, __: bool) -> float:
    return fair * (10 if dice.random() < 0.1 else 1)


def small_true_large_false(_: NodeId, fair: float, __: random.Random, ___: bool) -> float:
    return fair * (10 if fair > 2 else 1)


def nothing(_: NodeId, __: float, ___: random.Random, ____: bool) -> float:
    return 0.0


def low_then_high(_: NodeId, fair: float, __: random.Random, ___: bool) -> float:
    return fair * (10 if fair > 2 else 0.1)


def together(_: NodeId, fair: float, __: random.Random, ring: bool) -> float:
    return 10 * fair if ring else fair


def fairly(_: NodeId, fair: float, __: random.Random, ___: bool) -> float:
    return fair


@pytest.mark.parametrize("lone", [0.0, 0.85])
@pytest.mark.parametrize("says", [always, sometimes, small_true_large_false, nothing, low_then_high])
def test_what_one_liar_says_does_not_pay(says: Says, lone: float) -> None:
    """It earns no more than by telling the truth, and takes nothing from those who do. Over three markets."""
    told, true = over_seeds(says, lone, 1), over_seeds(fairly, lone, 1)
    assert told["ring"] <= 1.08 * true["ring"], (told, true)
    assert told["honest"] >= 0.97 * true["honest"] and told["least"] >= 0.85, (told, true)
    assert true["least"] >= 0.85 and true["honest"] <= 1.1, true


@pytest.mark.parametrize("lone", [0.0, 0.85])
@pytest.mark.parametrize(("says", "gain"), [(always, 1.1), (sometimes, 1.1), (nothing, 0.0), (together, 2.3)])
def test_what_two_of_ten_gain_together(says: Says, gain: float, lone: float) -> None:
    """Tenfold where they know that they are alone with each other, in one of nine of their blocks: about twice the pay."""
    told, true = over_seeds(says, lone, 2), over_seeds(fairly, lone, 2)
    assert told["ring"] <= gain * true["ring"], (told, true)
    assert told["honest"] >= 0.97 * true["honest"] and told["least"] >= 0.85, (told, true)


@cache
def over_seeds(says: Says, lone: float, liars: int) -> dict[str, float]:
    found = [market(says, seed, lone, liars) for seed in range(3)]
    return {name: sum(one[name] for one in found) / 3 for name in found[0]}


def test_of_two_owners_who_differ_the_less_is_paid() -> None:
    """Is one too high or the other too low? With two nobody can tell; inflating never pays."""
    pay = Pay()
    for index in range(20):
        ran(pay, ANN, index, 10.0)
        ran(pay, BEN, index, 1.0)
        pay.settled(index, [ANN, BEN])
    assert pay.due(ANN).core_hours == pytest.approx(20.0) == pay.due(BEN).core_hours


def test_an_honest_owner_is_paid_in_full_beside_one_that_says_nothing() -> None:
    pay, others = Pay(), [NodeId(f"h{n}") for n in range(3)]
    for index in range(90):
        ran(pay, others[index % 3], index, 1.0)
        ran(pay, BEN, index, 0.0)
        pay.settled(index, [others[index % 3], BEN])
    assert all(pay.due(one).core_hours >= 28 for one in others) and pay.take(BEN).credits == 0.0


def test_figures_are_bounded_by_blocks_under_way() -> None:
    pay = Pay()
    for index in range(1000):
        ran(pay, ANN, index, 1.0)
        ran(pay, BEN, index, 1.0)
        pay.settled(index, [ANN, BEN])
    assert not pay._claims and len(pay._costs) == PayRules().remembered
    assert all(len(record.beside) <= PayRules().remembered for record in pay._owners.values())
