"""Stories of one job's dispatch."""

from __future__ import annotations

import random
import time

import pytest

from ctorrent.dispatch.machine import Dispatch
from ctorrent.dispatch.words import (
    AddBlocks,
    Adopt,
    Assign,
    Avoid,
    BlockFailed,
    BlockState,
    Cancel,
    Close,
    CoalesceOff,
    Decided,
    Deliver,
    Effect,
    Event,
    HandedBack,
    JobDone,
    MoreReplicas,
    NoReplica,
    Pause,
    Reach,
    RerunLost,
    Resume,
    Revoke,
    Rules,
    RunAgain,
    Spoiled,
    Terms,
    Tick,
    UnitReturned,
    WorkerJoined,
    WorkerLeft,
    tuned,
)
from ctorrent.model.ids import NodeId

A, B, C, D = (NodeId(name) for name in "abcd")


class Job:
    """A dispatch with a hand on its clock, for short stories."""

    def __init__(self, blocks: int, terms: Terms | None = None, rules: Rules | None = None, close: bool = True) -> None:
        self.machine = Dispatch(terms or Terms(), random.Random(7), rules)
        self.now = 0.0
        self.tell(AddBlocks(0, blocks))
        if close:
            self.tell(Close())

    def tell(self, event: Event, after_s: float = 0.0) -> list[Effect]:
        self.now += after_s
        effects = self.machine.handle(event, self.now)
        self.machine.check()
        return effects

    def join(self, *workers: NodeId, owner: str = "", credit: int = 1, slots: int = 1, weight: float = 1.0) -> list[Effect]:
        out: list[Effect] = []
        for worker in workers:
            out += self.tell(WorkerJoined(worker, owner or f"own_{worker}", credit, slots, weight))
        return out

    def assigns(self, effects: list[Effect]) -> list[Assign]:
        return [e for e in effects if isinstance(e, Assign)]


def only(effects: list[Effect]) -> Effect:
    assert len(effects) == 1, effects
    return effects[0]


def assigned(effects: list[Effect]) -> Assign:
    found = [e for e in effects if isinstance(e, Assign)]
    assert len(found) == 1, effects
    return found[0]


def test_both_replicas_go_to_different_owners_and_the_job_ends() -> None:
    job = Job(1)
    first = assigned(job.join(A))
    assert (first.worker, list(first.indices), first.alone) == (A, [0], True)
    second = assigned(job.join(B))
    assert (second.worker, list(second.indices)) == (B, [0])
    assert job.join(C) == [], "nothing left"
    assert job.tell(UnitReturned(first.unit, 0.1), 0.1) == [Deliver(first.unit, A, "own_a", [0], [0], True)]
    assert job.machine.counts()["running"] == 1
    job.tell(UnitReturned(second.unit, 0.1))
    assert only(job.tell(Decided([0], BlockState.SETTLED))) == JobDone(1, 0, 0, 0)
    assert job.machine.next_wakeup is None


def test_two_nodes_of_one_owner_never_get_the_same_block() -> None:
    job = Job(2)
    units = job.assigns(job.join(A, B, owner="own_x", credit=4))
    assert sorted(index for unit in units for index in unit.indices) == [0, 1]


def test_a_provisional_block_may_still_become_another_a_settled_one_never() -> None:
    job = Job(1)
    job.join(A)
    assert job.tell(Decided([0], BlockState.PROVISIONAL)) != []
    assert not job.machine.done
    assert only(job.tell(Decided([0], BlockState.SETTLED))) == JobDone(1, 0, 0, 0)
    other = Job(2)
    other.tell(Decided([0], BlockState.SETTLED))
    other.tell(Decided([0], BlockState.DISPUTED))
    assert other.machine.counts()["settled"] == 1
    assert other.machine.counts()["disputed"] == 0


