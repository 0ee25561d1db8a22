"""Draws that nobody can foresee and anybody can redo."""

from __future__ import annotations

import random

from ctorrent.testing.fake_keys import keys
from ctorrent.verify.draw import chance, pick

NODES = [keys(f"drawn {n}").node_id for n in range(10)]
SECRET, OTHER = b"s" * 32, b"t" * 32


def test_a_chance_is_uniform_and_belongs_to_its_block_purpose_round_and_secret() -> None:
    drawn = [chance(SECRET, "audit", index) for index in range(4000)]
    assert all(0.0 <= one < 1.0 for one in drawn)
    for tenth in range(10):  # 400 expected each; 100 is more than five standard deviations
        assert abs(sum(tenth / 10 <= one < (tenth + 1) / 10 for one in drawn) - 400) < 100
    assert drawn == [chance(SECRET, "audit", index) for index in range(4000)]
    mine = chance(SECRET, "audit", 7)
    assert mine not in (chance(SECRET, "own", 7), chance(SECRET, "audit", 8), chance(SECRET, "audit", 7, 1), chance(OTHER, "audit", 7))


def test_a_pick_is_uniform_whatever_the_order() -> None:
    counts = dict.fromkeys(NODES, 0)
    shuffled = list(NODES)
    for index in range(3000):
        random.Random(index).shuffle(shuffled)
        chosen = pick(SECRET, "replica", index, 1, shuffled)
        assert chosen is not None
        assert chosen == pick(SECRET, "replica", index, 1, NODES)
        counts[chosen] += 1
    assert all(abs(count - 300) < 100 for count in counts.values()), counts


def test_who_does_not_win_changes_nothing_by_staying_away() -> None:
    """Else a worker could steer a draw by leaving."""
    for index in range(200):
        chosen = pick(SECRET, "replica", index, 1, NODES)
        away = NODES[index % 10]
        if away != chosen:
            assert pick(SECRET, "replica", index, 1, [node for node in NODES if node != away]) == chosen


def test_of_nobody_nobody_is_picked() -> None:
    assert pick(SECRET, "replica", 0, 0, []) is None
