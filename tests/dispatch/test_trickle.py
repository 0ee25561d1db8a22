"""Stories of who gets how much among strangers: the unproven a trickle, the fabulously fast no more than their share."""

from __future__ import annotations

import pytest

from ctorrent.dispatch.words import Assign, BlockState, Decided, NextOwner, Standing, Terms, UnitReturned, WorkerJoined
from ctorrent.model.ids import NodeId

from .test_machine import Job

KNOWN = [NodeId(f"known{number}") for number in range(8)]
NEW = [NodeId(f"new{number}") for number in range(3)]
STRANGERS = Terms(apart=True)


def live(job: Job, units: list[Assign], until: int, seconds: dict[NodeId, float] | None = None) -> dict[NodeId, int]:
    """Everybody returns what it got, one after the other, until so many blocks were handed out. -> blocks by worker."""
    took: dict[NodeId, int] = {}
    while units and sum(took.values()) < until:
        unit = units.pop(0)
        took[unit.worker] = took.get(unit.worker, 0) + len(unit.indices)
        units += job.assigns(job.tell(UnitReturned(unit.unit, (seconds or {}).get(unit.worker, 1.0)), 0.01))
        job.tell(Decided(unit.indices, BlockState.PROVISIONAL))
    return took


def new(job: Job, *workers: NodeId) -> list[Assign]:
    return [u for w in workers for u in job.assigns(job.tell(WorkerJoined(w, f"own_{w}", 1, newcomer=True)))]


@pytest.mark.parametrize(("terms", "least", "most"), [(STRANGERS, 10, 20), (Terms(replicas=1), 150, 1000)])
def test_newcomers_get_a_little_of_what_strangers_do_while_others_are_enough(terms: Terms, least: int, most: int) -> None:
    job = Job(4000, terms)
    took = live(job, job.assigns(job.join(*KNOWN)) + new(job, *NEW), 1000)
    assert least <= sum(took.get(name, 0) for name in NEW) <= most


def test_where_many_are_new_nobody_waits_for_the_others() -> None:
    job = Job(4000, STRANGERS)
    took = live(job, job.assigns(job.join(*KNOWN[:5])) + new(job, *NEW), 800)  # three of eight
    assert all(took[name] > 50 for name in NEW)


def test_who_passed_its_checks_once_is_no_newcomer_any_more_even_when_it_errs() -> None:
    job = Job(4000, STRANGERS)
    units = job.assigns(job.join(*KNOWN)) + new(job, *NEW)
    for established in (True, False):
        job.tell(Standing(NEW[0], established))
    took = live(job, units, 1000)
    assert took[NEW[0]] > 50 and took.get(NEW[1], 0) + took.get(NEW[2], 0) < 25


@pytest.mark.parametrize("seconds", [0.0, 1e-6, 0.2])
def test_who_makes_answers_up_at_once_does_not_show_that_others_are_too_slow_for_its_friends_blocks(seconds: float) -> None:
    """Its owner has a third of the job, then no more: eight others are enough, whatever it says of its own speed."""
    job = Job(600, STRANGERS)
    liars = [NodeId("liar0"), NodeId("liar1"), NodeId("liar2")]
    queue = [(1.0 if u.worker in KNOWN else 0.001, u) for u in job.assigns(job.join(*KNOWN)) + job.assigns(job.join(*liars, owner="own_liars"))]
    took: dict[NodeId, int] = {}
    asked: set[int] = set()
    while queue:
        queue.sort(key=lambda item: (item[0], item[1].unit))
        when, unit = queue.pop(0)
        job.now = max(job.now, when)
        took[unit.worker] = took.get(unit.worker, 0) + len(unit.indices)
        effects = job.tell(UnitReturned(unit.unit, seconds if unit.worker in liars else 1.0))
        effects += job.tell(NextOwner([i for i in unit.indices if i not in asked]))
        asked.update(unit.indices)
        queue += [(job.now + (0.001 if u.worker in liars else 1.0), u) for u in job.assigns(effects)]
    assert sum(took.values()) > 1100
    assert sum(took[name] for name in liars) <= 1200 / 3 + 12