def test_units_grow_towards_the_target_and_shrink_towards_the_end() -> None:
    job = Job(10_000, Terms(replicas=1))
    sizes = []
    effects = job.join(A)
    while not job.machine.done:
        unit = assigned(effects)
        sizes.append(len(unit.indices))
        effects = job.tell(UnitReturned(unit.unit, 20e-6 * len(unit.indices)), 0.05)
        job.tell(Decided(unit.indices, BlockState.SETTLED))
    assert sizes[:5] == [1, 4, 16, 64, 256]
    assert max(sizes) <= 2500, "50 ms at 20 µs a block"
    assert sizes[-1] == 1
    assert len(sizes) < 40


def test_slow_blocks_are_never_coalesced() -> None:
    job = Job(50, Terms(replicas=1))
    unit = assigned(job.join(A))
    for _ in range(5):
        unit = assigned(job.tell(UnitReturned(unit.unit, 0.2 * len(unit.indices)), 0.2))
        assert len(unit.indices) == 1


def test_a_unit_keeps_to_its_bytes_and_to_single_blocks_where_told() -> None:
    job = Job(0, Terms(replicas=1), Rules(unit_bytes_max=1000), close=False)
    job.tell(AddBlocks(0, 100, [300] * 100))
    unit = assigned(job.join(A))
    for _ in range(3):
        unit = assigned(job.tell(UnitReturned(unit.unit, 1e-6), 0.01))
    assert len(unit.indices) == 3
    job.tell(CoalesceOff())
    unit = assigned(job.tell(UnitReturned(unit.unit, 1e-6), 0.01))
    assert len(unit.indices) == 1 and unit.alone
    never = Job(100, Terms(replicas=1, coalesce=False))
    unit = assigned(never.join(A))
    assert len(assigned(never.tell(UnitReturned(unit.unit, 1e-6), 0.01)).indices) == 1


def test_blocks_may_be_added_while_the_job_is_open() -> None:
    job = Job(1, Terms(replicas=1), close=False)
    unit = assigned(job.join(A))
    job.tell(UnitReturned(unit.unit, 1.0), 1.0)
    assert job.tell(Decided([0], BlockState.SETTLED)) == [], "open: not done"
    assert list(assigned(job.tell(AddBlocks(1, 1))).indices) == [1]
    assert job.tell(AddBlocks(1, 5)) == [], "told twice"
    job.tell(Close())
    job.tell(AddBlocks(2, 5))
    assert len(job.machine.blocks) == 2, "closed is closed"


def test_a_silent_workers_blocks_go_to_others_and_its_late_answer_still_helps() -> None:
    job = Job(1, Terms(replicas=1, block_s=10.0))
    unit = assigned(job.join(A))
    assert unit.lease_s == 15.0
    assert job.machine.next_wakeup is not None
    effects = job.tell(Tick(), 15.0)
    assert effects[-1] == Revoke(unit.unit, A, "the lease is over") or Revoke(unit.unit, A, "the lease is over") in effects
    again = assigned(effects)
    assert again.worker == A, "nobody else is there"
    job.join(B)
    assert job.tell(UnitReturned(unit.unit, 1.0)) == [], "its owner runs it again: one voice"
    assert only(job.tell(UnitReturned(again.unit, 1.0))) == Deliver(again.unit, A, "own_a", [0], [0], True)


def test_a_late_answer_takes_the_place_of_one_that_waits() -> None:
    job = Job(2, Terms(replicas=1, block_s=10.0, coalesce=False))
    first = assigned(job.join(A))
    busy = assigned(job.join(B))
    job.tell(WorkerLeft(A))
    assert job.machine.blocks.tokens == 1
    assert job.tell(UnitReturned(first.unit, 1.0)) == [Deliver(first.unit, A, "own_a", [0], [0], True)]
    assert job.machine.blocks.tokens == 0
    assert job.assigns(job.tell(UnitReturned(busy.unit, 1.0), 1.0)) == []


def test_a_unit_is_understood_once() -> None:
    job = Job(1)
    unit = assigned(job.join(A))
    assert len(job.tell(UnitReturned(unit.unit, 0.1))) == 1
    assert job.tell(UnitReturned(unit.unit, 0.1)) == []
    assert job.tell(UnitReturned(999, 0.1)) == []


