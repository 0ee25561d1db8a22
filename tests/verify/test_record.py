"""A jury dies and another goes on from what was kept of it: one life and several decide alike, and nobody is forgiven."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

import pytest

from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.job import Assurance, Verify
from ctorrent.model.result import output_digest
from ctorrent.verify.audit import AuditRules
from ctorrent.verify.jury import Jury
from ctorrent.verify.words import (
    Abandoned,
    Agreed,
    Arrived,
    Disputed,
    Effect,
    Event,
    Expelled,
    FetchOutput,
    JobNondeterministic,
    JobRemembered,
    Known,
    NeedReplicas,
    NextOwner,
    NoReplica,
    OutputFetched,
    Remembered,
    Rerun,
    Restored,
    SelfCheck,
    SelfChecked,
    Settled,
    Stands,
    Total,
    Voice,
)
from tests.verify.jurors import ME, came
from tests.verify.test_quorum import F, out

WORKERS = [NodeId(f"w{n}") for n in range(8)]
BLOCKS = 120


@dataclass(slots=True)
class Disk:
    """What the node's journal holds of a job."""

    workers: dict[NodeId, Remembered] = field(default_factory=dict)
    job: JobRemembered | None = None
    held: dict[int, Restored] = field(default_factory=dict)  # provisional
    final: dict[int, Digest | None] = field(default_factory=dict)
    digests: dict[int, Digest] = field(default_factory=dict)
    answers: dict[tuple[int, NodeId], Arrived] = field(default_factory=dict)  # as the dossiers have them

    def write(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Agreed(indices=indices, digests=digests, workers=workers, provisional=True):
                    for index, found, names in zip(indices, digests, workers, strict=True):
                        self.digests[index] = found
                        counted = [(name, True) for name in names] if len(names) > 1 else []
                        self.held[index] = Restored(index, found, self.voices(found, names), (), counted)
                case Settled(indices=indices):
                    for index in indices:
                        assert index not in self.final, "settled twice"
                        self.final[index] = self.digests[index]
                        self.held.pop(index, None)
                case Disputed(index=index):
                    self.final[index] = None
                    self.held.pop(index, None)
                case _:
                    pass

    def learn(self, made: Jury) -> None:
        """What a flush takes."""
        for one in made.take_learned():
            match one:
                case Remembered():
                    self.workers[one.worker] = one
                case JobRemembered():
                    self.job = one
                case Stands(index, found, workers, counted, own):
                    if index in self.held:
                        self.held[index] = Restored(index, found, [replace(one, own=one.worker == own) for one in self.voices(found, workers)], (), counted)

    def voices(self, found: Digest, names: tuple[NodeId, ...]) -> list[Voice]:
        return [Voice(name, f"own_{name}", F, found, None, 1, True, own=name == ME) for name in names]

    def copy(self) -> Disk:
        """What is in the maps is never changed, but put anew."""
        return Disk(dict(self.workers), self.job, dict(self.held), dict(self.final), dict(self.digests), dict(self.answers))

    def begin(self, made: Jury) -> list[Effect]:
        """A new life, as node/resume.py begins it."""
        effects = made.handle(Abandoned(list(self.final)))
        if self.job is not None:
            effects += made.handle(self.job)
        for memo in self.workers.values():
            effects += made.handle(memo)
        for index, held in self.held.items():
            said = {voice.worker for voice in held.voices}
            others = [
                Voice(name, f"own_{name}", F, arrived.digests[0], arrived.outputs[0], 1, True)
                for (about, name), arrived in self.answers.items()
                if about == index and name not in said
            ]
            effects += made.handle(replace(held, others=others))
        for (index, _), arrived in self.answers.items():
            if index not in self.held and index not in self.final:
                effects += made.handle(arrived)
        return effects + made.handle(Total(BLOCKS, True))


class World:
    """Workers, some of which lie in blocks of their own, and a requester who may die after any event."""

    def __init__(self, dice: Random, economy: bool) -> None:
        self.dice = dice
        self.rules = replace(AuditRules(alone=economy), anchors=1, own_first=5, wrong_least=3, doubt=1e-3, reruns_first=4)
        self.policy = Verify(replicas=2, assurance=Assurance.ECONOMY if economy else Assurance.STRICT)
        self.liars = WORKERS[:2]
        self.made, self.disk = self.new(), Disk()
        self.safe = self.disk.copy()  # as of the last flush
        self.out: dict[NodeId, str] = {}
        self.wanted: dict[int, int] = dict.fromkeys(range(BLOCKS), 1)
        self.todo: list[Effect] = []
        self.lives = 1

    def new(self) -> Jury:
        return Jury(self.policy, self.rules, b"s" * 32, ME)

    def answer(self, worker: NodeId, index: int) -> bytes:
        lies = worker in self.liars and Random(f"{worker} {index}").random() < 0.5
        return out([index, worker]) if lies else out(index)

    def tell(self, event: Event) -> None:
        self.hear(self.made.handle(event))

    def hear(self, effects: list[Effect]) -> None:
        self.disk.write(effects)
        for effect in effects:
            match effect:
                case NextOwner(indices):
                    for index in indices:
                        self.wanted[index] = self.wanted.get(index, 0) + 1
                case NeedReplicas(index=index, count=count):
                    self.wanted[index] = self.wanted.get(index, 0) + count
                case Expelled(worker, why):
                    assert worker in self.liars, why
                    self.out[worker] = why
                case Rerun() | SelfCheck() | FetchOutput():
                    self.todo.append(effect)
                case JobNondeterministic():
                    pytest.fail("nothing wavers here")
                case _:
                    pass

    def step(self) -> bool:
        """One thing happens. -> is there more to do?"""
        if self.todo:
            match self.todo.pop(0):
                case Rerun(index, workers):
                    for worker in workers:
                        self.tell(came(worker, self.answer(worker, index), index))
                case SelfCheck(index):
                    self.tell(SelfChecked(index, ME, "own_me", F, (out(index), out(index))))
                case FetchOutput(index, worker):
                    self.tell(OutputFetched(index, worker, self.answer(worker, index)))
            return True
        if not self.wanted:
            return False
        index = self.dice.choice(list(self.wanted))
        self.wanted[index] -= 1
        if not self.wanted[index]:
            del self.wanted[index]
        heard = {name for about, name in self.disk.answers if about == index}
        free = [worker for worker in WORKERS if worker not in self.out and worker not in heard]
        if not free:
            self.tell(NoReplica([index]))
            return True
        worker = self.dice.choice(free)
        arrived = came(worker, self.answer(worker, index), index)
        self.disk.answers[index, worker] = arrived
        self.tell(Known(worker, f"own_{worker}", 0))
        self.tell(arrived)
        return True

    def flush(self) -> None:
        self.disk.learn(self.made)
        self.safe = self.disk.copy()

    def die(self) -> None:
        before = {name: (s.valid, s.checked, s.wrong, s.expelled, s.witnessed) for name, s in self.made._audit.workers.items()}
        flushed = self.disk == self.safe and not self.made.take_learned()
        self.disk, self.made, self.todo, self.out = self.safe.copy(), self.new(), [], {}
        self.lives += 1
        self.wanted = {}
        effects = self.disk.begin(self.made)
        if flushed:  # nothing is counted twice, and nothing is forgotten
            after = {name: (s.valid, s.checked, s.wrong, s.expelled, s.witnessed) for name, s in self.made._audit.workers.items()}
            assert {n: after.get(n, (0, 0, 0, False, False)) for n in before} == before
        self.hear(effects)
        for index in range(BLOCKS):
            if index not in self.disk.final and index not in self.disk.held and not any(about == index for about, _ in self.disk.answers):
                self.wanted[index] = 1

    def live(self, deaths: float) -> None:
        self.tell(Total(BLOCKS, True))
        while self.step():
            if self.dice.random() < 0.3:
                self.flush()
            if self.dice.random() < deaths:
                self.die()


@pytest.mark.parametrize("economy", [False, True])
def test_a_jury_that_dies_at_random_moments_settles_all_of_it_and_forgives_nobody(economy: bool) -> None:
    lives, expelled = 0, 0
    for seed in range(30):
        world = World(Random(seed), economy)
        world.live(deaths=0.02)
        lives, expelled = lives + world.lives, expelled + len(world.out)
        assert sorted(world.disk.final) == list(range(BLOCKS)), seed
        wrong = [index for index, found in world.disk.final.items() if found != output_digest(out(index))]
        assert economy or not wrong, (seed, wrong)
        assert all(world.made._audit.expelled(name) for name in world.out)
    assert lives > 60 and expelled > 30


def test_what_was_wrong_after_blocks_ran_alone_is_not_excused_by_a_restart() -> None:
    first = World(Random(1), economy=False).made
    off: list[Effect] = []
    first._steady.part(off)
    first.handle(Known(WORKERS[0], "own_w0", 0))  # whatever comes next: what was wrong until now is excused, once
    first._audit.count(WORKERS[0], False, None)
    disk, second = Disk(), World(Random(1), economy=False).made
    disk.learn(first)
    disk.begin(second)
    seen = second._audit.workers[WORKERS[0]]
    assert (seen.checked, seen.wrong) == (1, 1) and second._steady.coalesce_off and off
