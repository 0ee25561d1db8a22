"""What comes back for one assignment: collected over frames, fetched where large, checked against its commitments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ctorrent.dispatch import words
from ctorrent.errors import LimitExceeded, Malformed
from ctorrent.model.ids import Digest, JobId, NodeId
from ctorrent.model.result import FailureKind, Result, commitment, output_digest
from ctorrent.model.session import Assign, Output, Returned
from ctorrent.model.trade import Assignment
from ctorrent.node import records
from ctorrent.node.advice import explained
from ctorrent.node.jobbook import End, JobRecord
from ctorrent.node.world import World
from ctorrent.ports import Journal, Put
from ctorrent.seal import Sealed
from ctorrent.wire import codec
from ctorrent.wire.names import INLINE_BYTES_MAX

UNIT_BYTES_MAX = 64 << 20  # outputs of one unit in memory: sixteen times what a worker sends inline of a coalesced one
HELD_BYTES_MAX = 4 * UNIT_BYTES_MAX  # of one worker's units whose large outputs are still being fetched
OUTPUT_FRAME_BYTES = 64  # a kind byte and the frame of a value, on top of the job's own limit
LOG_BYTES_KEPT = 4096  # of a block that ended: what honest workers send
FAILURE_CHARS_KEPT = 8192  # the end of a traceback, for each block of the job


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
    at: float = 0.0  # when it was handed out, on this node's clock; 0: before a restart
    result: Result | None = None
    outputs: list[Output] = field(default_factory=list)
    fetching: bool = False
    terms: tuple[bytes, bytes, float, bytes] | None = None  # amendment head, nonce, lease_s, signature: see node/dossier.py
    signed: Sealed | None = None  # the result, as it travelled
    inside: tuple[Digest, ...] = ()  # digest of each output, once every commitment was found to hold
    claim: tuple[float, ...] = ()  # what its worker asks for it: see Billing.claim

    def put(self, job: JobId) -> Put:
        """So that a result that comes after a restart is still understood."""
        terms = list(self.terms) if self.terms else []
        return Put("given", job + self.id, records.pack([self.number, self.worker, self.owner, list(self.indices), self.alone, terms]))

    def held_bytes(self) -> int:
        """Outputs of it that are in memory."""
        return sum(len(output.data) for output in self.outputs if output.data is not None)

    def collect(self, result: Result, message: Returned, output_bytes: int) -> bool:
        """Add a frame's outputs. -> is it whole? Raises Malformed when it is not what was assigned, or is too large."""
        if self.result is not None and result != self.result:
            raise Malformed("two results for one assignment")
        if tuple(line.block for line in result.blocks) != self.digests or result.worker != self.worker:
            raise Malformed("a result of other blocks than assigned")
        if message.first < len(self.outputs):
            return False  # sent again after a reconnection: already here
        if message.first > len(self.outputs) or message.first + len(message.outputs) > len(self.digests):
            raise Malformed("outputs out of order")
        self.result, self.signed = result, message.result
        self.outputs += [_fitting(output, output_bytes + OUTPUT_FRAME_BYTES) for output in message.outputs]
        if self.held_bytes() > UNIT_BYTES_MAX:
            raise LimitExceeded(f"a unit of more than {UNIT_BYTES_MAX >> 20} MiB that should have come in blobs")
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
        self.inside = tuple(found)
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
        number, worker, owner, indices, alone, terms = records.load(value)
        digests = tuple(record.digests[index] for index in indices)
        name = Digest(key[len(record.id) :])
        found.append(Given(number, name, worker, owner, indices, digests, alone, terms=tuple(terms) if terms else None))
    return found


def hand_out(world: World, record: JobRecord, effect: words.Assign, owner: str) -> tuple[Given, Assign]:
    """Sign one assignment. -> what is remembered of it, and what the worker is sent."""
    indices = list(effect.indices)
    digests = tuple(record.digests[index] for index in indices)
    nonce = world.clock.random_bytes(16)
    assignment = Assignment(record.id, 1, record.head(), effect.worker, nonce, effect.lease_s, digests)
    sealed = codec.seal_assignment(assignment, world.keys.node)
    given = Given(effect.unit, codec.assignment_id(sealed), effect.worker, owner, indices, digests, effect.alone, world.clock.now())
    given.terms = (bytes(assignment.amendment_head), nonce, assignment.lease_s, sealed.signature)
    return given, Assign(sealed, tuple(record.blocks[index] for index in indices))


def _fitting(output: Output, limit: int) -> Output:
    """An output as it is kept. Raises LimitExceeded when it is larger than the job allows, or than a frame should be."""
    if output.size_bytes > limit or (output.data is not None and len(output.data) > INLINE_BYTES_MAX):
        raise LimitExceeded(f"an output of {output.size_bytes} bytes, where {limit} are allowed")
    failure = output.failure
    if failure is not None and len(failure.text) > FAILURE_CHARS_KEPT:
        output = replace(output, failure=replace(failure, text=failure.text[-FAILURE_CHARS_KEPT:]))
    return output if len(output.log) <= LOG_BYTES_KEPT else replace(output, log=output.log[-LOG_BYTES_KEPT:])


def make_room(under_way: Iterable[Given], given: Given, whole: bool) -> None:
    """A worker returns one unit after the other: what it began before and did not finish is forgotten.

    Raises LimitExceeded when too much of it waits for blobs.
    """
    held = given.held_bytes()
    for other in under_way:
        if other is given or other.worker != given.worker or not other.outputs:
            continue
        if other.fetching:
            held += other.held_bytes()
        elif not whole:
            other.outputs.clear()
            other.result = None
    if held > HELD_BYTES_MAX:
        raise LimitExceeded("too many large units at once")


@dataclass(frozen=True, slots=True)
class Replica:
    """What is kept of one worker's replica of one block until the job ends."""

    assignment: Digest
    commitment: Digest
    seconds: float
    failure_text: str
    log: bytes
    blob: Digest | None
    owner: str
    fingerprint: Digest
    order: int = 0  # among its worker's answers
    alone: bool = False  # its unit had no other block
    same_always: bool = False  # any seed gives it, as its worker says
    clock: bool = False  # another day may give something else, as its worker says

    def end(self, state: str, output: bytes | None, workers: tuple[NodeId, ...]) -> End:
        """The block's end when this replica's bytes are the ones kept."""
        blob = self.blob if output is None and self.blob is not None else b""
        return End(state, output or b"", blob, self.failure_text, workers, len(workers), self.seconds, log=self.log)


def replicas(given: Given) -> list[Replica]:
    """One per block of a whole unit, in its order."""
    assert given.result is not None
    return [
        Replica(
            given.id, line.commitment, output.usage.wall_s, explained(output.failure.text) if output.failure else "",
            output.log, output.blob, given.owner, given.result.fingerprint, given.number + 1, given.alone,
            output.usage.same_always, output.usage.clock,
        )
        for line, output in zip(given.result.blocks, given.outputs, strict=True)
    ]  # fmt: skip