def test_attempts_used_up_fail_the_block_with_the_reason() -> None:
    job = Job(1, Terms(replicas=1, attempts=2, block_s=1.0))
    job.join(A)
    job.tell(Tick(), 6.0)
    effects = job.tell(Tick(), 20.0)
    assert BlockFailed(0, "lost 2 times: its lease is over (a)") in effects
    assert effects[-1] == JobDone(0, 1, 0, 0)


def test_who_hangs_up_with_what_it_took_fails_no_block() -> None:
    """It comes back and takes again; what it loses says nothing of the blocks, until it was tried four times as often."""
    job = Job(2, Terms(replicas=1, attempts=2))
    kept = assigned(job.join(A))
    job.tell(UnitReturned(kept.unit, 0.1))
    job.tell(WorkerLeft(A, "has other work"))  # and block 1, so that is lost once
    for _ in range(6):
        taken = assigned(job.join(B))
        assert not any(isinstance(one, BlockFailed) for one in job.tell(WorkerLeft(B, "hung up")))
    job.join(B)
    assert BlockFailed(taken.indices[0], "lost 8 times: its worker left (b)") in job.tell(WorkerLeft(B, "hung up"))


def test_where_nothing_ever_comes_back_the_block_may_be_to_blame() -> None:
    job = Job(1, Terms(replicas=1, attempts=2))
    job.join(A)
    job.tell(WorkerLeft(A, "gone"))
    job.join(A)
    assert BlockFailed(0, "lost 2 times: its worker left (a)") in job.tell(WorkerLeft(A, "gone"))


def test_a_block_that_was_lost_too_often_runs_alone() -> None:
    job = Job(64, Terms(replicas=1), Rules(retry_alone_after=1))
    unit = assigned(job.join(A))
    for _ in range(2):
        unit = assigned(job.tell(UnitReturned(unit.unit, 1e-5), 0.01))
    lost = list(unit.indices)
    assert len(lost) == 16
    job.tell(WorkerLeft(A))
    unit = assigned(job.join(A))
    for index in lost:
        assert (list(unit.indices), unit.alone) == ([index], True)
        unit = assigned(job.tell(UnitReturned(unit.unit, 1e-5), 0.01))
    assert len(unit.indices) > 1, "the others go together as before"


def test_a_worker_whose_sandbox_cannot_be_made_gets_nothing_more_and_the_block_goes_elsewhere() -> None:
    job = Job(4, Terms(replicas=1))
    unit = assigned(job.join(A))
    effects = job.tell(UnitReturned(unit.unit, 0.0, environment=unit.indices))
    assert effects == [Avoid(A, "its sandbox could not be made")]
    assert job.machine.blocks.losses[unit.indices[0]] == 0, "not the block's fault"
    moved = assigned(job.join(B))
    assert moved.worker == B


def test_a_polite_refusal_costs_a_moment_and_many_cost_the_job() -> None:
    job = Job(1, Terms(replicas=1))
    unit = assigned(job.join(A))
    assert job.tell(HandedBack(unit.unit, "shutting down")) == [], "not again at once"
    effects = job.tell(Tick(), 2.5)
    for _ in range(3):
        job.tell(HandedBack(assigned(effects).unit, "busy"))
        effects = job.tell(Tick(), 2.5)
    effects = job.tell(HandedBack(assigned(effects).unit, "busy"))
    assert [type(e) for e in effects] == [Avoid]
    assert job.machine.blocks.losses[0] == 0


def test_a_spoiled_unit_is_run_by_others() -> None:
    job = Job(1, Terms(replicas=1))
    unit = assigned(job.join(A))
    assert job.tell(Spoiled(unit.unit, "a commitment does not open")) == [Avoid(A, "a commitment does not open")]
    assert assigned(job.join(B)).indices == [0]
    assert job.tell(UnitReturned(unit.unit, 1.0)) == []


