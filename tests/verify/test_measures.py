"""Measures of floats taken together, told as stories of honest outputs and of crafted ones."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ctorrent import canon
from ctorrent.errors import Malformed
from ctorrent.model.job import Equality, Verify
from ctorrent.model.result import Outcome
from ctorrent.verify.compare import Different, Same, same
from ctorrent.verify.measures import chance_of, least_sample, most_apart

NORM = Verify(equal=Equality.RELATIVE_NORM, rtol=1e-3)
TOP = Verify(equal=Equality.TOPK, rtol=1e-3, top=3)
STAT = Verify(equal=Equality.STATISTICAL, alpha=0.01)
ALL = [Verify(equal=e, rtol=1e-3, top=3, alpha=0.01) for e in Equality if e is not Equality.SCRIPT]


def value(thing: Any) -> bytes:
    return Outcome(canon.encode(thing)).output()


def words(left: Any, right: Any, policy: Verify) -> str:
    """The difference in words, or "" for the same; always the same seen from the other side."""
    found, back = same(value(left), value(right), policy), same(value(right), value(left), policy)
    assert isinstance(found, Same) == isinstance(back, Same)
    return found.words if isinstance(found, Different) else ""


# relative-norm -------------------------------------------------------------------------------------------------------


def test_a_vector_is_one_thing_and_a_small_entry_of_it_may_be_far_off() -> None:
    left = np.full(1000, 3.0)
    right = left.copy()
    right[7] += 0.05  # 5e-4 of the length
    assert words(left, right, NORM) == ""
    assert words(left.tolist(), right.tolist(), NORM) == ""
    right[7] += 0.5
    assert words({"w": left}, {"w": right}, NORM) == 'result["w"]: as vectors they are 0.0058 of their length apart'
    assert words(left, right, Verify(rtol=1e-3)) != "", "entry by entry it was different before"


def test_each_vector_is_measured_by_itself_so_that_a_small_one_hides_behind_no_large_one() -> None:
    left = {"big": np.full(9, 1e9), "small": [1.0, 2.0], "loss": 0.5}
    assert words(left, {**left, "small": [1.0, 3.0]}, NORM).startswith('result["small"]')
    assert words(left, {**left, "loss": 0.6}, NORM) == 'result["loss"] is 0.5 and 0.6'


def test_complex_and_half_precision_have_lengths_too() -> None:
    left = np.array([3 + 4j, 1j] * 5)
    assert words(left, left * (1 + 1e-4), NORM) == ""
    assert words(left, left.conj(), NORM) != ""
    halves = np.full(500, 60000, dtype="f2")  # whose squares are no half-precision numbers
    assert words(halves, halves + np.float16(32), NORM) == ""
    assert words(halves, -halves, NORM) != ""


@pytest.mark.parametrize("size", [1e300, 1e-300, 5e-324])
def test_lengths_neither_overflow_nor_vanish(size: float) -> None:
    left = np.full(8, size)
    assert words(left, -left, Verify(equal=Equality.RELATIVE_NORM, rtol=1e-3, atol=0.0)) != ""
    assert words(left, left[::-1], NORM) == ""


# topk ----------------------------------------------------------------------------------------------------------------


def test_only_the_largest_matter_and_they_must_be_the_same() -> None:
    left = [0.1, 9.0, 0.2, 8.0, 7.0, 0.3]
    assert words(left, [0.0, 9.0, -5.0, 8.0, 7.0, 6.0], TOP) == ""
    assert words(left, [7.5, 9.0, 0.2, 8.0, 7.0, 0.3], TOP) == "result[0] is 0.1 and 7.5, of the 3 largest"
    assert words(left, [0.1, 9.5, 0.2, 8.0, 7.0, 0.3], TOP) == "result[1] is 9.0 and 9.5, of the 3 largest"
    scores = dict(zip("abcdef", left, strict=True))
    assert words(scores, {**scores, "a": -1.0}, TOP) == ""
    assert words(scores, {**scores, "a": 10.0}, TOP).startswith('result["a"] is 0.1 and 10.0')


def test_rows_of_an_array_are_ranked_one_by_one() -> None:
    left = np.random.default_rng(1).normal(size=(40, 50)).astype("f4")
    right = left.copy()
    assert words(left, right * (1 + 1e-6), TOP) == ""
    lowest = int(left[33].argmin())
    right[33, lowest] = 100.0
    assert words({"p": left}, {"p": right}, TOP).startswith(f'result["p"][33, {lowest}] is ')
    whole = np.array([[5, 1, 9, 9, 3]])
    assert words(whole, np.array([[4, 1, 9, 9, 3]]), Verify(equal=Equality.TOPK, top=2)) == ""
    assert words(whole, np.array([[5, 1, 9, 8, 3]]), Verify(equal=Equality.TOPK, top=2)) != ""
    far = np.array([2**53 + 1, 2**53 + 3, 5])
    assert words(far, far - np.array([1, 0, 0]), Verify(equal=Equality.TOPK, top=1)) != "", "no float64 tells those apart"


def test_a_near_tie_at_the_edge_may_fall_either_way() -> None:
    left, right = [9.0, 8.0, 7.0, 6.9999], [9.0, 8.0, 6.9999, 7.0]
    assert words(left, right, TOP) == ""
    assert words(left, [9.0, 8.0, 6.5, 7.0], TOP) != ""


@pytest.mark.parametrize("crafted", [[7.0] * 6, [9.0] * 6, [math.nan] * 6, [math.inf] * 6, [9.0, 8.0, 7.0] * 2, [0.0] * 6])
def test_a_row_that_would_be_near_every_other_is_near_none(crafted: list[float]) -> None:
    rows = [[0.1, 9.0, 0.2, 8.0, 7.0, 0.3], [9.0, 0.1, 0.2, 0.3, 8.0, 7.0], [7.0, 0.0, 9.0, 0.0, 8.0, 0.0]]
    for top in (1, 2, 3):
        policy = Verify(equal=Equality.TOPK, top=top, rtol=1e-3)
        assert all(words(row, crafted, policy) for row in rows)


# stat ----------------------------------------------------------------------------------------------------------------


def test_the_test_is_scipys() -> None:
    draw = random.Random(3)
    for _ in range(40):
        size = draw.randrange(2, 300)
        left = np.array([draw.gauss(0, 1) for _ in range(size)])
        right = np.array([draw.gauss(draw.random(), 1) for _ in range(size)])
        told = stats.ks_2samp(left, right, method="exact")
        distance = most_apart(left, right)
        assert distance / size == pytest.approx(told.statistic)
        assert chance_of(distance, size) == pytest.approx(told.pvalue, rel=1e-6, abs=1e-12)


def test_two_draws_of_one_distribution_are_the_same_and_as_often_as_promised() -> None:
    draw = np.random.default_rng(5)
    policy = Verify(equal=Equality.STATISTICAL, alpha=0.05)
    apart = sum(words(draw.normal(size=400), draw.normal(size=400), policy) != "" for _ in range(300))
    assert 2 <= apart <= 30, "15 in 300 are what alpha allows"
    assert words(draw.normal(size=4000), draw.normal(size=4000) + 0.3, STAT).startswith("result: samples of 4000 whose")
    assert words(draw.normal(size=4000), draw.normal(size=4000) * 1.3, STAT) != ""


def test_alpha_is_of_the_output_however_many_samples_it_has() -> None:
    draw = np.random.default_rng(6)
    policy = Verify(equal=Equality.STATISTICAL, alpha=0.05)
    apart = 0
    for _ in range(60):
        left, right = ({str(k): draw.normal(size=60) for k in range(25)} for _ in range(2))
        apart += words(left, right, policy) != ""
    assert apart <= 10, "25 tests at 0.05 each would tell 43 of 60 apart"


def test_short_samples_are_numbers_and_all_else_is_exact() -> None:
    assert least_sample(0.01) == 22
    assert words([1.0] * 21, [2.0] * 21, STAT) == "result[0] is 1.0 and 2.0"
    assert words({"n": 3, "x": [1.0] * 22}, {"n": 4, "x": [1.0] * 22}, STAT) == 'result["n"] is 3 and 4'
    assert words([1.0] * 30, [1.0] * 29, STAT) == "result has 30 and 29 items"


@pytest.mark.parametrize("alpha", [0.05, 0.01, 1e-4])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_sample_that_would_pass_beside_every_other_passes_beside_none(alpha: float, size: int) -> None:
    """Half of it far below and half far above is the nearest that one can come to all."""
    policy = Verify(equal=Equality.STATISTICAL, alpha=alpha)
    count = least_sample(alpha) * size + 1
    honest = np.random.default_rng(1).normal(size=count)
    for crafted in (np.where(np.arange(count) % 2, 1e300, -1e300), np.zeros(count), np.full(count, math.nan), np.full(count, math.inf)):
        assert words(honest, crafted, policy) != ""
        assert words(honest[:-1], crafted, policy) != "", "no other size either"


# all of them ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ALL, ids=lambda v: v.equal.name)
def test_games_with_what_is_no_number(policy: Verify) -> None:
    honest = np.linspace(1.0, 2.0, 64)
    for wrong in (math.nan, math.inf, -math.inf):
        for whole in (True, False):
            crafted = np.full(64, wrong) if whole else np.where(np.arange(64) == 63, wrong, honest)
            if policy.equal is Equality.STATISTICAL and not whole:
                continue  # one entry of 64 changes no distribution, whatever it is
            assert words(honest, crafted, policy) != ""
            assert words({"a": honest.tolist()}, {"a": crafted.tolist()}, policy) != ""
            assert words(crafted, crafted[:], policy) == ""
    assert words(honest, np.linspace(1.0, 2.0, 64) + 0j, policy) != ""


@pytest.mark.parametrize("policy", ALL, ids=lambda v: v.equal.name)
def test_empty_arrays_scalars_and_zeros(policy: Verify) -> None:
    assert words(np.zeros((0, 5)), np.zeros((0, 5)), policy) == ""
    assert words(np.zeros((0, 5)), np.zeros((5, 0)), policy) != ""
    assert words([], [0.0], policy) != "" and words({}, {"a": 1.0}, policy) != ""
    assert words(np.array(2.0), np.array(2.0), policy) == "" and words(np.array(2.0), np.array(3.0), policy) != ""
    zeros = words(np.zeros(30), -np.zeros(30), policy)
    assert bool(zeros) == (policy.equal is Equality.EXACT)
    nothing = np.zeros(30)
    assert words(nothing, nothing + 1.0, policy) != ""


@pytest.mark.parametrize("policy", ALL, ids=lambda v: v.equal.name)
@pytest.mark.parametrize("output", [b"", b"\x00", b"\x00\xc7\x05\x01\x93\xa3<f8\x91", b"\x00" + b"\x91" * 999])
def test_hostile_bytes_are_malformed_under_each(policy: Verify, output: bytes) -> None:
    with pytest.raises(Malformed):
        same(output, value([1.0]), policy)


def test_a_shape_that_promises_more_than_there_is_costs_nothing() -> None:
    shape = b"\x92\xcf" + (1 << 40).to_bytes(8, "big") + b"\xcf" + (1 << 40).to_bytes(8, "big")
    inner = b"\x93\xa3<f4" + shape + b"\xc4\x04\x00\x00\x80\x3f"
    crafted = b"\x00\xc7" + bytes([len(inner)]) + b"\x01" + inner
    for policy in ALL:
        with pytest.raises(Malformed):
            same(crafted, value(np.ones(1, dtype="f4")), policy)


SPECIAL = st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 1.0, 1.0 + 1e-9])
FLOAT = st.floats() | SPECIAL


def singles(row: list[float]) -> Any:
    with np.errstate(all="ignore"):
        return np.array(row).astype("f4")


ROW = st.lists(FLOAT, min_size=1, max_size=30)
LEAF = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | FLOAT | st.text(max_size=3) | ROW | ROW.map(np.array) | ROW.map(singles)
VALUES = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=4), max_leaves=8)


@settings(max_examples=300, deadline=None)
@given(left=VALUES, right=VALUES)
def test_a_value_is_the_same_as_itself_and_no_measure_has_sides(left: Any, right: Any) -> None:
    left_bytes, right_bytes = value(left), value(right)
    for policy in ALL:
        assert same(left_bytes, left_bytes, policy) == Same()
        found, back = same(left_bytes, right_bytes, policy), same(right_bytes, left_bytes, policy)
        assert isinstance(found, Same) == isinstance(back, Same), policy


@settings(max_examples=200, deadline=None)
@given(row=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), noise=st.floats(-1e-9, 1e-9))
def test_what_differs_by_rounding_is_the_same_under_each(row: list[float], noise: float) -> None:
    other = [each * (1 + noise) for each in row]
    for policy in ALL:
        if policy.equal is not Equality.EXACT:
            assert same(value(row), value(other), policy) == Same(), policy
