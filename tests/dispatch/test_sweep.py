"""Many small worlds, one seed each: the invariants hold; and for each, a deliberate mutant that the sweep finds."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from ctorrent.dispatch.blocks import Blocks
from ctorrent.dispatch.handout import Handout
from ctorrent.dispatch.machine import Dispatch
from ctorrent.dispatch.words import Terms
from ctorrent.dispatch.workers import Worker
from ctorrent.model.ids import NodeId
from ctorrent.model.job import Verify
from ctorrent.model.result import Verdict
from ctorrent.verify.ballot import Ballot
from ctorrent.verify.blame import Blame
from ctorrent.verify.quorum import Quorum
from tests.dispatch.world import LYING, FakeWorker, World
from tests.processor import slower

SEEDS = 200


def first_violation(**world: Any) -> str:
    """The first broken invariant within the sweep, with the seed that replays it, or ""."""
    for seed in range(SEEDS):
        try:
            broken = World(seed, **world).run().violations()
        except AssertionError as error:  # dispatch.check()
            broken = [f"inconsistent: {error}"]
        if broken:
            return f"seed {seed}: {broken[0]}"
    return ""


def test_every_invariant_holds_in_every_world() -> None:
    assert first_violation() == ""


def test_worlds_are_not_all_alike() -> None:
    worlds = [World(seed).run() for seed in range(SEEDS)]
    assert sum(bool(w.paused) for w in worlds) > 10
    assert sum(bool(w.coalesce_off) for w in worlds) > 3
    assert sum(w.done is not None and w.done.settled > 0 for w in worlds) > 100
    assert sum(bool(w.disputed) for w in worlds) > 5
    assert sum(any(v.verdict is Verdict.DISPUTED for v in w.votes) for w in worlds) > 5


def test_a_world_replays_from_its_seed() -> None:
    for seed in (3, 14, 159):
        one, other = World(seed).run(), World(seed).run()
        assert (one.now, one.votes, one.settled, one.assigned) == (other.now, other.votes, other.settled, other.assigned)


def test_liars_are_found_out_where_honest_owners_can_tell() -> None:
    """A liar that always lies, in a long job of a steady program with honest company, is voted against."""
    caught = missed = 0
    for seed in range(SEEDS):
        world = World(seed, programs=("steady",), kinds=("honest", "honest", "honest", "liar"))
        liars = [w for w in world.workers.values() if w.kind in LYING and w.lie == 1.0]
        honest = {w.owner for w in world.workers.values() if w.kind == "honest"}
        if len(liars) != 1 or len(honest) < 3 or world.blocks < 30 or world.replicas < 2:
            continue
        world.run()
        found = any(v.worker == liars[0].name and v.verdict is Verdict.DISPUTED for v in world.votes)
        busy = sum(liars[0].name in workers for workers in world.assigned.values()) >= 5
        caught, missed = caught + found, missed + (busy and not found)
    assert caught >= 5
    assert missed == 0


def _first_answer_wins(self: Quorum, index: int, ballot: Ballot, winners: Any, out: Any, batch: Any) -> None:
    self._settle(index, ballot, ballot.replicas[:1], batch)


def _forgets_decisions(self: Quorum, index: int) -> None:
    self._ballots.pop(index, None)


def _votes_without_proof(self: Blame, worker: Any, index: int, result: Any) -> None:
    self.convicted[worker] = None
    self.window.closed = True
    honest_accuse(self, worker, index, result)


def _drops_lost_blocks(self: Blocks, index: int, owner: str, wanted: bool, counts: bool, excused: bool = False) -> None:
    self.running[index] -= 1


def _ignores_credit(self: Worker, now: float) -> bool:
    return self.here and not self.avoided and self.inflight < self.credit + 1


def _waits_for_ever_for_another_owner(self: Handout, now: float, out: Any) -> None:
    return None


def _believes_returns_twice(self: Dispatch, event: Any, now: float, out: Any) -> None:
    unit = self._units.flying.get(event.unit)
    honest_returned(self, event, now, out)
    if unit is not None:
        self._units.flying[unit.id] = unit


honest_accuse = Blame.accuse
honest_returned = Dispatch._returned

MUTANTS: list[tuple[str, type, str, Callable[..., Any], dict[str, Any]]] = [
    ("the first answer settles a dispute", Quorum, "_count", _first_answer_wins, {}),
    ("a decided block may be decided again", Quorum, "_close", _forgets_decisions, {}),
    ("votes need no proof", Blame, "accuse", _votes_without_proof, {"kinds": ("honest", "twice", "liar")}),
    ("what is lost stays lost", Blocks, "lost", _drops_lost_blocks, {}),
    ("credit is not obeyed", Worker, "ready", _ignores_credit, {}),
    ("nobody notices that one owner is alone", Handout, "_look_for_owners", _waits_for_ever_for_another_owner, {}),
    ("the number of replicas is lowered where owners lack", Handout, "_is_extra", lambda self, key: bool(key), {}),
    ("a unit stays in flight when it returned", Dispatch, "_returned", _believes_returns_twice, {}),
]


@pytest.mark.parametrize(("name", "where", "what", "fault", "world"), MUTANTS, ids=[m[0] for m in MUTANTS])
def test_the_sweep_finds_the_mutant(
    name: str, where: type, what: str, fault: Callable[..., Any], world: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, what, fault)
    assert first_violation(**world) != "", f"{SEEDS} seeds did not notice that {name}"


def test_ten_thousand_tiny_blocks_twice_cost_little() -> None:
    """More than 5,000 blocks a second through dispatch and quorum on one core, most of it measured to spare."""
    world = World(1, kinds=("honest",), programs=("steady",))
    world.blocks, world.replicas, world.policy = 10_000, 2, Verify()
    world.dispatch, world.quorum = Dispatch(Terms(), random.Random(1)), Quorum(Verify())
    world.workers = {n: FakeWorker(n, f"own_{n}", "honest", 0.0, 2e-5) for n in map(NodeId, ("me", "w1", "w2", "w3"))}
    start = time.process_time()
    world.run()
    spent = time.process_time() - start
    assert world.done is not None and world.done.settled == 10_000
    assert world.violations() == []
    assert 10_000 / spent > 5_000 / slower(), "with the fake shell's own time in it"
