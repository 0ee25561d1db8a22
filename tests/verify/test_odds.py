"""How likely an honest worker looks so bad: against the sum of all terms, exactly."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest

from ctorrent.verify.odds import tail


def exactly(wrong: int, checked: int, rate: Fraction) -> float:
    return float(sum(comb(checked, k) * rate**k * (1 - rate) ** (checked - k) for k in range(wrong, checked + 1)))


@pytest.mark.parametrize("rate", [Fraction(1, 100), Fraction(1, 250), Fraction(3, 10), Fraction(99, 100)])
@pytest.mark.parametrize(("wrong", "checked"), [(1, 1), (1, 50), (3, 3), (4, 11), (7, 400), (30, 60), (400, 400), (0, 9)])
def test_it_is_the_binomial_tail(wrong: int, checked: int, rate: Fraction) -> None:
    assert tail(wrong, checked, float(rate)) == pytest.approx(exactly(wrong, checked, rate), rel=2e-3, abs=1e-300)


@pytest.mark.parametrize(
    ("wrong", "checked", "rate", "found"),
    [(0, 0, 0.5, 1.0), (-3, 5, 0.5, 1.0), (1, 0, 0.5, 0.0), (9, 8, 0.5, 0.0), (1, 5, 0.0, 0.0), (1, 5, -1.0, 0.0), (5, 5, 1.0, 1.0)],
)
def test_the_edges_are_defined(wrong: int, checked: int, rate: float, found: float) -> None:
    assert tail(wrong, checked, rate) == found


def test_more_wrong_is_never_more_likely() -> None:
    odds = [tail(wrong, 40, 0.01) for wrong in range(42)]
    assert odds == sorted(odds, reverse=True)


def test_four_of_eleven_are_too_many_at_one_in_a_hundred_and_three_are_not() -> None:
    assert tail(4, 11, 0.01) < 1e-5 < tail(3, 11, 0.01)
