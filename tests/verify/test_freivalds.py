"""Checks of products: what is honest passes however it was summed, what is not is refused, and how often not is measured."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctorrent.verify import freivalds
from ctorrent.verify.freivalds import TOLERANCE, product_is_right, residual
from tests.benchmarks.freivalds import KINDS, in_steps, measured

SEED = 20_011  # of data on which no number in freivalds.py was chosen


def factors(kind: str, size: int, seed: int = SEED, dtype: str = "f4") -> tuple[Any, Any, Any]:
    draw = np.random.default_rng([seed, size])
    return KINDS[kind](draw, size).astype(dtype), KINDS[kind](draw, size).astype(dtype), draw


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 3, 40, 300])
def test_an_honest_product_passes_in_any_order_of_its_sums(kind: str, size: int) -> None:
    for seed in range(6):
        a, b, draw = factors(kind, size, SEED + seed)
        turn = draw.permutation(size)
        for c in (a @ b, a[:, turn] @ b[turn], in_steps(a, b), (b.T @ a.T).T):
            assert product_is_right(a, b, c, seed) is True
            assert residual(a, b, c, seed) < 0.5 * TOLERANCE


@pytest.mark.parametrize("dtype", ["f8", "f2", "c8", "c16", "i4", "i8", "u1"])
def test_every_dtype_of_numbers(dtype: str) -> None:
    a, b, draw = factors("normal", 60)
    a, b = ((m * 100).astype(dtype) if np.dtype(dtype).kind in "iu" else m.astype(dtype) for m in (abs(a), abs(b)))
    c = a @ b
    turn = draw.permutation(60)
    assert product_is_right(a, b, a[:, turn] @ b[turn], 1) is True
    c[20, 30] += np.dtype(dtype).type(40)
    assert "row 20 " in str(product_is_right(a, b, c, 1))


@pytest.mark.parametrize(("kind", "size"), [("normal", 40), ("normal", 500), ("positive", 40), ("positive", 500), ("rectified", 500)])
def test_factors_rounded_to_half_precision_first_are_refused(kind: str, size: int) -> None:
    a, b, _ = factors(kind, size)
    c = a.astype("f2").astype("f4") @ b.astype("f2").astype("f4")
    for draw in range(10):
        assert product_is_right(a, b, c, draw) is not True
        assert product_is_right(a, b, c, draw, precision="tf32") is True, "where the job means to compute so"


def test_miss_rates_on_fresh_data_are_those_that_are_documented() -> None:
    row = measured("normal", 512, SEED, draws=100)
    assert row.honest < 0.5 * TOLERANCE and row.half > 20 * TOLERANCE
    assert row.missed_one <= 0.10, "one probe, one entry off by a hundredth of a deviation"
    assert row.missed <= 0.01, "three probes"


def test_a_limit_of_ones_own_finds_smaller_errors() -> None:
    a, b, _ = factors("normal", 700)
    c = a @ b
    wrong = c.copy()
    wrong[5, 5] += np.float32(0.0005 * c.std())
    assert all(product_is_right(a, b, c, draw, limit=0.5) is True for draw in range(8))
    tight, usual = (sum(product_is_right(a, b, wrong, draw, limit=limit) is not True for draw in range(8)) for limit in (0.5, 0.0))
    assert tight >= 6 > usual


def test_a_row_of_zeros_an_empty_product_and_shapes() -> None:
    a, b, _ = factors("normal", 20)
    a[3] = 0
    c = a @ b
    assert product_is_right(a, b, c, 1) is True
    c[3, 3] = 1e-30
    assert "row 3 is off" in str(product_is_right(a, b, c, 1)), "nothing was to be rounded there"
    none = np.zeros((0, 20), "f4")
    assert product_is_right(none, b, none @ b, 1) is True
    assert product_is_right(np.zeros((5, 0)), np.zeros((0, 5)), np.zeros((5, 5)), 1) is True
    assert product_is_right(np.zeros((5, 0)), np.zeros((0, 5)), np.ones((5, 5)), 1) is not True
    for wrong in (c[:-1], c.astype("f8"), c.astype("f2"), c.T[:5], np.float32(1.0), c[None], "text"):
        assert str(product_is_right(a, b, wrong, 1)).startswith("it is ")


@pytest.mark.parametrize("crafted", [np.nan, np.inf, -np.inf, 3e38, 0.0])
def test_products_that_are_crafted(crafted: float) -> None:
    a, b, _ = factors("normal", 50)
    for whole in (True, False):
        c = a @ b
        c[slice(None) if whole else 7] = crafted
        assert product_is_right(a, b, c, 1) is not True


def test_one_that_knows_the_probes_passes_with_a_wrong_product_and_fails_with_others() -> None:
    """Why a check draws its probes from what nobody else knows."""
    a, b, _ = factors("normal", 50)
    x = np.random.default_rng(5).standard_normal((50, 3))
    hidden = np.linalg.svd(x.T)[2][-1]  # at right angles to every probe
    c = ((a.astype("f8") @ b) + 3.0 * np.outer(np.ones(50), hidden)).astype("f4")
    assert product_is_right(a, b, c, 5) is True
    assert product_is_right(a, b, c, 6) is not True


def test_factors_that_are_none_are_the_jobs_own_fault() -> None:
    a, b, _ = factors("normal", 5)
    for left, right, words in (
        (a[0], b, "a is no matrix"), (a, b[:3], "a has 5 columns and b has 3 rows"), (a * np.nan, b, "a holds NaN"), (a, [["x"]], "b is no matrix"),
        (a > 0, b > 0, "truth values"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            product_is_right(left, right, np.zeros((5, 5), "?") if words == "truth values" else a @ b, 1)
    with pytest.raises(ValueError, match="precision is 'fp4'"):
        product_is_right(a, b, a @ b, 1, precision="fp4")


def test_it_stands_alone() -> None:
    """It is copied into sandboxes: nothing of ours, and numpy only once it is asked."""
    tree = ast.parse(Path(freivalds.__file__).read_text(), feature_version=(3, 9))
    tops = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    froms = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert tops | froms <= {"math", "typing", "__future__"} <= sys.stdlib_module_names | {"__future__"}
