"""Scores and shares."""

from __future__ import annotations

import math
import random

import pytest

from ctorrent.market import answer
from ctorrent.market.price import Prices, price_for, reference_core_hours
from ctorrent.market.rank import (
    Bidder,
    Ranked,
    Rules,
    Standing,
    choose,
    lower_bound,
    observed_speeds,
    order,
    score,
)
from ctorrent.model.ids import NodeId
from ctorrent.model.result import Usage

RULES = Rules()
KNOWN = Standing(agreed=100, finished=50)


def bidder(name: str, owner: str = "", slots: int = 1, speed: float = 10.0, price: float = 1.0, trusted: bool = False) -> Bidder:
    return Bidder(NodeId(name), owner or f"own_{name}", slots, slots, speed, price, trusted=trusted)


def ranked(name: str, standing: Standing = KNOWN, **more: object) -> Ranked:
    return score(bidder(name, **more), standing, None, 0.0, RULES)  # type: ignore[arg-type]


def test_the_score_is_the_product_of_its_factors() -> None:
    one = score(bidder("a", speed=20.0, price=2.0), KNOWN, None, 0.5, RULES)
    assert one.score == pytest.approx(one.finishes * one.reliability * one.speed / one.price)
    assert (one.finishes, one.speed, one.price) == (pytest.approx(51 / 52), 2.0, 2.0)


def test_below_the_jobs_floor_cheaper_is_not_better() -> None:
    cheap, free = (score(bidder("a", price=p), KNOWN, None, 0.5, RULES) for p in (0.4, 0.0))
    assert cheap.score == free.score


def test_an_observed_speed_below_the_claim_counts() -> None:
    assert score(bidder("a", speed=50.0), KNOWN, 5.0, 1.0, RULES).speed == 0.5
    assert score(bidder("a", speed=5.0), KNOWN, 50.0, 1.0, RULES).speed == 0.5, "nor does a modest claim grow"
    assert score(bidder("a", speed=0.0), KNOWN, 5.0, 1.0, RULES).speed == 0.5, "nothing claimed: what was seen"


@pytest.mark.parametrize("speed", [math.inf, math.nan, -1.0, 1e300])
def test_every_factor_keeps_to_its_range(speed: float) -> None:
    one = score(bidder("a", speed=speed), Standing(lost=1e9, disputed=1e9), None, 0.0, RULES)
    assert RULES.speed_min <= one.speed <= RULES.speed_max
    assert (one.finishes, one.reliability) == (RULES.finishes_min, RULES.reliability_min)
    assert math.isfinite(one.score) and one.score > 0


def test_the_lower_bound_grows_with_evidence_and_falls_with_disputes() -> None:
    bounds = [lower_bound(n, 0, RULES.z) for n in (0, 1, 10, 100, 1000)]
    assert bounds == sorted(bounds) and bounds[0] == pytest.approx(0.12, abs=0.02) and bounds[-1] > 0.99
    assert lower_bound(100, 20, RULES.z) < lower_bound(100, 1, RULES.z)
    assert lower_bound(math.nan, 0, RULES.z) == lower_bound(math.inf, 0, RULES.z) == 0.0


def test_who_is_a_newcomer() -> None:
    assert score(bidder("a"), Standing(agreed=9), None, 1.0, RULES).newcomer
    assert not score(bidder("a"), Standing(agreed=10), None, 1.0, RULES).newcomer
    assert not score(bidder("a", trusted=True), Standing(), None, 1.0, RULES).newcomer


def test_the_ledger_says_who_is_a_newcomer_and_how_reliable() -> None:
    many = Standing(agreed=1000, reliability=0.9, newcomer=True)
    assert score(bidder("a"), many, None, 1.0, RULES).newcomer, "on trial, whatever it did before"
    assert score(bidder("a"), many, None, 1.0, RULES).reliability == 0.9
    assert not score(bidder("a"), Standing(newcomer=False, reliability=0.5), None, 1.0, RULES).newcomer


