"""Token buckets."""

from __future__ import annotations

from ctorrent.net.cures.budget import Budgets


def test_a_burst_and_then_a_rate() -> None:
    budgets = Budgets(burst=3, per_s=2)
    assert [budgets.take("a", 0) for _ in range(4)] == [True, True, True, False]
    assert [budgets.take("a", 1) for _ in range(3)] == [True, True, False]


def test_each_has_its_own() -> None:
    budgets = Budgets(burst=1, per_s=1)
    assert budgets.take("a", 0) and budgets.take("b", 0) and not budgets.take("a", 0)


def test_waiting_gives_no_more_than_the_burst() -> None:
    budgets = Budgets(burst=2, per_s=1)
    budgets.take("a", 0)
    assert [budgets.take("a", 1_000) for _ in range(3)] == [True, True, False]


def test_invented_keys_do_not_grow_it() -> None:
    budgets = Budgets(burst=1, per_s=1, keys_max=10)
    for key in range(1_000):
        budgets.take(key, 0)
    assert len(budgets._buckets) == 10
