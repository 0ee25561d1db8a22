"""The map of a job's blocks: what changed since the last look, and all of it where that is not known."""

from __future__ import annotations

import random

from ctorrent.model.ids import NodeId
from ctorrent.model.live import BlockWorker
from ctorrent.node import blockmap
from ctorrent.node.blockmap import BlockStates

ANN, BEN, CAT = NodeId("ann"), NodeId("ben"), NodeId("cat")
NOW = 1_800_000_000


def called(node: NodeId) -> BlockWorker:
    return BlockWorker(node=node, name=node.upper(), local=node == ANN)


def test_a_block_goes_from_waiting_to_settled_and_names_who_has_it() -> None:
    states = BlockStates(NOW)
    first = states.since(-1, 3, called)
    assert first["changed"] == [[0, "waiting", -1, 0], [1, "waiting", -1, 0], [2, "waiting", -1, 0]] and first["workers"] == []
    states.began(BEN, [0, 1])
    states.began(ANN, [1])
    second = states.since(first["version"], 3, called)
    assert second["changed"] == [[0, "running", 0, 0], [1, "running", 1, 0]]
    assert [worker["name"] for worker in second["workers"]] == ["BEN", "ANN"] and second["workers"][1]["local"]
    states.over(BEN, [0, 1])
    assert states.since(second["version"], 3, called)["changed"] == [[0, "waiting", 0, 0]], "ann still has the other"
    states.over(BEN, [0, 1])  # a lease that ran out, and its unit that came late after all
    states.over(ANN, [1])
    states.decided(1, "provisional", [ANN, BEN])
    third = states.since(second["version"], 3, called)
    states.decided(1, "settled", [ANN, BEN])
    states.decided(2, "disputed", [CAT])
    states.decided(0, "cancelled")
    last = states.since(third["version"], 3, called)
    assert third["changed"][-1] == [1, "provisional", 1, 2]
    assert last["changed"] == [[1, "settled", 1, 2], [2, "disputed", 2, 1]]
    assert states.since(last["version"], 3, called)["changed"] == []


def test_a_run_of_a_decided_block_does_not_show_it_as_running() -> None:
    states = BlockStates(NOW)
    states.decided(0, "settled", [ANN, BEN])
    states.began(CAT, [0])  # an audit
    assert states.since(-1, 1, called)["changed"] == [[0, "settled", 0, 2]]
    states.over(CAT, [0])
    assert states.since(-1, 1, called)["changed"] == [[0, "settled", 0, 2]]


def test_who_looks_seldom_or_comes_from_another_life_gets_everything() -> None:
    states = BlockStates(NOW)
    old = states.since(-1, 10, called)["version"]
    for turn in range(blockmap.LOG_MIN):
        states.began(BEN if turn % 2 else ANN, [turn % 10])
        states.over(BEN if turn % 2 else ANN, [turn % 10])
    assert len(states.since(old, 10, called)["changed"]) == 10
    for version in (states.version + 1, (NOW - 5) << blockmap.LIFE_BITS, -7, 1 << 60):
        assert len(states.since(version, 10, called)["changed"]) == 10, version
    assert states.version < 1 << 53, "a browser keeps it whole"


def test_a_job_that_grows_shows_its_new_blocks_as_waiting() -> None:
    states = BlockStates(NOW)
    states.decided(0, "settled", [ANN])
    version = states.since(-1, 1, called)["version"]
    found = states.since(version, 3, called)
    assert found["blocks"] == 3 and found["changed"] == [], "what did not change is waiting"
    states.began(BEN, [2])
    assert states.since(version, 3, called)["changed"] == [[2, "running", 1, 0]]


def test_looks_add_up_to_the_whole_map() -> None:
    dice, states, seen, version = random.Random(5), BlockStates(NOW), dict[int, object](), -1
    for _ in range(3000):
        index, worker = dice.randrange(40), dice.choice((ANN, BEN, CAT))
        what = dice.randrange(4)
        if what == 0:
            states.began(worker, [index])
        elif what == 1:
            states.over(worker, [index])
        else:
            states.decided(index, dice.choice(blockmap.STATES[2:]), [worker])
        if dice.random() < 0.05:
            found = states.since(version, 40, called)
            seen.update({int(str(row[0])): row for row in found["changed"]})
            version = found["version"]
            assert seen == {int(str(row[0])): row for row in states.since(-1, 40, called)["changed"]}
