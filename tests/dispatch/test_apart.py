"""Stories of a job that strangers work on: one owner after the other, drawn replicas, hardware classes, the excluded."""

from __future__ import annotations

from ctorrent.dispatch.words import (
    Assign,
    BlockState,
    Decided,
    Deliver,
    Exclude,
    JobDone,
    MoreReplicas,
    NextOwner,
    NoReplica,
    Reach,
    Readmit,
    Revoke,
    Spoiled,
    Standing,
    Terms,
    Tick,
    UnitReturned,
    WorkerJoined,
    WorkerLeft,
)
from ctorrent.model.ids import NodeId

from .test_machine import Job

A, B, C, D, E = (NodeId(name) for name in "abcde")
APART = Terms(apart=True)
DRAWN = MoreReplicas(0, 1, False, ("own_a", "own_b"), drawn=True)


def back(job: Job, unit: Assign, after_s: float = 0.0) -> list[object]:
    return list(job.tell(UnitReturned(unit.unit, 0.01), after_s))


def agreed(job: Job) -> None:
    """A and B ran the only block, and it is provisional."""
    (first,) = job.assigns(job.join(A))
    back(job, first)
    (second,) = job.assigns([*job.join(B), *job.tell(NextOwner([0]))])
    back(job, second)
    job.tell(Decided([0], BlockState.PROVISIONAL))


def test_the_second_owner_gets_a_block_when_the_first_committed_and_not_before() -> None:
    job = Job(1, APART)
    (first,) = job.assigns(job.join(A, B))
    assert job.assigns(job.tell(Tick(), 1)) == []
    back(job, first)
    (second,) = job.assigns(job.tell(NextOwner([0])))
    assert {first.worker, second.worker} == {A, B}


def test_what_comes_after_its_lease_counts_only_while_nobody_else_had_the_block() -> None:
    job = Job(1, APART)
    (first,) = job.assigns(job.join(A))
    job.tell(WorkerLeft(A))
    (again,) = job.assigns(job.join(B))
    assert back(job, first) == []  # B has it: A may know what B will say
    assert any(isinstance(effect, Deliver) for effect in back(job, again))

    job = Job(1, APART)
    (first,) = job.assigns(job.join(A))
    job.tell(WorkerLeft(A))
    assert any(isinstance(effect, Deliver) for effect in back(job, first))
    assert job.assigns(job.join(B)) == []


def test_a_stragglers_unit_is_taken_back_rather_than_copied_and_not_for_ever() -> None:
    job = Job(2, APART)
    one, two = job.assigns(job.join(A, B))
    back(job, one, after_s=0.1)
    holders = [two.worker]
    for _ in range(60):
        for given in job.assigns(job.tell(Tick(), 1)):
            holders.append(given.worker)
        assert len(job.machine.running()) <= 1  # never two at once
    assert 1 < len(holders) <= 2 + job.machine.rules.overtaken_max  # the last one by its lease, or its worker


def test_a_drawn_replica_goes_to_an_established_owner_of_other_kin_whom_the_secret_picks() -> None:
    job = Job(1, APART)
    agreed(job)
    for name, kin in ((C, "near a"), (D, "far"), (E, "far")):
        job.tell(WorkerJoined(name, f"own_{name}", 1, kin=(kin,)))
    job.tell(WorkerJoined(A, "own_a", 1, kin=("near a",)))
    job.tell(Standing(C, True))
    job.tell(Standing(E, True))
    (unit,) = job.assigns(job.tell(DRAWN))
    assert unit.worker == E  # C is established and A's kin, D is neither
    assert job.machine.counts()["provisional"] == 0  # it is open again


def test_a_drawn_replica_of_a_worker_that_left_or_is_too_busy_is_anybodys() -> None:
    job = Job(1, APART)
    agreed(job)
    job.tell(WorkerJoined(C, "own_c", 0))  # no credit: too busy
    assert job.assigns(job.tell(DRAWN)) == []
    job.join(D)
    assert job.assigns(job.tell(Tick(), 1)) == []
    (unit,) = job.assigns([*job.tell(Tick(), 5), *job.tell(Tick(), 1)])
    assert unit.worker == D

    job = Job(1, APART)
    agreed(job)
    job.tell(WorkerJoined(C, "own_c", 0))
    job.tell(DRAWN)
    job.join(D)
    (unit,) = job.assigns(job.tell(WorkerLeft(C)))
    assert unit.worker == D


def test_a_drawn_replica_that_nobody_can_run_is_given_up_and_the_job_ends() -> None:
    job = Job(1, APART)
    agreed(job)
    job.tell(Reach(False))
    assert NoReplica([0]) in [*job.tell(DRAWN), *job.tell(Tick(), 1), *job.tell(Tick(), 1)]
    assert any(isinstance(effect, JobDone) for effect in job.tell(Decided([0], BlockState.SETTLED)))


