"""How blocks end: what quorum decided becomes records, lines on the board, and votes with their evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ctorrent.ledger.tally import Observation
from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.result import Verdict
from ctorrent.node import recall, seen
from ctorrent.node.jobbook import End, JobRecord, load_ends, load_voices, put_final, put_voices
from ctorrent.node.progress import Progress
from ctorrent.node.returned import Given, Replica, replicas
from ctorrent.node.scribe import Scribe
from ctorrent.node.tender import Tender
from ctorrent.node.verdicts import Verdicts
from ctorrent.node.world import World
from ctorrent.ports import Write
from ctorrent.verify import words as q


class Ends:
    """Of one job. `puts`: records for the next durable commit, taken by the coordination."""

    def __init__(self, world: World, scribe: Scribe, record: JobRecord, board: Progress, tender: Tender) -> None:
        self.puts: list[Write] = []
        self.blobs: list[Digest] = []  # that those records name
        self._world, self._record, self._board, self._tender = world, record, board, tender
        self.verdicts = Verdicts(world.journal, scribe, record.id)
        self._kept: dict[tuple[int, NodeId], Replica] = {}
        self._provisional: dict[int, None] = {}
        self.restored: list[q.Restored] = []  # of a life before a restart
        self.returned: list[recall.Unit] = []  # likewise, with an answer to a block that is not final
        self.ended: list[int] = []  # final blocks, in the order in which they became so
        self._before: set[int] = set()  # final blocks of lives before a restart
        self.own_print = Digest(b"")  # of the environment of the requester's own runs

    def before(self) -> dict[str, list[int]]:
        """What a life before a restart decided: state -> indices. The board counts it, and the time since."""
        self.verdicts.before()
        seen.load(self._world.journal, self._record.id, self._board)
        found: dict[str, list[int]] = {}
        blobs: dict[tuple[int, str], Digest] = {}  # of provisional blocks
        for index, end in load_ends(self._world.journal, self._record.id):
            self._board.states.decided(index, end.state, [NodeId(worker) for worker in end.workers])
            if end.state == "provisional":
                if end.blob and end.workers:
                    blobs[index, end.workers[0]] = Digest(end.blob)
                self._provisional[index] = None
                self._board.provisional += 1
                continue
            found.setdefault(end.state, []).append(index)
            self._board.decided_before(end)
        self._before = {index for indices in found.values() for index in indices}
        self.ended = sorted(self._before)
        self._recall(blobs)
        if self._record.state != "waiting":
            self._board.began_before(max(0, self._world.clock.unix() - self._record.submitted_unix))
        return found

    def _recall(self, blobs: Mapping[tuple[int, str], Digest]) -> None:
        """Who answered what, of blocks that are not final."""
        self.returned = recall.units(self._world.journal, self._record, lambda index: index not in self._before)
        others: dict[int, dict[NodeId, q.Voice]] = {}
        for unit in self.returned:
            for line in unit.lines:
                if line.index not in self._before:
                    self._kept[line.index, unit.worker] = unit.kept(line, blobs.get((line.index, unit.worker)))
                    others.setdefault(line.index, {})[unit.worker] = unit.voice(line)
        for held in load_voices(self._world.journal, self._record.id):
            if held.index in self._provisional:
                said = {voice.worker for voice in held.voices}
                more = [voice for worker, voice in others.get(held.index, {}).items() if worker not in said]
                self.restored.append(replace(held, others=more))

    def known(self, index: int, end: End) -> None:
        """A block that an earlier job settled."""
        if end.blob:
            self._world.blobs.pin(Digest(end.blob), f"job {self._record.name}")
        self.puts.append(end.put(self._record.id, index))
        self.ended.append(index)
        self._board.decided_before(end)

    def is_final(self, index: int) -> bool:
        """By a life before a restart."""
        return index in self._before

    def is_provisional(self, index: int) -> bool:
        return index in self._provisional

    def take(self) -> tuple[list[Write], list[Digest]]:
        """Records for the next commit, and the blobs they name."""
        if self.puts or seen.has_notes(self._board):  # what it came from goes with what was decided, in one commit
            self.puts += seen.puts(self._record.id, self._board)
        taken = self.puts, self.blobs
        self.puts, self.blobs = [], []
        return taken

    def work(self) -> list[Write]:
        """Who worked, as far as the journal does not hold it: goes with the answers, which outlive a restart."""
        return list(seen.puts(self._record.id, self._board)) if self._board.changed else []

    def keep(self, given: Given) -> list[tuple[int, Replica]]:
        """Remember a unit's replicas until the job ends: votes and large outputs refer to them."""
        found = list(zip(given.indices, replicas(given), strict=True))
        for index, replica in found:
            self._kept[index, given.worker] = replica
        return found

    def unit_of(self, index: int, worker: NodeId) -> list[int]:
        """The blocks that this worker ran with this one, in its order; empty where that is not known any more."""
        kept = self._kept.get((index, worker))
        if kept is None:
            return []
        return [one for (one, name), replica in self._kept.items() if name == worker and replica.assignment == kept.assignment]

    def kept(self, index: int, worker: NodeId) -> Replica | None:
        return self._kept.get((index, worker))

    def agreed(self, effect: q.Agreed, now: float) -> str:
        """Blocks that have their result. -> the state they end in, or are in until their audit window closes."""
        state = "failed" if effect.failed else "provisional" if effect.provisional else "settled"
        self._board.cross_validated = self._board.cross_validated and (effect.cross_validated or effect.provisional)
        seconds = 0.0
        for index, output, workers in zip(effect.indices, effect.outputs, effect.workers, strict=True):
            kept = self._kept.get((index, workers[0])) if workers else None
            end = kept.end(state, output, workers) if kept else End(state, output or b"", workers=workers, agreed=len(workers))
            if end.blob:
                self._world.blobs.pin(Digest(end.blob), f"job {self._record.name}")
                self.blobs.append(Digest(end.blob))
            self.puts.append(end.put(self._record.id, index))
            self._board.states.decided(index, state, workers)
            seconds += end.seconds
            if effect.failed:
                self._board.failed(index, end.failure_text)
        if effect.provisional:
            self._hold(effect, now, seconds)
        else:
            self._let_go(effect.indices)
            self.ended += effect.indices
            self._board.settled(now, len(effect.indices), state, seconds)
            self._board.alone += sum(len(workers) < 2 for workers in effect.workers) if state == "settled" else 0
        return state

    def _hold(self, effect: q.Agreed, now: float, seconds: float) -> None:
        """Count them once, and remember who answered: a restart must know whose word each stands on."""
        fresh = [index for index in effect.indices if index not in self._provisional]
        self._board.agreed(now, len(fresh), seconds)
        self._provisional.update(dict.fromkeys(fresh))
        for index, digest, workers in zip(effect.indices, effect.digests, effect.workers, strict=True):
            self.puts.append(put_voices(self._record.id, index, digest, self._voices(index, digest, workers)))

    def _voices(self, index: int, digest: Digest, workers: Sequence[NodeId]) -> list[q.Voice]:
        found = []
        for worker in workers:
            one = self._kept.get((index, worker))
            if one is not None:
                found.append(q.Voice(worker, one.owner, one.fingerprint, digest, None, one.order, one.alone))
            elif worker == self._world.node:
                found.append(q.Voice(worker, self._world.owner, self.own_print, digest, own=True))
        return found

    def stands(self, effect: q.Stands) -> None:
        """Other answers came to a provisional block."""
        voices = [
            replace(one, own=one.own or one.worker == effect.own)
            for one in self._voices(effect.index, effect.digest, effect.workers)
        ]
        self.puts.append(put_voices(self._record.id, effect.index, effect.digest, voices, effect.counted))

    def _let_go(self, indices: Sequence[int]) -> None:
        for index in indices:
            if index in self._provisional:
                del self._provisional[index]
                self._board.provisional -= 1

    def settled(self, effect: q.Settled, now: float) -> None:
        """Provisional blocks are final."""
        self._let_go(effect.indices)
        self.ended += effect.indices
        for index, workers in zip(effect.indices, effect.workers, strict=True):
            self.puts += put_final(self._record.id, index, len(workers))
            self._board.states.decided(index, "settled", workers)
            self._board.cross_validated = self._board.cross_validated and len(workers) > 1
            self._board.alone += len(workers) < 2
        self._board.finished(len(effect.indices), "settled")

    def without_result(self, index: int, end: End, now: float) -> None:
        """A block that nobody can settle: attempts used up, or disputed."""
        self._let_go((index,))
        self.ended.append(index)
        self.puts.append(end.put(self._record.id, index))
        self._board.states.decided(index, end.state, [NodeId(worker) for worker in end.workers])
        self._board.settled(now, 1, end.state, 0.0)
        self._board.failed(index, end.words)

    def voted(self, effect: q.Voted, differences: Mapping[int, str]) -> None:
        """Count verdicts for the ledger, each with the signed commitment it stands on."""
        worker, verdict = effect.worker, effect.verdict
        votes: list[Observation] = []
        for index in effect.indices:
            kept = self._kept.get((index, worker))
            if kept is None:
                continue  # the requester's own self-check: nobody's result
            self._board.voted(worker, verdict, [index])
            block = self._record.digests[index]
            votes.append(Observation(self._record.id, worker, block, kept.assignment, kept.commitment, verdict))
            if verdict is Verdict.DISPUTED:
                self._board.disputed(index, differences.get(index, "the results differ"), [worker], "settled")
        if votes:
            owner, hardware_class = self._tender.certified_owner(worker), self._tender.class_of(worker)
            self.puts.append(self.verdicts.add(worker, owner, hardware_class, votes))
