"""How far the word of a few reaches."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest

from ctorrent.ledger.eigentrust import EigenTrust
from ctorrent.ledger.trust_rules import TrustRules
from ctorrent.model.ids import NodeId

ME, ANN, BEN, CAT = (NodeId(name) for name in ("me", "ann", "ben", "cat"))
RULES = TrustRules()


def alone(node: NodeId) -> str:
    return node


def test_the_vector_is_the_one_that_the_equation_has() -> None:
    """t = p + d Cᵀ t, solved here by numpy's own linear algebra."""
    dice = random.Random(3)
    nodes = [NodeId(f"n{i:02}") for i in range(30)]
    flow, found = EigenTrust(), np.zeros((30, 30))
    for i in range(30):
        for j in dice.sample(range(30), 4):
            right, wrong = dice.randrange(400), dice.randrange(3)
            flow.edge(nodes[i], nodes[j], right, wrong)
            found[i, j] = max(0.0, right - RULES.wrong_weight * wrong) if i != j else 0.0
    c = found / (found.sum(axis=1, keepdims=True) + RULES.hesitation_blocks)
    p = np.zeros(30)
    p[0], p[1] = 1.0, 0.5
    exact = np.linalg.solve(np.eye(30) - RULES.damping * c.T, p)
    trust = flow.solve({nodes[0]: 1.0, nodes[1]: 0.5}, alone)
    assert [trust.get(node, 0.0) for node in nodes] == pytest.approx(exact.tolist(), abs=1e-6)


def test_trust_goes_from_me_to_a_friend_to_who_worked_well_for_it() -> None:
    flow = EigenTrust()
    flow.edge(ME, ANN, 50, 0)
    flow.edge(ANN, BEN, 300, 0)
    flow.edge(BEN, CAT, 300, 30)
    trust = flow.solve({ME: 1.0, ANN: 0.5}, alone)
    assert trust[ANN] == pytest.approx(0.5 + 0.25 * 50 / 150)
    assert trust[BEN] == pytest.approx(0.25 * trust[ANN] * 0.75)
    assert CAT not in trust, "one wrong in eleven passes nothing on"
    assert [step.owner for step in flow.path(BEN)] == [ANN, BEN] and flow.path(BEN)[-1].trust == pytest.approx(trust[BEN])
    assert flow.path(CAT) == []


def test_a_ring_has_no_trust_until_somebody_trusted_was_served_and_then_no_more_for_being_many() -> None:
    flow = EigenTrust()
    ring = [NodeId(f"s{i:04}") for i in range(2000)]
    for one, other in zip(ring, [*ring[1:], ring[0]], strict=True):
        flow.edge(one, other, 1e9, 0)
    flow.edge(ME, ANN, 900, 0)
    trust = flow.solve({ME: 1.0}, alone)
    assert not any(node in trust for node in ring)
    flow.edge(ME, ring[0], 20, 0)
    trust = flow.solve({ME: 1.0}, alone)
    leaked = sum(trust.get(node, 0.0) for node in ring)
    assert 0 < leaked < RULES.damping / (1 - RULES.damping) * 20 / 1020, "twenty blocks of a thousand, damped"


def test_all_nodes_of_an_owner_are_one_and_do_not_praise_each_other() -> None:
    flow = EigenTrust()
    farm = [NodeId(f"f{i}") for i in range(50)]
    for node in farm:
        flow.edge(ME, node, 2, 0)
        flow.edge(node, farm[0], 1e6, 0)
    flow.edge(ME, ANN, 100, 0)
    trust = flow.solve({ME: 1.0}, lambda node: "own_farm" if node in farm else node)
    assert trust["own_farm"] == pytest.approx(trust[ANN])


def test_the_barred_get_nothing_and_pass_nothing_on() -> None:
    flow = EigenTrust()
    flow.edge(ME, ANN, 100, 0)
    flow.edge(ANN, BEN, 100, 0)
    assert flow.solve({ME: 1.0, ANN: 0.5}, alone, {ANN}) == {ME: 1.0}


def test_edges_can_be_taken_back_and_room_is_used_again() -> None:
    flow = EigenTrust()
    for number in range(5000):
        flow.edge(ME, NodeId(f"w{number}"), 10, 0)
        flow.drop(ME, NodeId(f"w{number}"))
    flow.edge(ME, ANN, 100, 0)
    assert flow.solve({ME: 1.0}, alone) == {ME: 1.0, ANN: pytest.approx(0.125)}
    assert len(flow) == 1 and len(flow._numbers) < 10 and len(flow._blocks) < 10


def test_ten_thousand_authors_and_a_hundred_thousand_edges() -> None:
    """10 ms on an idle core; the limit leaves room for a busy one."""
    dice, flow = random.Random(1), EigenTrust()
    nodes = [NodeId(f"n{i:05}") for i in range(10_000)]
    for _ in range(100_000):
        flow.edge(dice.choice(nodes), dice.choice(nodes), dice.randrange(1, 500), 0)
    began = time.process_time()
    trust = flow.solve({nodes[0]: 1.0, nodes[1]: 0.5}, alone)
    assert time.process_time() - began < 1.0
    assert len(trust) > 9_900
