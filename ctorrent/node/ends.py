"""How blocks end: what quorum decided becomes records, lines on the board, and votes with their evidence."""

from __future__ import annotations

from collections.abc import Mapping

from ctorrent.ledger.tally import Observation
from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.result import Verdict
from ctorrent.node import seen
from ctorrent.node.jobbook import End, JobRecord, load_ends
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
        self._verdicts = Verdicts(world.journal, scribe, record.id)
        self._kept: dict[tuple[int, NodeId], Replica] = {}

    def before(self) -> dict[str, list[int]]:
        """What a life before a restart decided: state -> indices. The board counts it, and the time since."""
        self._verdicts.before()
        seen.load(self._world.journal, self._record.id, self._board)
        found: dict[str, list[int]] = {}
        for index, end in load_ends(self._world.journal, self._record.id):
            found.setdefault(end.state, []).append(index)
            self._board.decided_before(end)
        if self._record.state != "waiting":
            self._board.began_before(max(0, self._world.clock.unix() - self._record.submitted_unix))
        return found

    def take(self) -> tuple[list[Write], list[Digest]]:
        """Records for the next commit, and the blobs they name."""
        if self.puts:  # what it came from goes with what was decided, in one commit
            self.puts += seen.puts(self._record.id, self._board)
        taken = self.puts, self.blobs
        self.puts, self.blobs = [], []
        return taken

    def keep(self, given: Given) -> list[tuple[int, Replica]]:
        """Remember a unit's replicas until the job ends: votes and large outputs refer to them."""
        found = list(zip(given.indices, replicas(given), strict=True))
        for index, replica in found:
            self._kept[index, given.worker] = replica
        return found

    def kept(self, index: int, worker: NodeId) -> Replica | None:
        return self._kept.get((index, worker))

    def agreed(self, effect: q.Agreed, now: float) -> str:
        """Blocks that have their result. -> the state they end in."""
        state = "failed" if effect.failed else "settled"
        self._board.cross_validated = self._board.cross_validated and effect.cross_validated
        seconds = 0.0
        for index, output, workers in zip(effect.indices, effect.outputs, effect.workers, strict=True):
            kept = self._kept.get((index, workers[0])) if workers else None
            end = kept.end(state, output, workers) if kept else End(state, output or b"", workers=workers, agreed=len(workers))
            if end.blob:
                self._world.blobs.pin(Digest(end.blob), f"job {self._record.name}")
                self.blobs.append(Digest(end.blob))
            self.puts.append(end.put(self._record.id, index))
            seconds += end.seconds
            if effect.failed:
                self._board.failed(index, end.failure_text)
        self._board.settled(now, len(effect.indices), state, seconds)
        return state

    def without_result(self, index: int, end: End, now: float) -> None:
        """A block that nobody can settle: attempts used up, or disputed."""
        self.puts.append(end.put(self._record.id, index))
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
            self.puts.append(self._verdicts.add(worker, owner, hardware_class, votes))
