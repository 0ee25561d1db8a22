"""The same world among strangers: dispatch hands replicas out one after the other, and a jury audits what they say."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

from ctorrent.dispatch import words as d
from ctorrent.dispatch.machine import Dispatch
from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.job import Assurance, Verify
from ctorrent.model.result import Verdict
from ctorrent.verify import draw
from ctorrent.verify import words as q
from ctorrent.verify.audit import rules_for
from ctorrent.verify.jury import Jury

from .world import FakeWorker, World

KINDS = ("honest", "honest", "honest", "slow", "crash", "vanish", "liar", "colluder", "late", "sick", "refuser", "erring", "recanting")
LYING = ("liar", "colluder", "recanting")
ERRS = 0.004  # of an erring machine's blocks: twice what honest ones show
JOIN_MAX_S = 4.0


@dataclass
class Strangers(World):
    """`node_of` names: what is told of workers are short names, which the draw takes as they are."""

    kinds: tuple[str, ...] = KINDS
    lying: tuple[str, ...] = LYING
    assurance: Assurance | None = None  # None: the seed says
    expelled: dict[NodeId, str] = field(default_factory=dict)
    finals: dict[int, tuple[Digest, tuple[NodeId, ...]]] = field(default_factory=dict)
    drawn: dict[int, int] = field(default_factory=dict)  # block -> replicas that were drawn
    said: dict[int, tuple[Digest, bytes | None]] = field(default_factory=dict)  # provisional or final
    ran: dict[int, list[NodeId]] = field(default_factory=dict)  # block -> whose answers came
    picked: list[tuple[int, NodeId]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        rng = self.rng
        self.replicas = rng.choice([2, 2, 2, 3])
        assurance = self.assurance or rng.choice([Assurance.STRICT, Assurance.ECONOMY])
        self.policy = Verify(replicas=self.replicas, assurance=assurance, audit_share=rng.choice([0.0, 0.0, 0.3]))
        self.audits = rules_for(self.policy)
        self.homogeneous = rng.random() < 0.2
        self.cannot_check = rng.random() < 0.15
        self.secret = self.seed.to_bytes(32, "big")
        terms = d.Terms(
            self.replicas, block_s=60.0, keep_errors=rng.random() < 0.8, apart=True, homogeneous=self.homogeneous
        )
        self.dispatch = Dispatch(terms, random.Random(rng.random()), pick=self._pick)
        self.quorum = Jury(self.policy, self.audits, self.secret, NodeId("me"))  # type: ignore[assignment]
        self.classes = {name: rng.choice(["arm", "intel"]) for name in self.workers}
        self.flying: dict[int, d.Assign] = {}
        self.reruns: dict[tuple[int, NodeId], int] = {}

    def _pick(self, index: int, again: int, candidates: Any) -> NodeId | None:
        """As draw.pick, for names that are no keys."""
        found = sorted(candidates)
        chosen = found[int(draw.chance(self.secret, "replica", index, again) * len(found))] if found else None
        if chosen is not None:
            self.picked.append((index, chosen))
        return chosen

    def _lacks_owners(self) -> bool:
        blocks = self.dispatch.blocks
        return any(blocks.final[i] < d.BlockState.PROVISIONAL for i in range(self.blocks))

    def _relieve(self) -> None:
        """A homogeneous job needs its own class's."""
        self._relief += [replace(worker, name=NodeId(f"x{worker.name}"), owner=f"x{worker.owner}") for worker in self._relief]
        for worker in self._relief:
            self.classes[worker.name] = "arm" if worker.name.startswith("x") else "intel"
        super()._relieve()

    # -- workers ------------------------------------------------------------------------------------------------------

    def answer(self, worker: FakeWorker, index: int, alone: bool) -> bytes:
        wrong = self.truth(index)[:-1]
        if worker.kind == "erring" and self.rng.random() < ERRS:
            return wrong + bytes([98])
        if worker.kind == "recanting" and not self.reruns.get((index, worker.name)) and self.rng.random() < worker.lie:
            return wrong + bytes([90])
        return super().answer(worker, index, alone)

    def _happen(self, what: str, *about: Any) -> None:
        if what == "join":
            (worker,) = about
            where = self.classes.setdefault(worker.name, "arm")
            self.tell(d.WorkerJoined(worker.name, worker.owner, 2, hardware_class=where, kin=(f"net {worker.owner[-1]}",)))
            self.ask(q.Known(worker.name, worker.owner, self.rng.choice([0, 0, 30]) if worker.kind not in LYING else 0))
        elif what == "checked" and self.cannot_check:
            self.ask(q.SelfCheckFailed(about[0], "no sandbox"))
        elif what == "fetched":
            self.ask(q.OutputFetched(*about))
        else:
            super()._happen(what, *about)

    def _return(self, unit: d.Assign, worker: FakeWorker) -> None:
        self.flying.pop(unit.unit, None)
        super()._return(unit, worker)

    # -- the shell ----------------------------------------------------------------------------------------------------

    def _perform(self, effect: d.Effect) -> None:
        match effect:
            case d.Assign(unit, worker, indices):
                again = [i for i in indices if (i, worker) in self.reruns]
                if worker in self.expelled:
                    self.faults.append(f"{worker} got a unit after it was expelled")
                for index in indices:
                    self._judge_assignment(index, worker, bool(again))
                self.flying[unit] = effect
            case d.Revoke(unit):
                self.flying.pop(unit, None)
            case d.Deliver(_, worker, _, indices):
                for index in indices:
                    self.ran.setdefault(index, []).append(worker)
            case d.NoReplica(indices):
                self.ask(q.NoReplica(indices))
                return
            case _:
                pass
        super()._perform(effect)

    def _judge_assignment(self, index: int, worker: NodeId, again: bool) -> None:
        if index in self.finals:
            self.faults.append(f"block {index} went out when it was final")
        if self.homogeneous and any(self.classes[name] != self.classes[worker] for name in self.ran.get(index, ())):
            self.faults.append(f"block {index} left its hardware class")
        for number, other in self.flying.items():
            if not again and number in self.dispatch.running() and index in other.indices and (index, other.worker) not in self.reruns:
                self.faults.append(f"block {index} was with {worker} and {other.worker} at once")

    def ask(self, event: q.Event) -> None:
        for effect in self.quorum.handle(event, self.now):
            match effect:
                case q.Agreed():
                    self._said(effect)
                    state = d.BlockState.PROVISIONAL if effect.provisional else d.BlockState.FAILED
                    self.tell(d.Decided(effect.indices, state))
                case q.Settled(indices, workers):
                    for index, names in zip(indices, workers, strict=True):
                        self._final(index, names)
                        blocks = self.dispatch.blocks
                        if not self.audits.alone and (blocks.need[index] or blocks.running[index]):
                            self.faults.append(f"block {index} was settled while another answer was awaited")
                    self.tell(d.Decided(indices, d.BlockState.SETTLED))
                case q.Voted():
                    self.votes.append(effect)
                    self._judge_vote(effect)
                case q.NeedReplicas(index, count, alone, avoid, drawn):
                    self.drawn[index] = self.drawn.get(index, 0) + count
                    self.tell(d.MoreReplicas(index, count, alone, avoid, drawn))
                case q.NextOwner(indices):
                    self.tell(d.NextOwner(indices))
                case q.Standing(worker, established):
                    self.tell(d.Standing(worker, established))
                case q.Expelled(worker, why):
                    self.expelled[worker] = why
                    self.tell(d.Exclude(worker, why))
                case q.Rerun(index, workers):
                    for name in workers:
                        self.reruns[index, name] = 1
                    self.tell(d.RunAgain(index, workers))
                case q.SelfCheck(index):
                    self.at(0.5, ("checked", index))
                case q.FetchOutput(index, worker):
                    self.at(0.1, ("fetched", index, worker, None))
                case q.Disputed(index):
                    self._final(index, ())
                    self.disputed[index] = effect
                    self.tell(d.Decided((index,), d.BlockState.DISPUTED))
                case q.JobNondeterministic(words):
                    self.paused = words
                    self.tell(d.Pause(words))
                case q.CoalesceOff(words):
                    self.coalesce_off = words
                    self.tell(d.CoalesceOff())

    # -- invariants ---------------------------------------------------------------------------------------------------

    def _said(self, agreed: q.Agreed) -> None:
        for index, digest, output in zip(agreed.indices, agreed.digests, agreed.outputs, strict=True):
            if index in self.finals:
                self.faults.append(f"block {index} changed when it was final")
            if output is None:
                self.faults.append(f"block {index} was agreed on without its bytes")
            self.said[index] = digest, output
            if not agreed.provisional:
                self._final(index, ())

    def _final(self, index: int, workers: tuple[NodeId, ...]) -> None:
        if index in self.finals:
            self.faults.append(f"block {index} was final twice")
        digest, _ = self.said.get(index, (Digest(b""), None))
        self.finals[index] = digest, workers
        if workers and set(workers) & set(self.expelled):
            self.faults.append(f"block {index} is final on an expelled worker's word")
        owners = {self.workers[name].owner for name in workers if name in self.workers}
        if workers and len(owners) < len(workers):
            self.faults.append(f"block {index}: an owner had two voices")

    def _judge_vote(self, vote: q.Voted) -> None:
        if any(index not in self.finals for index in vote.indices):
            self.faults.append(f"a vote on {vote.worker} before its block was final")
        if vote.verdict is Verdict.DISPUTED and vote.worker not in self.expelled:
            self.faults.append(f"{vote.worker} was voted against and not expelled")

    def wrong(self) -> list[int]:
        """Blocks that are final and wrong."""
        return [
            i for i, (_, workers) in self.finals.items() if workers and (self.said[i][1] or b"\x00" * 5)[-1] >= 90
        ]

    def violations(self) -> list[str]:
        out = super().violations()
        lying = [w for w in self.workers.values() if w.kind in LYING]
        if self.program == "coalescing":  # where a few run blocks together and most do not, it looks like those few
            return [broken for broken in out if not broken.startswith("honest")]
        out += [f"honest {n} ({self.workers[n].kind}) expelled: {why}" for n, why in self.expelled.items()
                if self.workers[n].kind not in LYING]  # fmt: skip
        if self.done is not None and not self.done.why and not self.paused:
            out += [f"block {i} is not final" for i in range(self.blocks) if not self.dispatch.blocks.final[i] > 2]
        if not any(w.kind in ("colluder", "recanting") for w in lying) and not self.audits.alone and not self.paused:
            out += [f"block {i} settled wrong among liars that do not collude" for i in self.wrong()]
        return out


