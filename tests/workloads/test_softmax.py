"""A classifier trained by three nodes, one of which lies: as good as scikit-learn's, and the same bits every time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
from sklearn.linear_model import LogisticRegression

import ctorrent
from ctorrent.embedded import Swarm
from ctorrent.errors import LocalError
from ctorrent.library.job import decode_value
from ctorrent.workloads import softmax
from ctorrent.workloads.softmax import block, plan
from ctorrent.workloads.softmax.table import read_table
from tests.workloads.tables import write

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def swarm() -> Iterator[Swarm]:
    """The third of three nodes lies about every second block."""
    with ctorrent.swarm(3, ("--isolation", "jail"), {2: ("--testing-lie", "0.5")}, {"CTORRENT_TESTING": "1"}) as made:
        yield made


def alone(path: Path, epochs: int) -> bytes:
    """The same weights without any swarm."""
    made = plan.make(read_table(path))
    shards = [block.read(shard) for shard in made.shards]
    _, features, classes, _, _ = shards[0]
    weights = bytes(8 * (features + 1) * classes)
    for epoch in range(epochs):
        parts = [block._passed(weights, *shard, plan.rate(epoch, features)) for shard in shards]
        weights = plan.average(parts, made.shard_rows)
    return weights


def reference(path: Path) -> float:
    """What scikit-learn's own tells right of the same rows held out."""
    made = plan.make(read_table(path))
    learned, held = [block.read(shard) for shard in made.shards], block.read(made.held)
    wide = held[1]
    rows = numpy.concatenate([numpy.array(shard[4]).reshape(-1, wide) for shard in learned])
    kinds = numpy.concatenate([numpy.array(shard[3]) for shard in learned])
    fitted = LogisticRegression(max_iter=5000).fit(rows, kinds)
    return float(fitted.score(numpy.array(held[4]).reshape(-1, wide), numpy.array(held[3])))


@pytest.mark.parametrize(("name", "epochs"), [("iris", 3), ("digits", 2)])
def test_it_is_as_good_as_scikit_learns_and_a_liar_changes_no_bit(swarm: Swarm, tmp_path: Path, name: str, epochs: int) -> None:
    path = write(tmp_path, name)
    seen: list[float] = []
    model = softmax.train(swarm.net, path, epochs, lambda done, words: seen.append(done))
    assert model.weights == alone(path, epochs)
    assert model.accuracy >= reference(path) - 0.02
    assert model.cross_validated
    assert seen == sorted(seen) and seen[0] == 0.0 and seen[-1] == 1.0
    assert len(model.hash) == 64
    assert decode_value(model.canonical())["classes"] == list(model.classes)
    table = read_table(path)
    told = model.predict([table.row(n) for n in range(table.rows)])
    right = sum(one == table.classes[kind] for one, kind in zip(told, table.labels, strict=True)) / table.rows
    assert right >= model.accuracy - 0.05, "what it says of rows as they are in the file"


def test_what_cannot_be_trained_is_refused_before_anything_is_sent(swarm: Swarm, tmp_path: Path) -> None:
    before = len(swarm.net.jobs())
    for epochs in (0, -1, 1001, True, "3"):
        with pytest.raises(LocalError, match="epochs: give a whole number from 1 to 1000"):
            softmax.train(swarm.net, tmp_path / "nothing.csv", epochs)  # type: ignore[arg-type]
    with pytest.raises(LocalError, match="There is no file"):
        softmax.train(swarm.net, tmp_path / "nothing.csv", 1)
    assert len(swarm.net.jobs()) == before
