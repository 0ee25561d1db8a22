"""Many small worlds of strangers, one seed each: the jury's invariants hold, and the sweep finds what breaks them.

CTORRENT_SEEDS=3000 makes it as long as wanted.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from ctorrent.dispatch.blocks import Blocks
from ctorrent.dispatch.handout import Handout
from ctorrent.dispatch.machine import Dispatch
from ctorrent.model.job import Assurance
from ctorrent.verify.audit import Audit
from ctorrent.verify.case import Case
from ctorrent.verify.docket import Docket

from .strangers import Strangers

SEEDS = max(200, int(os.environ.get("CTORRENT_SEEDS", "0")))
WITHIN = 200
# Each broke an invariant once: a rerun that never ended a job, an own run beside the own worker, coalescing's victims, a
# job that kept to one hardware class and waited for the other, a second replica asked for while one was on its way.
REMEMBERED = (24, 103, 263, 286, 351, 421, 656, 832, 1709, 1828)


def first_violation(seeds: Any = range(WITHIN), **world: Any) -> str:
    """The first broken invariant, with the seed that replays it, or ""."""
    for seed in seeds:
        try:
            broken = Strangers(seed, **world).run().violations()
        except (AssertionError, IndexError, KeyError) as error:  # dispatch.check(), or what hostile answers made of a mutant
            broken = [f"inconsistent: {error!r}"]
        if broken:
            return f"seed {seed}: {broken[0]}"
    return ""


def test_every_invariant_holds_among_strangers() -> None:
    assert first_violation(range(SEEDS)) == ""


def test_what_once_failed_does_not_fail_again() -> None:
    assert first_violation(REMEMBERED) == ""


def test_worlds_of_strangers_are_not_all_alike() -> None:
    worlds = [Strangers(seed).run() for seed in range(WITHIN)]
    assert sum(bool(w.paused) for w in worlds) > 5
    assert sum(bool(w.expelled) for w in worlds) > 5
    assert sum(bool(w.disputed) for w in worlds) > 3
    assert sum(bool(w.drawn) for w in worlds) > 100
    assert sum(w.done is not None and w.done.settled > 0 for w in worlds) > 100


def test_a_world_of_strangers_replays_from_its_seed() -> None:
    one, other = Strangers(77).run(), Strangers(77).run()
    assert (one.now, one.votes, one.finals, one.assigned, one.picked) == (
        other.now, other.votes, other.finals, other.assigned, other.picked
    )  # fmt: skip


def test_who_often_lies_alone_gets_next_to_nothing_settled_in_economy_either() -> None:
    """One in ten is another matter: in 200 blocks ten are audited, and one of these is wrong."""
    wrong = blocks = 0
    for seed in range(WITHIN):
        world = Strangers(seed, kinds=("honest", "honest", "honest", "liar"), programs=("steady",), assurance=Assurance.ECONOMY)
        if any(worker.kind == "liar" and worker.lie < 0.5 for worker in world.workers.values()):
            continue
        world.run()
        assert world.violations() == []
        if world.blocks == 200:
            wrong, blocks = wrong + len(world.wrong()), blocks + 200
    assert blocks > 1000
    assert wrong <= 0.005 * blocks


def _settles_at_once(self: Case) -> bool:
    return self.result is not None


def _second_goes_out_with_the_first(self: Blocks, count: int, replicas: int, sizes: Any) -> None:
    append(self, count, 2, sizes)


def _expelled_keep_their_voice(self: Docket, worker: Any) -> list[Any]:
    return []


def _expels_for_one_mistake(self: Audit, name: Any) -> str:
    return "wrong once" if self.workers[name].wrong else ""


def _hears_the_excluded(self: Dispatch, name: Any, why: str, now: float, out: Any) -> None:
    return None


def _mixes_classes(self: Handout, worker: Any, key: Any) -> bool:
    return worker.owner not in key


append = Blocks.append

MUTANTS: list[tuple[str, type, str, Any, dict[str, Any]]] = [
    ("results settle while audits are out", Case, "quiet", property(_settles_at_once), {}),
    ("a second replica goes out before the first is in", Blocks, "append", _second_goes_out_with_the_first, {}),
    ("the expelled keep their voice", Docket, "leave", _expelled_keep_their_voice, {}),
    ("one mistake is proof", Audit, "suspects", _expels_for_one_mistake, {}),
    ("the expelled get work", Dispatch, "_exclude", _hears_the_excluded, {}),
    ("a homogeneous job mixes classes", Handout, "_may", _mixes_classes, {}),
]


@pytest.mark.parametrize(("name", "where", "what", "fault", "world"), MUTANTS, ids=[m[0] for m in MUTANTS])
def test_the_sweep_finds_the_mutant(
    name: str, where: type, what: str, fault: Callable[..., Any], world: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, what, fault)
    assert first_violation(**world) != "", f"{WITHIN} seeds did not notice that {name}"
