"""What a job is said to take, beside what it then takes: the dispatch machine itself on a clock of our own."""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from ctorrent.dispatch import words as d
from ctorrent.dispatch.machine import Dispatch
from ctorrent.market.estimate import SETUP_S, UNIT_S, Machine, Work, alone_s, estimate
from ctorrent.model.ids import NodeId

FOUR = [Machine(f"own_{n}", 2) for n in range(4)]
WORK = Work(1000, 0.5)


def seconds_of(work: Work, machines: Sequence[Machine], replicas: int) -> float:
    """Live through the job: every machine runs what it is given, `slots` units at a time."""
    dispatch = Dispatch(d.Terms(replicas, coalesce=work.coalesce), random.Random(1), d.tuned(d.Rules(), work.block_s, work.start_s))
    free = {NodeId(f"w{n}"): [0.0] * machine.slots for n, machine in enumerate(machines)}
    speeds = {NodeId(f"w{n}"): machine.speed for n, machine in enumerate(machines)}
    back: list[tuple[float, int, int, float]] = []  # when, unit, blocks, what it took
    units: dict[int, Sequence[int]] = {}
    got = [0] * work.blocks
    now = 0.0

    def tell(event: d.Event) -> None:
        todo = list(dispatch.handle(event, now))
        while todo:
            effect = todo.pop(0)
            match effect:
                case d.Assign(unit=unit, worker=worker, indices=indices):
                    took = (work.start_s + UNIT_S + work.block_s * len(indices)) / speeds[worker]
                    begin = max(now, heapq.heappop(free[worker]))
                    heapq.heappush(free[worker], begin + took)
                    units[unit] = indices
                    heapq.heappush(back, (begin + took, unit, len(indices), took))
                case d.Deliver(indices=indices):
                    for index in indices:
                        got[index] += 1
                    whole = [index for index in indices if got[index] == replicas]
                    todo += dispatch.handle(d.Decided(whole, d.BlockState.SETTLED), now)

    tell(d.AddBlocks(0, work.blocks))
    tell(d.Close())
    for number, (worker, machine) in enumerate(zip(free, machines, strict=True)):
        tell(d.WorkerJoined(worker, machine.owner, 2 * machine.slots, machine.slots, 1.0 - number / 100))
    while not dispatch.done:
        wake = dispatch.next_wakeup
        if back and (wake is None or back[0][0] <= wake):
            now, unit, _, took = heapq.heappop(back)
            tell(d.UnitReturned(unit, took))
        else:
            assert wake is not None and wake < 1e6, dispatch.counts()
            now = wake
            tell(d.Tick())
    return now


CASES = {
    "four alike": (WORK, FOUR, 2),
    "once each": (WORK, FOUR, 1),
    "three times": (WORK, FOUR, 3),
    "one owner has most of it": (WORK, [Machine("a", 16), Machine("b", 2), Machine("c", 1)], 2),
    "slow and fast": (WORK, [Machine("a", 4, speed=2.0), Machine("b", 4, speed=0.5), Machine("c", 2)], 2),
    "small blocks": (Work(20_000, 0.01), FOUR, 2),
    "few long ones": (Work(9, 30.0), FOUR, 2),
    "imports as long as a hundred blocks": (Work(5000, 0.02, start_s=2.0), FOUR, 2),
    "imports, and units of one block": (Work(200, 0.1, start_s=1.0, coalesce=False), FOUR, 2),
}


@pytest.mark.parametrize("case", CASES)
def test_it_says_about_what_the_job_then_takes(case: str) -> None:
    work, machines, replicas = CASES[case]
    said = estimate(work, machines, 1000, replicas)
    assert said is not None
    took = seconds_of(work, machines, replicas)
    assert 0.6 < (said.seconds - SETUP_S) / took < 1.4, f"said {said.seconds - SETUP_S:.1f} s, took {took:.1f} s"


def test_the_speed_is_beside_this_machine_on_all_its_cores() -> None:
    twice, once = estimate(WORK, FOUR, 2, 2), estimate(WORK, FOUR, 2, 1)
    assert twice is not None and once is not None
    assert (twice.machines, twice.owners, twice.replicas) == (4, 4, 2)
    assert alone_s(WORK, 2) == 250.0
    assert once.speedup == pytest.approx(4, rel=0.1) and twice.speedup == pytest.approx(2, rel=0.1)
    assert twice.credits == 0


def test_nodes_on_this_machine_share_its_cores() -> None:
    here = [replace(machine, here=True) for machine in FOUR]
    crowded, apart = estimate(WORK, here, 2, 1), estimate(WORK, FOUR, 2, 1)
    assert crowded is not None and apart is not None
    assert crowded.seconds == pytest.approx(4 * apart.seconds, rel=0.05)
    assert crowded.speedup <= 1


def test_fewer_owners_than_replicas_are_no_estimate() -> None:
    assert estimate(WORK, [Machine("a", 4), Machine("a", 4)], 2, 2) is None
    assert estimate(WORK, [], 2, 1) is None
    assert estimate(WORK, [Machine("a", 4), Machine("b", 0)], 2, 2) is None, "it lends nothing"


def test_an_owner_adds_no_more_than_one_replica_of_a_block() -> None:
    """Of two replicas the large owner runs one of each block; the small one, the other: it sets the pace."""
    lopsided = estimate(WORK, [Machine("a", 100), Machine("b", 1)], 2, 2)
    assert lopsided is not None
    assert lopsided.seconds == pytest.approx(SETUP_S + 1000 * (0.5 + UNIT_S), rel=0.01)


def test_strangers_are_paid_for_what_they_compute() -> None:
    priced = [Machine("a", 1), Machine("b", 1, price=2.0)]
    found = estimate(Work(7200, 1.0), priced, 2, 2)
    assert found is not None
    assert found.credits == pytest.approx(2.0 * 7200 / 3600, rel=0.01), "half of 4 core-hours, at 2 credits"
    fast = estimate(Work(7200, 1.0), [Machine("a", 1), Machine("b", 1, 2.0, 2.0, gflops=20.0)], 2, 1)
    assert fast is not None
    assert fast.credits == pytest.approx(2 / 3 * 2 / 2 * 2 * 2.0, rel=0.01), "two thirds of 2 hours in half the time, of a core that counts twice"
