"""Many seeds' stories, each judged; and for every invariant a fault that the same sweep must find.

CTORRENT_SEEDS=200 makes the sweep as long as wanted; a seed that fails is replayed with tests.sim.story.tell(seed).
"""

from __future__ import annotations

import os

import pytest

from .mutants import MUTANTS
from .story import WAVERING, plan_of, tell

SEEDS = int(os.environ.get("CTORRENT_SEEDS", "24"))
FIRST = int(os.environ.get("CTORRENT_FIRST_SEED", "0"))
WAVERING_SEEDS = max(4, SEEDS // 10)  # for each of a dozen programs
CAUGHT = 0.6  # of the liars: in a job of six blocks many run none, or too few to judge
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
@pytest.mark.parametrize("name", MUTANTS)
def test_the_sweep_finds_the_fault(name: str) -> None:
    mutant = MUTANTS[name]
    with mutant.inject():
        for seed in dict.fromkeys((mutant.first, *range(WITHIN))):
            if not mutant.shows_in(plan_of(seed)):
                continue
            if any(fault.startswith(mutant.invariant) for fault in tell(seed).faults):
                return
    pytest.fail(f"{WITHIN} seeds did not find it: {mutant.inject.__doc__}")


@pytest.mark.slow
@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
@pytest.mark.parametrize("wavering", WAVERING)
def test_a_program_that_wavers_costs_nobody_a_vote(wavering: float, narrow: bool) -> None:
    """Every seed's story with every wavering, however rare, and liars among the workers as the seed has it."""
    broken = {}
    for seed in range(FIRST, FIRST + WAVERING_SEEDS):
        story = tell(seed, wavering=wavering, narrow=narrow)
        if story.faults:
            broken[seed] = (story.plan, story.faults[:3])
    assert broken == {}


@pytest.mark.slow
def test_liars_are_voted_against() -> None:
    """Those that stand by their lies, where the one job of a steady program settles, in quiet times."""
    lied = caught = 0
    for seed in range(FIRST, FIRST + max(20, SEEDS // 2)):
        story = tell(seed, liars="stubborn", wavering=0.0, rough=False, crashes=False, jobs=1)
        assert story.faults == [], seed
        if story.states != ["settled"]:
            continue  # several that always lie: the first blocks look as if it were the program
        lied, caught = lied + len(story.hostile), caught + len(set(story.caught))
    assert lied >= 20
    assert caught >= CAUGHT * lied, f"{caught} of {lied}"


def test_a_story_replays_from_its_seed() -> None:
    first, second = tell(6), tell(6)
    assert first.ends == second.ends and first.states == second.states and first.plan == second.plan
