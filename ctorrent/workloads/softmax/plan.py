"""What is learned from and what is held out, the shards, and the scale of each feature. Pure: the same table, the same plan.

Nothing here depends on the swarm, the clock or the order in which answers come: who trains on the same file for as many
epochs gets the same model, bit for bit.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ctorrent.errors import LocalError
from ctorrent.workloads.softmax import block
from ctorrent.workloads.softmax.table import Table

HELD_OUT = 5  # one row in so many of each class tells how good the model is, and is never learned from
SHARD_ROWS = 256  # at least: an average of models that saw fewer rows each learns slower than one
SHARDS_FEW, SHARDS_MANY = 2, 8  # as many blocks an epoch where they are short: a swarm of a few machines has work
SHARD_STEPS = 20_000_000  # rows × weights of a shard: a few seconds without numpy
SHARDS_MAX = 512  # blocks of an epoch
WEIGHTS_MAX = 2_000_000  # 16 MB in each answer; without numpy a block takes 130 MB of memory for them
RATE = 2.0  # over the root of the features: standardised rows have that length; found on iris, wine, cancer and digits


@dataclass(frozen=True, slots=True)
class Plan:
    """mean and scale: of each feature, over the rows learned from. shards: bytes as block.py reads them."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    shards: tuple[bytes, ...]
    shard_rows: tuple[int, ...]
    held: bytes  # a shard of the rows held out

    @property
    def rows(self) -> int:
        return sum(self.shard_rows)


def make(table: Table) -> Plan:
    """Memory: twice the table's. Raises LocalError where the model would be too large."""
    weights = (len(table.features) + 1) * len(table.classes)
    if weights > WEIGHTS_MAX:
        what = f"{len(table.features):,} columns and {len(table.classes):,} classes"
        raise LocalError(f"{what} make a model of {weights:,} weights; the limit is {WEIGHTS_MAX:,}.", "Leave columns out, or join classes.")
    learned, held = split(table.labels)
    mean, scale = standard(table, learned)
    count = shards(len(learned), len(table.features), len(table.classes))
    parts = [learned[number::count] for number in range(count)]
    made = tuple(_shard(table, part, mean, scale) for part in parts)
    return Plan(tuple(mean), tuple(scale), made, tuple(map(len, parts)), _shard(table, held, mean, scale))


def split(labels: Sequence[int]) -> tuple[list[int], list[int]]:
    """Rows learned from and rows held out, both shuffled, by a digest of each row's number.

    Of each class one row in five is held out, at least one.
    """
    order = sorted(range(len(labels)), key=lambda row: hashlib.sha256(b"ctorrent/softmax/1 %d" % row).digest())
    by_class: dict[int, list[int]] = {}
    for row in order:
        by_class.setdefault(labels[row], []).append(row)
    held = {row for rows in by_class.values() for row in rows[: max(1, len(rows) // HELD_OUT)]}
    return [row for row in order if row not in held], [row for row in order if row in held]


def shards(rows: int, features: int, classes: int) -> int:
    """How many blocks an epoch has."""
    by_rows = min(SHARDS_MANY, max(SHARDS_FEW, rows // SHARD_ROWS))
    by_work = rows * (features + 1) * classes // SHARD_STEPS
    return min(rows, SHARDS_MAX, max(by_rows, by_work))


def standard(table: Table, rows: Sequence[int]) -> tuple[list[float], list[float]]:
    """Mean and spread of each feature. fsum rounds once: the order of rows, and the machine, change nothing."""
    width, values = len(table.features), table.values
    means, scales = [], []
    for feature in range(width):
        column = [values[row * width + feature] for row in rows]
        largest = max(map(abs, column)) or 1.0  # sums and squares of what is divided by it stay in range
        mean = math.fsum(value / largest for value in column) / len(column)
        spread = math.sqrt(math.fsum((value / largest - mean) * (value / largest - mean) for value in column) / len(column))
        means.append(mean * largest)
        scales.append(spread * largest if spread > 1e-12 else 1.0)  # a column of one value tells nothing
    return means, [scale or 1.0 for scale in scales]


def _shard(table: Table, rows: Sequence[int], mean: Sequence[float], scale: Sequence[float]) -> bytes:
    values = array("d")
    for row in rows:
        values.extend((value - middle) / spread for value, middle, spread in zip(table.row(row), mean, scale, strict=True))
    labels = [table.labels[row] for row in rows]
    return block.write(len(rows), len(table.features), len(table.classes), labels, values)


def rate(epoch: int, features: int) -> float:
    """Length of the steps of an epoch, counted from 0."""
    return RATE / math.sqrt(features * (epoch + 1))


def average(parts: Iterable[bytes], rows: Sequence[int]) -> bytes:
    """Weights of all shards as one, each weighing as its rows: added in the order of the shards, one after the other.

    McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", AISTATS 2017.
    """
    total = float(sum(rows))
    sums: list[float] = []
    for part, count in zip(parts, rows, strict=True):
        sums = sums or [0.0] * (len(part) // 8)
        share = count / total
        sums = [a + share * b for a, b in zip(sums, block.floats(part), strict=True)]
    return block.little(array("d", sums))