def test_who_loses_every_look_at_an_answer_does_not_undo_it() -> None:
    job = Job(1, Terms(apart=True, attempts=2))
    agreed(job)
    effects = [*job.join(C), *job.tell(DRAWN)]
    for _ in range(2):
        assert len(job.assigns(effects)) == 1
        effects = job.tell(WorkerLeft(C))
        if NoReplica([0]) not in effects:
            effects = [*effects, *job.join(C)]
    assert NoReplica([0]) in effects
    assert not job.machine.done


def test_a_settled_block_is_never_opened_again() -> None:
    job = Job(2, APART)
    job.tell(Decided([0], BlockState.PROVISIONAL))
    job.tell(Decided([0], BlockState.SETTLED))
    assert job.tell(DRAWN) == []
    assert job.machine.blocks.final[0] == BlockState.SETTLED


def test_the_excluded_get_nothing_and_nobody_listens_to_them() -> None:
    job = Job(2, APART)
    (unit,) = job.assigns(job.join(A))
    effects = job.tell(Exclude(A, "it lied"))
    assert Revoke(unit.unit, A, "it lied") in effects
    assert back(job, unit) == []
    assert job.join(A) == []
    assert {u.worker for u in job.assigns(job.join(B))} == {B}


def test_who_was_excluded_for_nothing_is_given_units_again_and_who_was_avoided_is_not() -> None:
    job = Job(8, APART)
    (unit,) = job.assigns(job.join(A))
    job.tell(Exclude(A, "it lied"))
    assert job.assigns(job.tell(Readmit(A))) == [] == back(job, unit), "what it had is lost"
    assert {u.worker for u in job.assigns(job.join(A))} == {A}
    job = Job(8, APART)
    (unit,) = job.assigns(job.join(A))
    job.tell(Spoiled(unit.unit, "no result"))
    job.tell(Exclude(A, "it lied"))
    job.tell(Readmit(A))
    assert job.join(A) == []


def test_a_homogeneous_block_stays_in_the_class_that_it_was_begun_in() -> None:
    job = Job(1, Terms(apart=True, homogeneous=True))
    (first,) = job.assigns(job.tell(WorkerJoined(A, "own_a", 1, hardware_class="intel")))
    back(job, first)
    job.tell(WorkerJoined(B, "own_b", 1, hardware_class="arm"))
    assert job.assigns(job.tell(NextOwner([0]))) == []
    assert job.assigns(job.tell(Tick(), 60)) == []  # it waits: how many must agree is the requester's word
    (second,) = job.assigns(job.tell(WorkerJoined(C, "own_c", 1, hardware_class="intel")))
    assert second.worker == C


def test_who_lost_its_first_replica_ties_the_block_to_no_class() -> None:
    job = Job(1, Terms(apart=True, homogeneous=True))
    job.tell(WorkerJoined(A, "own_a", 1, hardware_class="intel"))
    job.tell(WorkerLeft(A))
    (unit,) = job.assigns(job.tell(WorkerJoined(B, "own_b", 1, hardware_class="arm")))
    assert unit.worker == B


def test_who_lost_its_good_name_waits_some_units_time_among_strangers() -> None:
    for apart, waits in ((True, True), (False, False)):
        job = Job(40, Terms(apart=apart))
        (first,) = job.assigns(job.join(A))
        job.tell(Standing(A, True))
        (second,) = job.assigns(job.tell(UnitReturned(first.unit, 1.0), 1.0))
        job.tell(Standing(A, False))
        units = job.assigns(job.tell(UnitReturned(second.unit, 1.0), 1.0))
        assert bool(units) is not waits
        pause_s = job.machine.rules.doubt_units  # its unit is one block of a second
        assert bool(job.assigns([*job.tell(Tick(), pause_s - 1.5), *job.tell(Tick(), 0.1)])) is False
        assert bool(job.assigns(job.tell(Tick(), 1.0))) is waits


def test_newcomers_look_at_others_answers_rather_than_begin_blocks_that_would_take_two() -> None:
    job = Job(2000, Terms(apart=True, sparing=True))
    held = job.assigns(job.join(A, credit=100))
    asked = [index for unit in held for index in unit.indices]
    for unit in held:
        back(job, unit)
    job.join(C, credit=100)  # what others hold is much to hide among
    job.tell(NextOwner(asked))
    units = job.assigns(job.join(B, credit=60))
    seconds = sum(index in asked for unit in units for index in unit.indices)
    assert seconds > len(units) / 2
