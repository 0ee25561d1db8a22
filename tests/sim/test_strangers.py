"""Many seeds' stories among strangers, each judged; and for every invariant a fault that the same sweep must find.

CTORRENT_STRANGERS=300 makes the sweep as long as wanted; a seed that fails is replayed with tests.sim.strangers.tell(seed).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest

from ctorrent.dispatch.blocks import Blocks
from ctorrent.node import ends
from ctorrent.node.ends import Ends
from ctorrent.verify.audit import Audit
from ctorrent.verify.case import Case
from ctorrent.verify.docket import Docket

from .mutants import replaced
from .strangers import Plan, plan_of, tell

SEEDS = int(os.environ.get("CTORRENT_STRANGERS", "16"))
FIRST = int(os.environ.get("CTORRENT_FIRST_SEED", "0"))
WITHIN = 200  # seeds in which every mutant must be found


@pytest.mark.slow
def test_no_seed_breaks_an_invariant_among_strangers() -> None:
    broken = {}
    for seed in range(FIRST, FIRST + SEEDS):
        story = tell(seed)
        if story.faults:
            broken[seed] = (story.plan, story.faults[:3])
    assert broken == {}


def results_settle_at_once() -> AbstractContextManager[None]:
    """What is agreed on is written as settled, and revised like what is provisional."""
    agreed = Ends.agreed

    def hasty(self: Ends, effect: Any, now: float) -> str:
        if effect.provisional:
            self.settled(effect, now)
        return agreed(self, effect, now)

    return replaced(Ends, "agreed", hasty)


def the_expelled_keep_their_voice() -> AbstractContextManager[None]:
    """Who was proven wrong gets nothing more, but what it said counts on."""
    return replaced(Docket, "leave", lambda *_: [])


def the_second_goes_out_with_the_first() -> AbstractContextManager[None]:
    """Both replicas are handed out at once."""
    append = Blocks.append
    return replaced(Blocks, "append", lambda self, count, _, sizes: append(self, count, 2, sizes))


def voices_are_forgotten_at_a_restart() -> AbstractContextManager[None]:
    """What was provisional is nobody's word, and its blocks wait for nobody."""
    return replaced(ends, "load_voices", lambda journal, job: iter(()))


def no_audit_is_drawn() -> AbstractContextManager[None]:
    """The secret's draw is not made."""
    return replaced(Audit, "is_drawn", lambda *_: False)


def one_mistake_is_enough() -> AbstractContextManager[None]:
    """Whoever is wrong once is expelled."""
    return replaced(Audit, "suspects", lambda self, name: "wrong once" if self.workers[name].wrong else "")


def the_first_answer_leads() -> AbstractContextManager[None]:
    """Where answers differ, the first one is right."""
    return replaced(Case, "leading", lambda self, _: self.classes[0])


@dataclass(frozen=True, slots=True)
class Mutant:
    """`shows_in`: stories that can show the fault at all."""

    invariant: str  # how the fault's words begin
    inject: Callable[[], AbstractContextManager[None]]
    shows_in: Callable[[Plan], bool]


MUTANTS = {
    mutant.inject.__name__: mutant
    for mutant in (
        Mutant("final changed", results_settle_at_once, lambda plan: plan.liars != "none"),
        Mutant("not apart", the_second_goes_out_with_the_first, lambda plan: not plan.crashes),
        Mutant("draw", no_audit_is_drawn, lambda plan: not plan.economy and plan.liars == "none" and plan.share > 0),
        Mutant("believed", the_expelled_keep_their_voice, lambda plan: plan.liars in ("alone", "stubborn")),
        Mutant("forgotten", voices_are_forgotten_at_a_restart, lambda plan: plan.crashes),
        Mutant("slander", one_mistake_is_enough, lambda plan: plan.wavering > 0),
        Mutant("wrong answer", the_first_answer_leads, lambda plan: plan.liars == "stubborn" and not plan.economy and not plan.wavering),
    )
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_the_sweep_finds_the_fault_among_strangers(name: str) -> None:
    mutant = MUTANTS[name]
    with mutant.inject():
        for seed in range(WITHIN):
            if not mutant.shows_in(plan_of(seed)):
                continue
            if any(fault.startswith(mutant.invariant) for fault in tell(seed).faults):
                return
    pytest.fail(f"{WITHIN} seeds did not find it: {mutant.inject.__doc__}")


def test_a_story_among_strangers_replays_from_its_seed() -> None:
    first, second = tell(6), tell(6)
    assert first.ends == second.ends and first.states == second.states and first.finals == second.finals
