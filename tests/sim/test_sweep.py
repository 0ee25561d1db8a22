"""Many seeds' stories, each judged; and for every invariant a fault that the same sweep must find.

CTORRENT_SEEDS=200 makes the sweep as long as wanted; a seed that fails is replayed with tests.sim.story.tell(seed).
"""

from __future__ import annotations

import os

import pytest

from .mutants import MUTANTS
from .story import plan_of, tell

SEEDS = int(os.environ.get("CTORRENT_SEEDS", "40"))
FIRST = int(os.environ.get("CTORRENT_FIRST_SEED", "0"))
WITHIN = 200  # seeds in which every mutant must be found


@pytest.mark.slow
def test_no_seed_breaks_an_invariant() -> None:
    broken = {}
    for seed in range(FIRST, FIRST + SEEDS):
        story = tell(seed)
        if story.faults:
            broken[seed] = (story.plan, story.faults[:3])
    assert broken == {}


@pytest.mark.slow
@pytest.mark.parametrize("invariant", MUTANTS)
def test_the_sweep_finds_the_fault(invariant: str) -> None:
    mutant = MUTANTS[invariant]
    with mutant.inject():
        for seed in range(WITHIN):
            if mutant.shows_in(plan_of(seed)) and any(fault.startswith(invariant) for fault in tell(seed).faults):
                return
    pytest.fail(f"{WITHIN} seeds did not find it: {mutant.inject.__doc__}")


def test_a_story_replays_from_its_seed() -> None:
    first, second = tell(6), tell(6)
    assert first.ends == second.ends and first.states == second.states and first.plan == second.plan
