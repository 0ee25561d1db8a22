"""Verdicts of one job that no tally may hold yet: on the disk with the blocks they are about.

    verdict   job id ‖ worker public ‖ first u32   [owner, class, verdict, [[block, assignment, commitment, against …] …]]
    tallied   job id ‖ worker public               how many of that worker's verdicts are in tallies

against: assignments whose answers it lost to, if whoever saw it said so. Verdicts on a worker are numbered from 0. A tally and its `tallied` are one commit, so after a restart each verdict is
counted once, whichever of the two commits the machine still made.
"""

from __future__ import annotations

from collections.abc import Sequence

from ctorrent.ledger.tally import Observation
from ctorrent.model.ids import Digest, JobId, NodeId, OwnerId, node_id, node_public
from ctorrent.model.result import Verdict
from ctorrent.node import records
from ctorrent.node.records import u32
from ctorrent.node.scribe import Scribe
from ctorrent.ports import Journal, Put


class Verdicts:
    """Hands verdicts to the scribe, and remembers them until it has written them down."""

    def __init__(self, journal: Journal, scribe: Scribe, job: JobId) -> None:
        self._journal, self._scribe, self._job = journal, scribe, job
        self._next: dict[NodeId, int] = {}

    def add(self, worker: NodeId, owner: OwnerId, hardware_class: str, seen: Sequence[Observation]) -> Put:
        """Verdicts of one kind on one worker; -> the record, to be committed with what they are about."""
        first = self._next.get(worker) or self._scribe.tallied(self._job, worker)
        self._next[worker] = first + len(seen)
        for one in seen:
            self._scribe.record(one, owner, hardware_class)
        rows = [[one.block, one.assignment, one.commitment, *one.against] for one in seen]
        value = [owner, hardware_class, seen[0].verdict.value, rows]
        return Put("verdict", self._job + node_public(worker) + u32(first), records.pack(value))

    def before(self) -> None:
        """After a restart: count again what was decided and is in no tally."""
        for key, value in self._journal.scan("verdict", self._job):
            worker, first = node_id(key[32:64]), int.from_bytes(key[64:], "big")
            owner, hardware_class, verdict, rows = records.load(value)
            written = self._scribe.tallied(self._job, worker)
            for block, assignment, commitment, *against in rows[max(0, written - first) :]:
                seen = Observation(
                    self._job, worker, Digest(block), Digest(assignment), Digest(commitment), Verdict(verdict),
                    tuple(map(Digest, against)),
                )  # fmt: skip
                self._scribe.record(seen, OwnerId(owner), hardware_class)
            self._next[worker] = max(written, first + len(rows), self._next.get(worker, 0))
