"""What a block of `softmax` does: one pass over its rows from given weights. Runs inside sandboxes, alone.

Standard library; numpy where it is there, with the same bits. Only +, -, × and ÷ of float64 are used, one after the
other in an order that is written here: IEEE 754 rounds each of them in one way, so that every machine computes the same
weights. Sums of BLAS, of numpy's reductions and the exp of a C library differ from one processor or version to the next.

A shard: <III rows, features, classes; rows × <H class; rows × features × <d. Weights: <d, (features + 1) × classes, the
last row is the bias.
"""
# ruff: noqa: B905, PTH123  a sandbox may have Python 3.9

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Sequence
from typing import Any

numpy: Any
try:
    import numpy
except ImportError:  # the bare environment of a sandbox
    numpy = None

BATCH = 4  # rows of one step: a table of a hundred rows still makes a few dozen steps a pass
SHRINK = 1e-4  # of the weights, a step and unit of rate (ridge): separable classes would grow them for ever
HEAD = struct.Struct("<III")
_LN2_HIGH, _LN2_LOW, _PER_LN2 = 6.93147180369123816490e-01, 1.90821492927058770002e-10, 1.44269504088896338700
_LEAST = -700.0  # e ** -700 is the last with all its digits; what is below is 0 beside the largest of a row
_TERMS = [1.0 / math.factorial(n) for n in range(14, -1, -1)]  # of e ** r, |r| <= ln 2 / 2: less than half a last digit


def train(inputs: dict[str, bytes], rate: float) -> dict[str, Any]:
    """One block: {"weights": bytes, "rows": int} after one pass over the shard, `rate` the length of a step."""
    (shard,) = inputs.values()
    with open("weights.bin", "rb") as file:
        weights = file.read()
    rows, features, classes, labels, values = read(shard)
    walk = _passed if numpy is None else _passed_numpy
    return {"weights": walk(weights, rows, features, classes, labels, values, rate), "rows": rows}


def write(rows: int, features: int, classes: int, labels: Sequence[int], values: array[float]) -> bytes:
    """A shard. labels: `rows` ints; values: rows × features floats, one row after the other."""
    return HEAD.pack(rows, features, classes) + little(array("H", labels)) + little(values)


def read(shard: bytes) -> tuple[int, int, int, array[int], array[float]]:
    """-> rows, features, classes, labels (array of ints), values (array of floats)."""
    rows, features, classes = HEAD.unpack_from(shard)
    end = HEAD.size + 2 * rows
    labels, values = array("H", shard[HEAD.size : end]), array("d", shard[end:])
    if sys.byteorder == "big":
        labels.byteswap()
        values.byteswap()
    return rows, features, classes, labels, values


def little(numbers: array[Any]) -> bytes:
    """Bytes of an array, little end first."""
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def floats(data: bytes) -> array[float]:
    """Weights as numbers."""
    numbers = array("d", data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


# -- with the standard library ----------------------------------------------------------------------------------------


def _passed(
    weights: bytes, rows: int, features: int, classes: int, labels: Sequence[int], values: array[float], rate: float
) -> bytes:
    flat = floats(weights)
    table = [list(flat[j * classes : (j + 1) * classes]) for j in range(features + 1)]
    keep = 1.0 - rate * SHRINK
    for first in range(0, rows, BATCH):
        batch = range(first, min(first + BATCH, rows))
        pull = [[0.0] * classes for _ in range(features + 1)]
        for i in batch:
            row = values[i * features : (i + 1) * features]
            wrong = _shares(_scores(table, row))
            wrong[labels[i]] -= 1.0
            for j, x in enumerate(row):
                pull[j] = [a + x * b for a, b in zip(pull[j], wrong)]
            pull[features] = [a + b for a, b in zip(pull[features], wrong)]
        length = rate / len(batch)
        for j in range(features):
            table[j] = [a * keep - length * b for a, b in zip(table[j], pull[j])]
        table[features] = [a - length * b for a, b in zip(table[features], pull[features])]
    return little(array("d", [weight for line in table for weight in line]))


def _scores(table: list[list[float]], row: Sequence[float]) -> list[float]:
    scores = table[-1]
    for x, line in zip(row, table):
        scores = [a + x * b for a, b in zip(scores, line)]
    return scores


def _shares(scores: list[float]) -> list[float]:
    """Probabilities of the classes."""
    top = max(scores)
    powers = [_exp(score - top) for score in scores]
    total = 0.0
    for power in powers:
        total += power
    return [power / total for power in powers]


def _exp(x: float) -> float:
    """e ** x of x <= 0: 2 ** n × e ** r."""
    if x < _LEAST:
        return 0.0
    n = round(x * _PER_LN2)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    power = 0.0
    for term in _TERMS:
        power = power * r + term
    return math.ldexp(power, n)


# -- with numpy: each line does to many numbers what its like above does to one ---------------------------------------


def _passed_numpy(
    weights: bytes, rows: int, features: int, classes: int, labels: Sequence[int], values: array[float], rate: float
) -> bytes:
    table = numpy.array(floats(weights)).reshape(features + 1, classes)
    grid = numpy.frombuffer(values, dtype=float).reshape(rows, features)
    marks = numpy.array(labels, dtype=int)
    keep = 1.0 - rate * SHRINK
    for first in range(0, rows, BATCH):
        batch = grid[first : first + BATCH]
        count = len(batch)
        wrong = _shares_numpy(scores_numpy(table, batch))
        wrong[numpy.arange(count), marks[first : first + BATCH]] -= 1.0
        pull = numpy.zeros_like(table)
        for i in range(count):
            pull[:-1] += batch[i, :, None] * wrong[i]
            pull[-1] += wrong[i]
        length = rate / count
        table[:-1] *= keep
        table -= length * pull
    return little(array("d", table.ravel().tolist()))


def scores_numpy(table: Any, batch: Any) -> Any:
    """(rows, features) -> (rows, classes): the largest of a row is its class."""
    parts = numpy.empty((len(batch), *table.shape))
    parts[:, 0] = table[-1]
    parts[:, 1:] = batch[:, :, None] * table[:-1]
    return numpy.add.accumulate(parts, axis=1)[:, -1]  # one after the other, where a sum may go in any order


def _shares_numpy(scores: Any) -> Any:
    powers = _exp_numpy(scores - scores.max(axis=1)[:, None])
    total = numpy.zeros(len(powers))
    for c in range(powers.shape[1]):
        total += powers[:, c]
    return powers / total[:, None]


def _exp_numpy(x: Any) -> Any:
    low = x < _LEAST
    x = numpy.where(low, 0.0, x)
    n = numpy.rint(x * _PER_LN2)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    power = numpy.zeros_like(r)
    for term in _TERMS:
        power = power * r + term
    return numpy.where(low, 0.0, numpy.ldexp(power, n.astype(int)))
