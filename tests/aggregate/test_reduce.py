"""The built-in reducers, and what they say when values do not fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ctorrent import canon
from ctorrent.aggregate.reduce import is_built_in, reduce_blocks, reducer
from ctorrent.errors import WorkError


def run(spec: str, values: Sequence[Any], params: Sequence[dict[str, Any]] | None = None) -> Any:
    given = params or [{}] * len(values)
    blocks = [(i, canon.encode(p), canon.encode(v)) for i, (p, v) in enumerate(zip(given, values, strict=True))]
    return canon.decode(reduce_blocks(spec, blocks), arrays="numpy")


def test_sums_keep_whole_numbers_whole() -> None:
    assert run("sum", [1, 2, 3]) == 6
    assert type(run("sum", [1, 2, 3])) is int
    assert run("sum", [0.5, 2]) == 2.5
    assert run("sum", [{"in": 1, "by": {"n": 2.0}}, {"in": 3, "by": {"n": 4.0}}]) == {"in": 4, "by": {"n": 6.0}}
    assert run("mean", [1, 2]) == 1.5
    assert run("mean", [{"a": 1.0}, {"a": 3.0}]) == {"a": 2.0}


def test_arrays_add_up_without_overflow() -> None:
    parts = [np.full((2, 3), 200, np.uint8), np.full((2, 3), 100, np.uint8)]
    total = run("sum", parts)
    assert total.dtype == np.uint64
    assert (total == 300).all()
    assert np.allclose(run("mean", [np.array([1, 2], np.float32), np.array([3, 5], np.float32)]), [2, 3.5])
    assert (run("sum", [{"g": np.arange(3)}, {"g": np.arange(3)}])["g"] == [0, 2, 4]).all()


def test_a_sum_is_in_index_order_whatever_else_happens() -> None:
    values = [1e16, 1.0, -1e16, 1.0]
    assert run("sum", values) == ((1e16 + 1.0) - 1e16) + 1.0
    with pytest.raises(ValueError, match="after block"):
        reduce_blocks("sum", [(1, canon.encode({}), canon.encode(1)), (0, canon.encode({}), canon.encode(1))])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["a", "b"], "block 0: result is text"),
        ([1, "b"], "block 1: result is text, in the blocks before a number"),
        ([{"a": 1}, {"b": 1}], "block 1: result has other keys"),
        ([{"a": {"b": [1]}}], r'block 0: result\["a"\]\["b"\] is a list'),
        ([np.zeros(2), np.zeros(3)], r"block 1: result has shape \(3,\)"),
        ([np.zeros(2), 1.0], "block 1: result is a number, in the blocks before an array"),
        ([None], "block 0: result is nothing"),
        ([{}], "block 0: result is a map"),
    ],
)
def test_what_cannot_be_added_is_named(values: list[Any], words: str) -> None:
    with pytest.raises(WorkError, match=words):
        run("sum", values)


def test_concat_joins_one_kind() -> None:
    assert run("concat", [[1], [2, 3], []]) == [1, 2, 3]
    assert run("concat", ["ab", "", "c"]) == "abc"
    assert run("concat", [b"ab", b"c"]) == b"abc"
    assert (run("concat", [np.zeros((1, 2)), np.ones((2, 2))]) == [[0, 0], [1, 1], [1, 1]]).all()
    for values in ([[1], "a"], [{"a": 1}], [1, 2], [np.zeros(1), np.zeros(1, np.float32)], [np.zeros((1, 2)), np.zeros((1, 3))]):
        with pytest.raises(WorkError, match="concat takes"):
            run("concat", values)


def test_a_table_has_a_row_for_each_block() -> None:
    rows = run("table", [{"loss": 0.5, "C": 9}, 7], [{"C": 1}, {"C": 2}])
    assert rows == [{"index": 0, "C": 1, "loss": 0.5, "result.C": 9}, {"index": 1, "C": 2, "value": 7}]
    assert run("table", []) == []
    assert (run("table", [np.arange(3)])[0]["value"] == [0, 1, 2]).all()


def test_the_best_is_a_row_of_the_table() -> None:
    values = [{"accuracy": 0.9}, {"accuracy": 0.97}, {"accuracy": 0.97}, {"accuracy": math.nan}]
    params = [{"C": c} for c in (0.1, 1, 10, 100)]
    assert run("best-by accuracy", values, params) == {"index": 1, "C": 1, "accuracy": 0.97}
    assert run("best-by -accuracy", values, params)["index"] == 0
    assert run("best-by value", [3, 9, 4])["index"] == 1
    assert run("best-by scores.f1", [{"scores": {"f1": 1}}, {"scores": {"f1": 2}}])["index"] == 1


@pytest.mark.parametrize(
    ("spec", "values", "words"),
    [
        ("best-by acuracy", [{"accuracy": 1.0}], "block 0: the field acuracy is not there"),
        ("best-by name", [{"name": "x"}], "the field name is text"),
        ("best-by accuracy", [0.5], "use best-by value"),
        ("best-by loss", [{"loss": math.nan}], "NaN in every block"),
        ("best-by loss", [], "no block has a value"),
        ("mean", [], "no block has a value"),
        ("sum", [2**63, 2**63], "64 bit"),
    ],
)
def test_what_has_no_answer_says_why(spec: str, values: list[Any], words: str) -> None:
    with pytest.raises(WorkError, match=words):
        run(spec, values)


def test_only_built_in_words_are_built_in() -> None:
    assert all(is_built_in(spec) for spec in ("sum", "mean", "concat", "table", "best-by x"))
    assert not is_built_in("python merge.py:merge")
    with pytest.raises(ValueError, match="no built-in"):
        reducer("python merge.py:merge")
