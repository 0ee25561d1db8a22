"""A requester that dies again and again in the middle of a job with liars: what it learned about them outlives it.

CTORRENT_RESTARTS=300 makes the sweep as long as wanted; a seed that fails is replayed with lives(seed).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from random import Random

import pytest
import trio

from ctorrent.node.learned import Learned
from ctorrent.testing import simulate
from ctorrent.testing.fake_swarm import FakeSwarm, Member, open_swarm

from .mutants import replaced
from .story import PATIENCE_S, state_at_the_end
from .strangers import Plan, Story, begin, judge, watched

SEEDS = int(os.environ.get("CTORRENT_RESTARTS", "6"))
BLOCKS = (150, 250)
WITHIN = 40  # seeds in which the mutant must be found


def plan(dice: Random) -> Plan:
    return Plan(
        economy=dice.random() < 0.5, share=dice.choice([0.0, 0.1]), liars=dice.choice(["alone", "stubborn"]), wavering=0.0,
        narrow=False, rough=dice.random() < 0.2, crashes=True, own_work=dice.random() < 0.5,
    )  # fmt: skip


def lives(seed: int) -> Story:
    """Live through a seed, and judge it."""

    async def main(simulation: simulate.Simulation) -> Story:
        dice = simulation.dice("restarts")
        story = Story(plan(dice))
        with watched(story):
            async with open_swarm(simulation) as swarm:
                await live(swarm, story, dice)
        return story

    return simulate.run(seed, main, limit_s=PATIENCE_S * 2)


async def live(swarm: FakeSwarm, story: Story, dice: Random) -> None:
    requester, workers, job = await begin(swarm, story, dice, BLOCKS)
    for _ in range(dice.randint(2, 5)):
        await trio.sleep(dice.uniform(0.3, 7.0))
        await die(swarm, requester, dice)
    story.states = [await state_at_the_end(requester, job)]
    await trio.sleep(40.0)  # the last tallies are written
    judge(story, requester, workers, job)


async def die(swarm: FakeSwarm, requester: Member, dice: Random) -> None:
    """By kill -9, which leaves all that was written; or by the loss of power, which leaves what was synced."""
    await swarm.crash(requester, survivors=dice.choice([0, 1, 1 << 20]))
    await trio.sleep(dice.uniform(0.1, 5.0))
    await swarm.start(requester)
    swarm.net.mesh(4)


@pytest.mark.slow
def test_no_restart_changes_what_is_final_or_brings_back_who_was_expelled() -> None:
    stories = {seed: lives(seed) for seed in range(SEEDS)}
    assert {seed: (story.plan, story.faults[:3]) for seed, story in stories.items() if story.faults} == {}
    assert sum(story.outlived for story in stories.values()), "no restart came after an expulsion: the sweep shows nothing"


def the_expelled_are_forgotten() -> AbstractContextManager[None]:
    """A restart knows nothing of workers."""
    return replaced(Learned, "before", lambda self: [])


@pytest.mark.slow
@pytest.mark.parametrize("inject", [the_expelled_are_forgotten])
def test_the_sweep_finds_the_fault(inject: Callable[[], AbstractContextManager[None]]) -> None:
    with inject():
        for seed in range(WITHIN):
            if any(fault.startswith("engaged again") for fault in lives(seed).faults):
                return
    pytest.fail(f"{WITHIN} seeds did not find it: {inject.__doc__}")
