"""A coordinator's dispatch and quorum against fake workers, all from one seed: what the node's shell does, in little.

`World(seed).run()` returns itself after the job ended, with everything the invariants need. No clock, no I/O.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from typing import Any, Self

from ctorrent.dispatch import words as d
from ctorrent.dispatch.machine import Dispatch
from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.job import Verify
from ctorrent.model.result import Verdict, output_digest
from ctorrent.verify import words as q
from ctorrent.verify.quorum import Quorum

KINDS = ("honest", "honest", "honest", "slow", "crash", "vanish", "liar", "colluder", "twice", "late", "sick", "refuser")
PROGRAMS = ("steady", "steady", "steady", "steady", "random", "coalescing", "failing")
LYING = ("liar", "colluder")
TIME_MAX_S = 5_000.0
RELIEF_S = 2_000.0  # then honest owners come where a block lacks some, as many as the policy asks for


@dataclass
class FakeWorker:
    name: NodeId
    owner: str
    kind: str
    lie: float
    speed: float  # seconds a block
    up: bool = True


@dataclass
class World:
    seed: int
    lies: bool = True
    kinds: tuple[str, ...] = KINDS
    programs: tuple[str, ...] = PROGRAMS
    lying: tuple[str, ...] = LYING
    settled: dict[int, list[q.Agreed]] = field(default_factory=dict)
    votes: list[q.Voted] = field(default_factory=list)
    disputed: dict[int, q.Disputed] = field(default_factory=dict)
    given: dict[int, dict[str, list[bytes]]] = field(default_factory=dict)  # block -> owner -> answers delivered
    assigned: dict[int, list[NodeId]] = field(default_factory=dict)
    done: d.JobDone | None = None
    paused: str = ""
    coalesce_off: str = ""
    faults: list[str] = field(default_factory=list)
    most_flying: dict[NodeId, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = rng = random.Random(self.seed)
        self.now = 0.0
        self.program = rng.choice(self.programs)
        self.blocks = rng.choice([1, 2, 7, 30, 200])
        self.replicas = rng.choice([1, 2, 2, 2, 3])
        self.policy = Verify(replicas=self.replicas)
        terms = d.Terms(replicas=self.replicas, block_s=60.0, keep_errors=rng.random() < 0.8)
        self.dispatch = Dispatch(terms, random.Random(rng.random()))
        self.quorum = Quorum(self.policy)
        self.workers = {w.name: w for w in self._cast(rng)}
        self._queue: list[tuple[float, int, Any]] = []
        self._count = 0
        self._flying: dict[NodeId, int] = {}

    def _cast(self, rng: random.Random) -> list[FakeWorker]:
        """The requester's own node is honest; of the rest, strictly fewer liars' owners than honest ones."""
        cast = [FakeWorker(NodeId("me"), "own_me", "honest", 0.0, rng.choice([0.001, 0.1, 1.0]))]
        for number in range(rng.randint(1, 8)):
            kind = rng.choice(self.kinds)
            owner = f"own_{number}" if rng.random() < 0.8 or kind in LYING else "own_me"
            lie = rng.choice([0.1, 0.5, 1.0])
            cast.append(FakeWorker(NodeId(f"w{number}"), owner, kind, lie, rng.choice([0.001, 0.1, 1.0])))
        return cast

    # -- what programs and workers answer -----------------------------------------------------------------------------

    def truth(self, index: int) -> bytes:
        return b"\x00" + bytes([0x93, index & 127, (index >> 7) & 127, 1])  # a canonical list of three

    def right(self, index: int, alone: bool) -> bytes:
        """What an honest run gives."""
        if self.program == "random" and index % 3 != 2:
            return self.truth(index)[:-1] + bytes([self.rng.randint(1, 3)])
        if self.program == "coalescing" and not alone:
            return self.truth(index)[:-1] + bytes([self.rng.randint(1, 2)])
        if self.program == "failing" and index % 4 == 1:
            return b"\x01\x01ValueError"
        return self.truth(index)

    def answer(self, worker: FakeWorker, index: int, alone: bool) -> bytes:
        if worker.kind in LYING and self.lies and self.rng.random() < worker.lie:
            tag = 99 if worker.kind == "colluder" else 100 + int(worker.name[1:])
            return self.truth(index)[:-1] + bytes([tag])
        return self.right(index, alone)

    # -- the shell ----------------------------------------------------------------------------------------------------

    def run(self) -> Self:
        self.tell(d.AddBlocks(0, self.blocks))
        self.tell(d.Close())
        self.ask(q.Total(self.blocks, True))
        for worker in self.workers.values():
            self.at(self.rng.random() * 4 if worker.name != "me" else 0.0, ("join", worker))
        self._relief = [FakeWorker(NodeId(f"r{n}"), f"own_r{n}", "honest", 0.0, 0.1) for n in range(self.replicas)]
        while self.now < TIME_MAX_S and not self._over():
            if self.now >= RELIEF_S and self._relief and self._lacks_owners():
                self._relieve()
            wake = self.dispatch.next_wakeup
            if self._queue and (wake is None or self._queue[0][0] <= wake):
                self.now, _, what = heapq.heappop(self._queue)
                self._happen(*what)
            elif wake is not None:
                self.now = max(self.now, wake)
                self.tell(d.Tick())
            else:
                break
            self.dispatch.check()
        return self

    def _lacks_owners(self) -> bool:
        blocks = self.dispatch.blocks
        return any(not blocks.final[i] and len(blocks.ran[i]) < self.replicas for i in range(self.blocks))

    def _relieve(self) -> None:
        come, self._relief = self._relief, []
        for worker in come:
            self.workers[worker.name] = worker
            self._happen("join", worker)

    def _over(self) -> bool:
        return bool(self.paused) or (self.done is not None and not self._queue)

    def at(self, delay_s: float, what: tuple[Any, ...]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (self.now + delay_s, self._count, what))

    def _happen(self, what: str, *about: Any) -> None:
        if what == "join":
            (worker,) = about
            joined = d.WorkerJoined(worker.name, worker.owner, 2, 1, 1.0, worker.name != "me" and self.rng.random() < 0.5)
            self.tell(joined)
        elif what == "leave":
            about[0].up = False
            self.tell(d.WorkerLeft(about[0].name))
        elif what == "return":
            self._return(*about)
        elif what == "handback":
            self._flying[about[1].name] -= 1
            self.tell(d.HandedBack(about[0].unit, "busy"))
        elif what == "again":
            self.ask(about[0])
        elif what == "checked":
            (index,) = about
            outputs = (self.right(index, True), self.right(index, True))
            self.ask(q.SelfChecked(index, NodeId("me"), "own_me", Digest(b"f"), outputs))

    def _return(self, unit: d.Assign, worker: FakeWorker) -> None:
        if not worker.up:
            return
        self._flying[worker.name] -= 1
        self._answers = {i: self.answer(worker, i, unit.alone) for i in unit.indices}
        sick = tuple(unit.indices) if worker.kind == "sick" else ()
        self.tell(d.UnitReturned(unit.unit, worker.speed * len(unit.indices), sick))
        if worker.kind == "twice":
            self.tell(d.UnitReturned(unit.unit, 0.0))

    def tell(self, event: d.Event) -> None:
        for effect in self.dispatch.handle(event, self.now):
            self._perform(effect)

    def _perform(self, effect: d.Effect) -> None:
        match effect:
            case d.Assign():
                self._assign(effect)
            case d.Revoke(_, worker, _):
                self._flying[worker] -= 1
            case d.Deliver(_, worker, owner, indices, _, alone):
                outputs = [self._answers[i] for i in indices]
                for index, output in zip(indices, outputs, strict=True):
                    self.given.setdefault(index, {}).setdefault(owner, []).append(output)
                digests = [output_digest(o) for o in outputs]
                arrived = q.Arrived(worker, owner, Digest(b"f"), indices, digests, outputs, alone)
                self.ask(arrived)
                if self.rng.random() < 0.2:  # a shell that tells it twice must do no harm
                    self.at(self.rng.random() * 9, ("again", arrived))
            case d.RerunLost(index, worker):
                self.ask(q.RerunLost(index, worker))
            case d.NoReplica(indices):
                ran = self.dispatch.blocks.ran
                self.faults += [f"block {i} was given up below the policy" for i in indices if len(ran[i]) < self.replicas]
                self.ask(q.NoReplica(indices))
            case d.BlockFailed(index, _):
                self.ask(q.Abandoned((index,)))
            case d.JobDone():
                self.done = effect
            case _:
                pass

    def _assign(self, unit: d.Assign) -> None:
        worker = self.workers[unit.worker]
        for index in unit.indices:
            self.assigned.setdefault(index, []).append(unit.worker)
        flying = self._flying[worker.name] = self._flying.get(worker.name, 0) + 1
        self.most_flying[worker.name] = max(flying, self.most_flying.get(worker.name, 0))
        takes = worker.speed * len(unit.indices) * (20 if worker.kind == "slow" else 1) * (0.5 + self.rng.random())
        if worker.kind == "late" and self.rng.random() < 0.3:
            takes += unit.lease_s + 1
        if worker.kind == "crash" and self.rng.random() < 0.3:
            self.at(takes, ("leave", worker))
        elif worker.kind == "vanish" and self.rng.random() < 0.5:
            return  # never heard of again; the lease must notice
        elif worker.kind == "refuser" and self.rng.random() < 0.5:
            self.at(0.01, ("handback", unit, worker))
        else:
            self.at(takes, ("return", unit, worker))

    def ask(self, event: q.Event) -> None:
        for effect in self.quorum.handle(event, self.now):
            match effect:
                case q.Agreed():
                    for at, index in enumerate(effect.indices):
                        self.settled.setdefault(index, []).append(effect)
                        self._check_settled(index, effect, at)
                    state = d.BlockState.FAILED if effect.failed else d.BlockState.SETTLED
                    self.tell(d.Decided(effect.indices, state))
                case q.Voted():
                    self.votes.append(effect)
                case q.NeedReplicas(index, count, alone, avoid):
                    self.tell(d.MoreReplicas(index, count, alone, avoid))
                case q.Rerun(index, workers):
                    self.tell(d.RunAgain(index, workers))
                case q.SelfCheck(index):
                    self.at(0.5, ("checked", index))
                case q.Disputed(index):
                    self.disputed[index] = effect
                    self.tell(d.Decided((index,), d.BlockState.DISPUTED))
                case q.JobNondeterministic(words):
                    self.paused = words
                    self.tell(d.Pause(words))
                case q.CoalesceOff(words):
                    self.coalesce_off = words
                    self.tell(d.CoalesceOff())
                case _:
                    self.faults.append(f"unexpected {effect}")

    # -- invariants ---------------------------------------------------------------------------------------------------

    def _check_settled(self, index: int, agreed: q.Agreed, at: int) -> None:
        output = agreed.outputs[at]
        assert output is not None
        if output[-1] < 99 or output[:1] == b"\x01":
            return
        latest = [answers[-1] for answers in self.given[index].values()]
        if 2 * latest.count(output) <= len(latest):
            self.faults.append(f"block {index} settled wrong, by a minority")

    def violations(self) -> list[str]:
        """Every invariant that this run broke, in words."""
        out = list(self.faults)
        out += [f"block {i} settled {len(a)} times" for i, a in self.settled.items() if len(a) > 1]
        for vote in self.votes:
            worker = self.workers[vote.worker]
            if vote.verdict is not Verdict.AGREED and (worker.kind not in self.lying or not self.lies):
                out.append(f"honest {worker.name} ({worker.kind}) voted against over {vote.indices}")
        out += [f"{w} had {n} units in flight on a credit of 2" for w, n in self.most_flying.items() if n > 2]
        if not self.paused and self.done is None:
            out.append(f"the job never ended: {self.dispatch.counts()}")
        if self.done is not None and not self.paused and not self.done.why:
            left = [i for i in range(self.blocks) if not self.dispatch.blocks.final[i]]
            out += [f"blocks {left} have no final state"] if left else []
        return out
