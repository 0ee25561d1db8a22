"""What a block computes: the same bits with numpy and without, and the right ones."""

from __future__ import annotations

import math
import struct
import tracemalloc
from array import array
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctorrent.errors import LocalError
from ctorrent.workloads.softmax import block, plan
from ctorrent.workloads.softmax.table import Table


@given(st.integers(1, 9), st.integers(1, 6), st.integers(2, 5), st.integers(0, 2**32), st.sampled_from([1e-3, 1.0, 50.0]))
def test_numpy_changes_no_bit(rows: int, features: int, classes: int, seed: int, size: float) -> None:
    draw = numpy.random.default_rng(seed)
    values = array("d", (size * draw.standard_normal(rows * features)).tolist())
    labels = [int(one) for one in draw.integers(0, classes, rows)]
    weights = draw.standard_normal((features + 1) * classes).tobytes()
    for _ in range(3):
        plain = block._passed(weights, rows, features, classes, labels, values, 0.5)
        assert block._passed_numpy(weights, rows, features, classes, labels, values, 0.5) == plain
        weights = plain


@given(st.floats(-800, 0))
def test_powers_are_right(x: float) -> None:
    assert math.isclose(block._exp(x), math.exp(x), rel_tol=4e-16, abs_tol=1e-304)
    assert struct.pack("<d", block._exp_numpy(numpy.array([x]))[0]) == struct.pack("<d", block._exp(x))


def test_one_step_is_the_gradient() -> None:
    """Against softmax regression as books have it, by numpy's own exp and sums."""
    draw = numpy.random.default_rng(7)
    rows, labels = draw.standard_normal((block.BATCH, 3)), [0, 1, 1, 2]
    weights = draw.standard_normal((4, 3))
    scores = rows @ weights[:-1] + weights[-1]
    shares = numpy.exp(scores) / numpy.exp(scores).sum(axis=1, keepdims=True)
    shares[numpy.arange(block.BATCH), labels] -= 1
    expected = weights.copy()
    expected[:-1] -= 0.1 * (rows.T @ shares / block.BATCH + block.SHRINK * weights[:-1])
    expected[-1] -= 0.1 * shares.mean(axis=0)
    found = block._passed(weights.tobytes(), block.BATCH, 3, 3, labels, array("d", rows.ravel().tolist()), 0.1)
    assert numpy.allclose(numpy.frombuffer(found).reshape(4, 3), expected, rtol=1e-12)


def test_a_shard_comes_back_as_it_was() -> None:
    values = array("d", [1.5, -0.0, 3e-300, 4.0])
    assert block.read(block.write(2, 2, 3, [2, 0], values)) == (2, 2, 3, array("H", [2, 0]), values)


def test_what_is_held_out_depends_on_the_rows_alone() -> None:
    labels = [n % 3 for n in range(150)]
    learned, held = plan.split(labels)
    assert (learned, held) == plan.split(labels)
    assert sorted(learned + held) == list(range(150))
    assert [sum(labels[row] == kind for row in held) for kind in range(3)] == [10, 10, 10]
    assert plan.split([0, 0, 1, 1])[1], "of two rows of a class one is held out"


def test_features_are_scaled_by_what_is_learned_from() -> None:
    values = array("d", [number for n in range(10) for number in (n, 5.0, 1e300 * (n - 5))])
    table = Table(("n", "same", "large"), ("x", "y"), values, array("H", [n % 2 for n in range(10)]))
    made = plan.make(table)
    _, _, _, _, scaled = block.read(made.shards[0])
    assert all(math.isfinite(number) and abs(number) < 3 for number in scaled)
    assert made.mean[1] == 5.0 and made.scale[1] == 1.0, "a column of one value is no reason to divide by zero"


def test_what_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "WEIGHTS_MAX", 3)
    table = Table(("n",), ("x", "y"), array("d", range(4)), array("H", [0, 1, 0, 1]))
    with pytest.raises(LocalError, match="1 columns and 2 classes make a model of 4 weights"):
        plan.make(table)


def test_averages_weigh_by_rows() -> None:
    parts = [block.little(array("d", [1.0, 2.0])), block.little(array("d", [4.0, -2.0]))]
    assert list(block.floats(plan.average(parts, [2, 1]))) == pytest.approx([2.0, 2 / 3])


def test_the_program_of_a_block_needs_nothing_of_ours() -> None:
    assert "ctorrent" not in Path(block.__file__).read_text().replace("ctorrent/softmax", "")


def test_the_average_holds_one_part_at_a_time() -> None:
    """A table of 5,120 rows, 2,000 columns and 1,000 classes has 512 parts of 16 MB."""
    size, count = 1 << 14, 101
    tracemalloc.start()
    try:
        found = plan.average((block.little(array("d", [float(number)] * (size // 8))) for number in range(count)), [1] * count)
        assert tracemalloc.get_traced_memory()[1] < 40 * size
    finally:
        tracemalloc.stop()
    assert next(iter(set(block.floats(found)))) == pytest.approx(50.0)
