"""What a worker says of itself and dispatch must not believe too far: its own clock, another owner's certificate."""

from __future__ import annotations

import pytest

from ctorrent.dispatch.words import (
    Avoid,
    HandedBack,
    NextOwner,
    RunAgain,
    Standing,
    Terms,
    Tick,
    UnitReturned,
    WorkerLeft,
)
from ctorrent.dispatch.workers import PAUSE_MOST_S
from ctorrent.model.ids import NodeId

from .test_machine import A, B, Job

LIAR = NodeId("liar")
SPARING = Terms(apart=True, sparing=True)


@pytest.mark.parametrize("claim_s", [1e9, 1e300])
def test_a_claim_of_years_does_not_keep_what_is_run_again_waiting_for_its_worker(claim_s: float) -> None:
    job = Job(100, SPARING)
    (first,) = job.assigns(job.join(LIAR))
    job.tell(Standing(LIAR, True))
    (second,) = job.assigns(job.tell(UnitReturned(first.unit, claim_s), after_s=2))
    job.tell(Standing(LIAR, False))
    job.tell(RunAgain(first.indices[0], (LIAR,)))
    assert job.assigns(job.tell(UnitReturned(second.unit, claim_s), after_s=1)) == [], "it waits: it lost its good name"
    (again,) = job.assigns(job.tell(Tick(), after_s=PAUSE_MOST_S))
    assert again.indices == (first.indices[0],)


def test_who_holds_a_block_for_as_long_as_it_may_is_not_paused_for_longer_than_a_minute() -> None:
    job = Job(100, SPARING)
    (first,) = job.assigns(job.join(LIAR))
    job.tell(Standing(LIAR, True))
    job.tell(UnitReturned(first.unit, 290.0), after_s=290)
    job.tell(Standing(LIAR, False))
    assert job.machine.workers[LIAR].paused_until <= job.now + PAUSE_MOST_S


def test_who_comes_again_with_another_owners_certificate_does_not_get_its_own_blocks_again() -> None:
    job = Job(1, SPARING)
    (unit,) = job.assigns(job.join(A))
    job.tell(UnitReturned(unit.unit, 0.05), after_s=1)
    job.tell(NextOwner([0]))
    job.tell(WorkerLeft(A))
    assert job.assigns(job.join(A, owner="another")) == [], "the jury would not hear it, and nobody else would get the block"
    (second,) = job.assigns(job.join(B))
    assert second.indices == [0]


def test_who_hands_back_four_units_for_each_that_it_runs_gets_no_more_to_choose_from() -> None:
    """A friend tells it which blocks to wait for: then the two of them would agree on five times as many as by chance."""
    job = Job(100, Terms(apart=True))
    (unit,) = job.assigns(job.join(LIAR))
    ran = 0
    for turn in range(20):
        event = UnitReturned(unit.unit, 1.0) if turn % 5 == 4 else HandedBack(unit.unit, "busy")
        ran += isinstance(event, UnitReturned)
        effects = [*job.tell(event, after_s=1), *job.tell(Tick(), after_s=3)]
        if any(isinstance(effect, Avoid) for effect in effects):
            break
        (unit,) = job.assigns(effects)
    assert ran == 1 and turn == 6, "five more than it returned"


@pytest.mark.parametrize("keeps", [0, 1])
def test_who_hands_all_back_refused_once_and_who_keeps_one_of_six_chose_five_times(keeps: int) -> None:
    job = Job(1000, Terms(apart=True))
    units = job.assigns(job.join(LIAR, credit=6))
    given_up, bursts = False, 0
    while not given_up and bursts < 20:
        bursts += 1
        effects = [effect for unit in units[keeps:] for effect in job.tell(HandedBack(unit.unit, "busy"))]
        effects += [effect for unit in units[:keeps] for effect in job.tell(UnitReturned(unit.unit, 1.0), after_s=1)]
        effects += job.tell(Tick(), after_s=3)
        given_up = any(isinstance(effect, Avoid) for effect in effects)
        units = job.assigns(effects)
    assert bursts == (2 if keeps else 5)
