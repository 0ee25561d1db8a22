"""What comes back for one assignment: collected over frames, fetched where large, checked against its commitments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ctorrent.canon import encode
from ctorrent.errors import Malformed
from ctorrent.model.ids import Digest, JobId, NodeId
from ctorrent.model.result import FailureKind, Result, commitment, output_digest
from ctorrent.model.session import Output, Returned
from ctorrent.node import records
from ctorrent.node.jobbook import End, JobRecord
from ctorrent.ports import Journal, Put


@dataclass(slots=True)
class Given:
    """One assignment that is under way. `number` is dispatch's name for it."""

    number: int
    id: Digest
    worker: NodeId
    owner: str
    indices: Sequence[int]
    digests: tuple[Digest, ...]
    alone: bool
    result: Result | None = None
    outputs: list[Output] = field(default_factory=list)
    fetching: bool = False

    def put(self, job: JobId) -> Put:
        """So that a result that comes after a restart is still understood."""
        return Put("given", job + self.id, encode([self.number, self.worker, self.owner, list(self.indices), self.alone]))

    def collect(self, result: Result, message: Returned) -> bool:
        """Add a frame's outputs. -> is it whole? Raises Malformed when it is not what was assigned."""
        if self.result is not None and result != self.result:
            raise Malformed("two results for one assignment")
        if tuple(line.block for line in result.blocks) != self.digests or result.worker != self.worker:
            raise Malformed("a result of other blocks than assigned")
        if message.first < len(self.outputs):
            return False  # sent again after a reconnection: already here
        if message.first > len(self.outputs) or message.first + len(message.outputs) > len(self.digests):
            raise Malformed("outputs out of order")
        self.result = result
        self.outputs += message.outputs
        if message.last and len(self.outputs) != len(self.digests):
            raise Malformed(f"{len(self.outputs)} outputs for {len(self.digests)} blocks")
        return message.last

    def opened(self, fetched: dict[Digest, Digest]) -> list[Digest]:
        """Digest of each output, after its commitment was checked. Raises Malformed where one does not hold.

        fetched: blob digest -> output digest of the blobs that were fetched.
        """
        assert self.result is not None
        found = []
        for line, output in zip(self.result.blocks, self.outputs, strict=True):
            if output.data is not None:
                inside = output_digest(output.data)
            else:
                assert output.blob is not None
                inside = fetched[output.blob]
            if commitment(self.id, line.block, self.worker, output.nonce, inside) != line.commitment:
                raise Malformed("an output that is not the one committed to")
            found.append(inside)
        return found

    def wall_s(self) -> float:
        """Seconds inside the sandbox, as the worker claims them."""
        return sum(output.usage.wall_s for output in self.outputs)

    def environment_failures(self) -> list[int]:
        """Indices that failed by the worker's own fault."""
        return [
            index
            for index, output in zip(self.indices, self.outputs, strict=True)
            if output.failure is not None and output.failure.kind is FailureKind.ENVIRONMENT
        ]


def load_given(journal: Journal, record: JobRecord) -> list[Given]:
    """Assignments that were under way at the last stop."""
    found = []
    for key, value in journal.scan("given", record.id):
        number, worker, owner, indices, alone = records.load(value)
        digests = tuple(record.digests[index] for index in indices)
        found.append(Given(number, Digest(key[len(record.id) :]), worker, owner, indices, digests, alone))
    return found


@dataclass(frozen=True, slots=True)
class Replica:
    """What is kept of one worker's replica of one block until the job ends."""

    assignment: Digest
    commitment: Digest
    seconds: float
    failure_text: str
    log: bytes
    blob: Digest | None

    def end(self, state: str, output: bytes | None, workers: tuple[NodeId, ...]) -> End:
        """The block's end when this replica's bytes are the ones kept."""
        blob = self.blob if output is None and self.blob is not None else b""
        return End(state, output or b"", blob, self.failure_text, workers, len(workers), self.seconds, log=self.log)


def replicas(given: Given) -> list[Replica]:
    """One per block of a whole unit, in its order."""
    assert given.result is not None
    return [
        Replica(
            given.id, line.commitment, output.usage.wall_s, output.failure.text if output.failure else "",
            output.log, output.blob,
        )
        for line, output in zip(given.result.blocks, given.outputs, strict=True)
    ]  # fmt: skip
