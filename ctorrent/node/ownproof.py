"""What this requester's own two runs of a block prove of a worker, published once the jury has expelled it.

    own runs agree with each other, and with the result ─┐
    the worker's vote for that block: disputed           ├─▶ PROOF entry (RERUN): the leaf of that vote, this machine's digest
    the jury expelled it: too often wrong for chance    ─┘

One block that lost to an own run is a proof by itself, but it may be a bit that flipped: an honest machine has one in five
hundred, and is not banned for it. So a proof waits for the expulsion, which has a confidence bound. Only outputs whose
digests decide count (see exhibits.digests_decide): where answers are rounded, two honest machines differ.
To others the entry is testimony; the vote whose leaf it names is served with its evidence like any other.
"""

from __future__ import annotations

from collections.abc import Callable

from ctorrent.ledger.tally import Observation, evidence_leaf
from ctorrent.model.entry import Proof, ProofKind
from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.result import Verdict, output_digest
from ctorrent.node.exhibits import digests_decide
from ctorrent.node.jobbook import JobRecord
from ctorrent.node.returned import Replica
from ctorrent.node.scribe import Scribe
from ctorrent.verify import words as q

RUNS_MAX = 4096  # blocks run here that are remembered; a job of a million has some hundreds
LOST_MAX = 65_536  # verdicts against workers, of any block: which of them an own run will bear out is not known before


class OwnProofs:
    """Of one job. me: this node, as whose answer the jury counts own runs."""

    def __init__(self, scribe: Scribe, record: JobRecord, me: NodeId) -> None:
        self._scribe, self._record, self._me = scribe, record, me
        self._runs: dict[int, Digest] = {}  # block -> what both own runs gave
        self._borne_out: dict[int, None] = {}  # blocks whose result is that of own runs
        self._lost: dict[NodeId, dict[int, Replica]] = {}  # worker -> block -> the answer that lost
        self._expelled: dict[NodeId, None] = {}  # and not yet proven wrong
        self._losses = 0
        self._changed = False  # anything, since it was last looked what is proven

    def ran(self, event: q.SelfChecked) -> None:
        """Own runs, as they go to the jury."""
        first, second = event.outputs
        if first == second and len(self._runs) < RUNS_MAX and digests_decide(self._record.job.manifest.verify, first):
            self._runs[event.index] = output_digest(first)
            self._changed = True

    def voted(self, effect: q.Voted, kept: Callable[[int, NodeId], Replica | None]) -> None:
        """Verdicts for the ledger. kept: what a worker answered."""
        if effect.worker == self._me:
            if effect.verdict is Verdict.AGREED:
                self._borne_out.update(dict.fromkeys(effect.indices[:RUNS_MAX]))
                self._changed = True
        elif effect.verdict is Verdict.DISPUTED:
            for index in effect.indices:
                if (replica := kept(index, effect.worker)) is not None and self._losses < LOST_MAX:
                    self._lost.setdefault(effect.worker, {})[index] = replica
                    self._losses += 1
                    self._changed |= effect.worker in self._expelled

    def expelled(self, worker: NodeId) -> None:
        if worker != self._me:
            self._expelled[worker] = None
            self._changed = True

    def pardoned(self, worker: NodeId) -> None:
        """It was the program."""
        self._expelled.pop(worker, None)

    async def publish(self) -> None:
        """Write what is proven by now. Raises JournalError."""
        if not self._changed:
            return
        for worker in list(self._expelled):
            if (proof := self._proof(worker)) is not None:
                del self._expelled[worker]
                await self._scribe.prove(self._record.id, self._record.job.manifest.ring, proof)
        self._changed = False

    def _proof(self, worker: NodeId) -> Proof | None:
        for index, lost in self._lost.get(worker, {}).items():
            if index in self._runs and index in self._borne_out:
                block = self._record.digests[index]
                seen = Observation(self._record.id, worker, block, lost.assignment, lost.commitment, Verdict.DISPUTED)
                return Proof(ProofKind.RERUN, worker, (), evidence_leaf(seen), self._runs[index])
        return None
