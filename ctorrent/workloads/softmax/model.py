"""A trained classifier: what it says of a row, and the one name of its bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy

from ctorrent.library.job import encode_value
from ctorrent.workloads.softmax import block

KIND = "softmax/1"
_PREDICT_ROWS = 256  # at once: (rows, features, classes) of 8 bytes each stay small


@dataclass(frozen=True, slots=True)
class Model:
    """weights: (features + 1, classes) float64, the bias last, for rows of which mean is taken away, then divided by scale.

    accuracy: share of the rows held out that it tells right; the hash does not cover it.
    """

    features: tuple[str, ...]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: bytes
    epochs: int
    accuracy: float
    rows: int
    rows_held_out: int
    cross_validated: bool  # every block of every epoch was run by two owners, who agreed

    def canonical(self) -> bytes:
        """The canonical encoding (docs/canonical.md) of what the model is."""
        table = numpy.array(block.floats(self.weights)).reshape(len(self.features) + 1, len(self.classes))
        mean, scale = numpy.array(self.mean), numpy.array(self.scale)
        return encode_value({
            "kind": KIND, "features": list(self.features), "classes": list(self.classes), "mean": mean, "scale": scale, "weights": table,
        })  # fmt: skip

    @property
    def hash(self) -> str:
        """Hex SHA-256 of canonical()."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def predict(self, rows: Any) -> list[str]:
        """rows: (n, features) numbers, as in the file. -> n classes."""
        table = numpy.array(block.floats(self.weights)).reshape(len(self.features) + 1, len(self.classes))
        values = (numpy.asarray(rows, dtype=float) - numpy.array(self.mean)) / numpy.array(self.scale)
        return [self.classes[best] for best in _best(table, values)]


def accuracy(weights: bytes, shard: bytes) -> float:
    """Share of a shard's rows that are told right."""
    rows, features, classes, labels, values = block.read(shard)
    table = numpy.array(block.floats(weights)).reshape(features + 1, classes)
    right = sum(best == label for best, label in zip(_best(table, numpy.array(values).reshape(rows, features)), labels, strict=True))
    return right / rows


def _best(table: Any, values: Any) -> list[int]:
    step = max(1, _PREDICT_ROWS * 1000 // table.size)
    return [int(best) for at in range(0, len(values), step) for best in block.scores_numpy(table, values[at : at + step]).argmax(axis=1)]