def test_near_the_end_an_idle_worker_gets_a_copy_and_the_loser_is_told_to_stop() -> None:
    job = Job(8, Terms(replicas=1))
    slow = assigned(job.join(A))
    unit = assigned(job.join(B))
    effects: list[Effect] = []
    while True:
        effects = job.tell(UnitReturned(unit.unit, 0.1), 0.1)
        job.tell(Decided(unit.indices, BlockState.SETTLED))
        if not job.assigns(effects):
            break
        unit = assigned(effects)
    copy = assigned(job.tell(Tick(), 5.0))
    assert (copy.worker, list(copy.indices)) == (B, list(slow.indices))
    assert job.assigns(job.tell(Tick(), 5.0)) == [], "one copy is enough"
    assert only(job.tell(UnitReturned(copy.unit, 0.1))) == Deliver(copy.unit, B, "own_b", [0], [0], True)
    effects = job.tell(Decided([0], BlockState.SETTLED))
    assert effects == [Revoke(slow.unit, A, "all its blocks are decided"), JobDone(8, 0, 0, 0)]


def test_one_owner_alone_waits_and_the_number_is_never_lowered() -> None:
    job = Job(2)
    job.tell(Reach(False))
    job.join(A, credit=4)
    while job.now < 3600:
        wake = job.machine.next_wakeup or job.now + 60
        assert not [e for e in job.tell(Tick(), max(0.5, wake - job.now)) if isinstance(e, NoReplica)]
        for unit in list(job.machine._units.flying.values()):
            job.tell(UnitReturned(unit.id, 0.1))
    assert {e.worker for e in job.join(B, credit=4) if isinstance(e, Assign)} == {B}, "whenever it comes"


def test_one_more_than_the_policy_asks_for_waits_a_while_and_then_quorum_is_told() -> None:
    job, (when, indices), rules = disputed_by_two(Reach(True)), (0.0, [-1]), Rules()
    began = job.now
    while indices == [-1] and job.now < began + 60:
        wake = job.machine.next_wakeup
        assert wake is not None
        for effect in job.tell(Tick(), wake - job.now):
            if isinstance(effect, NoReplica):
                when, indices = job.now - began, list(effect.indices)
    assert indices == [0]
    assert rules.other_owner_s <= when <= rules.other_owner_s + 2 * rules.look_s


def test_where_nobody_else_is_within_reach_nobody_waits_for_one_more() -> None:
    job = disputed_by_two(Reach(False))
    assert NoReplica([0]) in job.tell(Tick(), 0.6)


def disputed_by_two(reach: Reach) -> Job:
    """A job of one block that two owners ran, with a third wanted."""
    job = Job(1)
    job.tell(reach)
    for name in (A, B):
        job.tell(UnitReturned(assigned(job.join(name)).unit, 0.1))
    job.tell(MoreReplicas(0, 1, True, ("own_a", "own_b")))
    return job


def test_a_second_owner_that_comes_in_time_is_used() -> None:
    job = Job(1)
    job.join(A)
    job.tell(Tick(), 4.0)
    assert assigned(job.join(B)).worker == B
    assert not [e for e in job.tell(Tick(), 9.0) if isinstance(e, NoReplica)]


def test_more_replicas_go_alone_to_owners_that_had_no_voice() -> None:
    job = Job(1)
    one, two = assigned(job.join(A)), assigned(job.join(B))
    job.tell(UnitReturned(one.unit, 0.1))
    job.tell(UnitReturned(two.unit, 0.1))
    assert job.tell(MoreReplicas(0, 1, True, ("own_a", "own_b", "own_c"))) == []
    assert job.join(C) == [], "quorum heard its owner already"
    third = assigned(job.join(D))
    assert (third.worker, third.alone) == (D, True)


def test_the_same_worker_runs_it_again_alone_or_quorum_is_told() -> None:
    job = Job(1)
    one, two = assigned(job.join(A)), assigned(job.join(B))
    job.tell(UnitReturned(one.unit, 0.1))
    job.tell(UnitReturned(two.unit, 0.1))
    effects = job.tell(RunAgain(0, (A, C)))
    again = assigned(effects)
    assert (again.worker, again.indices, again.alone) == (A, (0,), True)
    assert RerunLost(0, C) in effects
    assert job.tell(WorkerLeft(A)) == [RerunLost(0, A)]