def test_who_began_well_is_not_worse_than_who_never_came() -> None:
    never, began = Standing(reliability=0.05), Standing(agreed=1, reliability=0.22)
    failed = Standing(agreed=1, disputed=1, reliability=0.14)
    values = [score(bidder("a"), one, None, 1.0, RULES).reliability for one in (never, began, failed)]
    assert values[0] == RULES.reliability_newcomer < values[1]
    assert score(bidder("a"), Standing(disputed=1, reliability=0.03), None, 1.0, RULES).reliability < values[0]


def test_observed_speeds_put_a_boaster_in_its_place() -> None:
    a, b, c, d = (NodeId(n) for n in "abcd")
    measured = {a: (10, 10.0), b: (10, 20.0), c: (10, 20.0), d: (2, 1.0)}
    speeds = observed_speeds(measured, {a: 20.0, b: 10.0, c: 1000.0, d: 5.0}, RULES)
    assert speeds == {a: 20.0, b: 10.0, c: 10.0}, "d has too few blocks; c is as slow as b"
    assert observed_speeds({a: (10, 0.0)}, {a: 5.0}, RULES) == {}
    assert observed_speeds({a: (10, 1.0)}, {}, RULES) == {}


def test_ties_break_on_the_node_id() -> None:
    assert [r.bidder.node for r in order([ranked("c"), ranked("a"), ranked("b")])] == ["a", "b", "c"]


def test_one_owner_gets_a_third_while_others_fit() -> None:
    rich = [ranked(f"r{i}", owner="own_r", speed=900.0) for i in range(9)]
    others = [ranked(f"o{i}") for i in range(6)]
    chosen = choose(rich + others, [], 9, 9, RULES)
    assert sum(r.bidder.owner == "own_r" for r in chosen) == 3
    assert len(choose(rich, [], 9, 9, RULES)) == 9, "nobody else is there"
    assert len(choose(rich, [], 9, 9, RULES, strict=True)) == 3, "others may still bid"


def test_newcomers_get_a_quarter_while_others_fit() -> None:
    fresh = [ranked(f"n{i}", Standing(), speed=900.0) for i in range(8)]
    known = [ranked(f"k{i}") for i in range(8)]
    chosen = choose(fresh + known, [], 8, 8, RULES)
    assert sum(r.newcomer for r in chosen) == 2


def test_shares_count_those_already_engaged() -> None:
    engaged = [ranked(f"r{i}", owner="own_r") for i in range(3)]
    more = [ranked("r9", owner="own_r", speed=900.0), ranked("o1")]
    assert [r.bidder.node for r in choose(more, engaged, 4, 9, RULES)] == ["o1"]


def test_prices() -> None:
    assert price_for(Prices(), friend=True) == 0.0
    assert price_for(Prices(core_hour=2.0), friend=False) == 2.0
    assert reference_core_hours(Usage(cpu_s=3600.0), gflops=20.0) == 2.0
    assert reference_core_hours(Usage(cpu_s=1800.0), gflops=0.0) == 0.5
    assert reference_core_hours(Usage(cpu_s=-5.0), gflops=10.0) == 0.0


def test_about_as_many_dial_as_are_wanted() -> None:
    draw = random.Random(5)
    delays = [answer.dial_after(4, 1000, draw) for _ in range(1000)]
    dialling = [d for d in delays if d is not None]
    assert 2 <= len(dialling) <= 30
    assert all(0 <= d <= answer.Rules().delay_max_s for d in dialling)


def test_few_peers_all_dial_at_once_and_nobody_dials_for_nothing() -> None:
    draw = random.Random(5)
    delays = [answer.dial_after(4, 3, draw) for _ in range(50)]
    assert all(d is not None and d < 0.1 for d in delays)
    assert answer.dial_after(0, 3, draw) is None
