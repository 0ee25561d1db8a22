"""Results a job has taken, each with its signature, so that a second one for the same assignment is known for what it is.

Two valid results by one key for one assignment with different commitments prove that the worker looked for the answer
that suits it. The pair is journalled: whoever reads it needs to trust nobody.
"""

from __future__ import annotations

from ctorrent.canon import encode
from ctorrent.errors import Malformed
from ctorrent.ledger.tally import Observation
from ctorrent.model.ids import Digest, JobId, NodeId, OwnerId, node_public
from ctorrent.model.result import Result, Verdict
from ctorrent.node import records
from ctorrent.node.scribe import Scribe
from ctorrent.node.world import World
from ctorrent.ports import Put, Write
from ctorrent.seal import Sealed
from ctorrent.wire import codec

EQUIVOCATION_POINTS = 100  # a proof: refused at once, and for a while


class Proofs:
    """Of one job."""

    def __init__(self, world: World, scribe: Scribe, job: JobId) -> None:
        self.puts: list[Write] = []  # for the next durable commit
        self._world, self._scribe, self._job = world, scribe, job
        self._taken: dict[Digest, Sealed] = {}

    def took(self, result: Result, sealed: Sealed) -> None:
        """This is the worker's result for its assignment."""
        self._taken.setdefault(result.assignment, sealed)

    def look(self, peer: NodeId, owner: OwnerId, result: Result, sealed: Sealed) -> None:
        """Raises Malformed when `peer` signed another result for this assignment before; keeps both, and counts it."""
        first = self._taken.get(result.assignment)
        if first is None or first.body == sealed.body or result.worker != peer:
            return
        before = codec.open_result(first)
        pair = encode([records.pack_sealed(first), records.pack_sealed(sealed)])
        self.puts.append(Put("equivocation", node_public(peer) + result.assignment, pair))
        self._world.directory.charge(peer, EQUIVOCATION_POINTS, "signed two results for one assignment")
        for one, other in zip(before.blocks, result.blocks, strict=False):
            if one != other:
                seen = Observation(self._job, peer, one.block, result.assignment, one.commitment, Verdict.INVALID)
                self._scribe.record(seen, owner, result.hardware_class)
        raise Malformed("two results for one assignment")