def test_pause_resume_cancel() -> None:
    job = Job(3, Terms(replicas=1))
    unit = assigned(job.join(A))
    job.tell(Pause("most blocks differ"))
    assert job.tell(UnitReturned(unit.unit, 0.1)) == [Deliver(unit.unit, A, "own_a", [0], [0], True)]
    assert job.machine.paused == "most blocks differ"
    job.tell(Decided([0], BlockState.SETTLED))
    unit = assigned(job.tell(Resume()))
    assert job.tell(Cancel("its owner said so")) == [
        Revoke(unit.unit, A, "its owner said so"), JobDone(1, 0, 0, 2, "its owner said so"),
    ]  # fmt: skip
    assert job.tell(UnitReturned(unit.unit, 0.1)) == []


def test_on_error_stop_ends_the_job_at_the_first_failure() -> None:
    job = Job(3, Terms(replicas=1, keep_errors=False))
    job.join(A)
    effects = job.tell(Decided([0], BlockState.FAILED))
    assert effects[-1] == JobDone(0, 1, 0, 2, "a block failed")
    assert Job(3, Terms(replicas=1)).tell(Decided([0], BlockState.FAILED)) == []


def test_work_is_handed_to_the_best_first_when_it_is_scarce() -> None:
    job = Job(0, Terms(replicas=1), close=False)
    job.join(A, weight=1.0)
    job.join(B, weight=9.0)
    job.join(C, weight=9.0)
    assert [u.worker for u in job.assigns(job.tell(AddBlocks(0, 2)))] == [B, C], "ties break on the node id"


def test_newcomers_take_a_quarter_while_others_fit() -> None:
    job = Job(400, Terms(replicas=1, coalesce=False))
    units = job.assigns(job.join(A, B, C))
    units += job.assigns(job.tell(WorkerJoined(D, "own_d", 1, newcomer=True)))
    taken: dict[NodeId, int] = {}
    while units:
        unit = units.pop(0)
        taken[unit.worker] = taken.get(unit.worker, 0) + 1
        units += job.assigns(job.tell(UnitReturned(unit.unit, 0.1 if unit.worker != D else 0.11), 0.02))
        job.tell(Decided(unit.indices, BlockState.SETTLED))
        if D in taken and taken[D] > 100:
            break
    assert taken[D] <= 100
    assert sum(taken.values()) == 400


def test_one_owner_takes_a_third_while_others_fit_and_more_where_it_alone_can_finish_in_time() -> None:
    def share_of_the_fast_one(seconds: float) -> float:
        job = Job(300, Terms(replicas=1, coalesce=False))
        queue = [(0.0, u) for u in job.assigns(job.join(A, B, C))]
        taken = 0
        while queue:
            queue.sort(key=lambda item: (item[0], item[1].unit))
            when, unit = queue.pop(0)
            taken += unit.worker == A
            wall = seconds if unit.worker == A else 1.0
            job.now = max(job.now, when)
            queue += [(job.now + wall, u) for u in job.assigns(job.tell(UnitReturned(unit.unit, wall)))]
            job.tell(Decided(unit.indices, BlockState.SETTLED))
        return taken / 300

    assert share_of_the_fast_one(0.6) == pytest.approx(1 / 3, abs=0.02)
    assert share_of_the_fast_one(0.05) > 0.6


def test_an_assignment_from_before_a_restart_is_understood() -> None:
    job = Job(2, Terms(replicas=1))
    job.tell(Adopt(7, A, "own_a", (0, 1)))
    assert job.tell(UnitReturned(7, 1.0)) == [Deliver(7, A, "own_a", (0, 1), [0, 1], False)]
    assert job.machine.blocks.tokens == 0
    job.tell(MoreReplicas(0, 1, False))
    assert assigned(job.join(B)).unit > 7, "numbers are never used twice"


def test_speeds_are_measured_by_this_nodes_clock() -> None:
    job = Job(10, Terms(replicas=1))
    unit = assigned(job.join(A))
    job.tell(UnitReturned(unit.unit, wall_s=1e-9), 2.0)
    assert job.machine.observed() == {A: (1, pytest.approx(2.0))}


def test_who_gets_which_replica_is_the_seeds_and_hard_to_time() -> None:
    def together(seed: int) -> list[int]:
        """Blocks that `a` and `b` both get, although `b` always asks right after `a`."""
        machine = Dispatch(Terms(coalesce=False), random.Random(seed))
        units = [e for e in machine.handle(AddBlocks(0, 400), 0.0) if isinstance(e, Assign)]
        had: dict[NodeId, list[int]] = {}
        for name in "abcdefgh":
            units += [e for e in machine.handle(WorkerJoined(NodeId(name), name, 1), 0.0) if isinstance(e, Assign)]
        while units:
            unit = units.pop(0)
            had.setdefault(unit.worker, []).extend(unit.indices)
            units += [e for e in machine.handle(UnitReturned(unit.unit, 1.0), 1.0) if isinstance(e, Assign)]
        return [index for index in had[A] if index in had[B]]

    assert together(1) == together(1)
    assert together(1) != together(2)
    assert all(len(together(seed)) < 40 for seed in range(5)), "two of eight share about a seventh of 100, not all"


def test_nobody_can_make_it_raise() -> None:
    job = Job(2)
    unit = assigned(job.join(A))
    events: list[Event] = [
        UnitReturned(-1, -5.0), UnitReturned(unit.unit, float("nan"), (99, -1)), HandedBack(5), Spoiled(77, ""),
        MoreReplicas(99, 1), MoreReplicas(-1, 1), RunAgain(0, (NodeId("nobody"),)), Decided([99, -7], BlockState.SETTLED),
        Decided([0], BlockState.RUNNING), WorkerLeft(NodeId("nobody")), Adopt(9, A, "x", (99,)), AddBlocks(7, 7),
        WorkerJoined(B, "own_b", -3, -3), Tick(),
    ]  # fmt: skip
    for event in events:
        job.tell(event, 0.1)
    assert job.machine.story(0)[0].endswith("assigned (a)")


def test_ten_thousand_tiny_blocks_cost_little() -> None:
    """More than 5,000 blocks a second through dispatch, far below the real figure, so that a busy machine passes."""
    job = Dispatch(Terms(), random.Random(1))
    units = [e for name in "abcd" for e in job.handle(WorkerJoined(NodeId(name), name, 3), 0.0)]
    start = time.process_time()
    units += job.handle(AddBlocks(0, 10_000), 0.0)
    got = [0] * 10_000
    while units:
        unit = units.pop(0)
        if not isinstance(unit, Assign):
            continue
        units += job.handle(UnitReturned(unit.unit, 2e-5 * len(unit.indices)), 0.0)
        for index in unit.indices:
            got[index] += 1
        job.handle(Decided([i for i in unit.indices if got[i] == 2], BlockState.SETTLED), 0.0)
    assert job.blocks.open == 0
    assert 10_000 / (time.process_time() - start) > 5_000


def test_a_rehearsal_sizes_the_first_unit_and_imports_make_units_longer() -> None:
    assert tuned(Rules(), 0.0, 0.0) == Rules(), "not rehearsed"
    assert tuned(Rules(), 1e-4, 0.0).unit_first == 125, "a quarter of 50 ms"
    assert tuned(Rules(), 1e-9, 0.0).unit_first == Rules().unit_blocks_max
    slow = tuned(Rules(), 0.001, 1.0)
    assert (slow.unit_target_s, slow.unit_first) == (4.0, 1000), "imports take a fifth"
    assert tuned(Rules(), 0.5, 60.0).unit_target_s == 10.0
    job = Job(1000, rules=tuned(Rules(), 1e-4, 0.0))
    assert len(assigned(job.join(A)).indices) == 125
    job = Job(50_000, rules=slow)
    sizes: list[int] = []
    effects = job.join(A)
    for _ in range(4):
        unit = assigned(effects)
        sizes.append(len(unit.indices))
        effects = job.tell(UnitReturned(unit.unit, 1.0 + 0.001 * sizes[-1]))
    assert min(sizes) >= 1000, "what starts slowly is not cut small because it starts slowly"
