"""What one reading of a receipt file leaves in memory: some hundred bytes a block, nothing of its data.

Workers are numbers of 32 bits, a block's one after the other: a bit for each worker would cost every block as many bits
as the file has keys, and keys are free.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ctorrent.errors import LimitExceeded, Malformed
from ctorrent.model.entry import Tally
from ctorrent.model.ids import Digest, JobId, NodeId, OwnerId
from ctorrent.model.job import Amendment, AmendmentKind, SignedManifest
from ctorrent.model.portable import Answer, Head
from ctorrent.wire.codec_portable import RULES, STATES
from ctorrent.wire.portable import MerkleStream

EXAMPLES = 5  # of what is wrong, that are told one by one
NO_TAG = Digest(b"")
NOTHING = bytes(32)  # instead of an output's digest, where a block has none
SETTLED = STATES.index("settled")


def packed(workers: Iterable[int]) -> bytes:
    """As a block's columns hold them."""
    return array("I", workers).tobytes()


def numbers(column: bytes) -> tuple[int, ...]:
    """The inverse of packed()."""
    return tuple(memoryview(column).cast("I"))


@dataclass(slots=True)
class Wrongs:
    """What is wrong, each kind counted and the first few told."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, words: str) -> None:
        self.count += 1
        if len(self.first) < EXAMPLES:
            self.first.append(words)


@dataclass(slots=True)
class Chain:
    """The job's amendments: where the chain stands, which blocks were signed for, the secret once it is revealed."""

    head: Digest
    seq: int = 0
    ranges: list[tuple[int, bytes]] = field(default_factory=list)  # where an amendment's blocks end, their Merkle root
    signed: int = 0  # blocks that they append in all
    heads: set[Digest] = field(default_factory=set)
    secret: bytes = b""
    closed: bool = False
    calibration: bytes = b""  # digest of the tolerances that were fitted and frozen

    def add(self, link: Amendment, name: Digest, job: JobId) -> None:
        """Raises Malformed where a link does not follow the one before it."""
        if link.job != job or link.seq != self.seq + 1 or link.prev != self.head:
            raise Malformed(f"amendment {link.seq} does not follow the one before it")
        if self.closed:
            raise Malformed("an amendment after the close")
        self.seq, self.head = link.seq, name
        self.heads.add(name)
        if link.count:
            if link.first_index != self.signed:
                raise Malformed(f"amendment {link.seq} appends blocks {link.first_index} and on, not the next ones")
            self.signed += link.count
            self.ranges.append((self.signed, link.root))
        if link.kind is AmendmentKind.CALIBRATION:
            self.calibration = link.blob
        if link.draw_secret:
            self.secret = link.draw_secret


@dataclass(slots=True)
class Blocks:
    """A column for each thing that is remembered of every block."""

    offsets: array[int] = field(default_factory=lambda: array("Q"))  # of its part in the file
    digests: bytearray = field(default_factory=bytearray)
    outputs: bytearray = field(default_factory=bytearray)
    states: bytearray = field(default_factory=bytearray)
    inside: bytearray = field(default_factory=bytearray)  # 1: its output rides in the block's own part
    listed: list[bytes] = field(default_factory=list)  # workers, packed, that the requester says agreed
    same: list[bytes] = field(default_factory=list)  # those whose signed result opens to the kept output
    other: list[bytes] = field(default_factory=list)  # those whose signed result opens to another
    inputs: list[bytes] = field(default_factory=list)  # digests, one after the other
    tree: MerkleStream = field(default_factory=MerkleStream)  # over the present amendment's blocks
    checked: int = 0  # amendments whose root was found to hold

    def __len__(self) -> int:
        return len(self.states)

    def digest(self, index: int) -> Digest:
        return Digest(bytes(self.digests[32 * index : 32 * index + 32]))

    def output(self, index: int) -> Digest:
        return Digest(bytes(self.outputs[32 * index : 32 * index + 32]))

    def signers(self, index: int) -> set[int]:
        """Whoever signed a result of it."""
        return {*numbers(self.same[index]), *numbers(self.other[index])}

    def sign(self, column: list[bytes], index: int, worker: int) -> None:
        """Note a signed result, in `same` or in `other`. Raises LimitExceeded where a block has too many."""
        held = numbers(column[index])
        if worker in held:
            return
        if len(held) >= RULES.workers:
            raise LimitExceeded(f"block {index} has signed results of more than {RULES.workers} workers")
        column[index] += packed((worker,))


@dataclass(slots=True)
class Votes:
    """The job's ledger entries."""

    entries: int = 0
    tallies: list[Tally] = field(default_factory=list)
    receipts: int = 0
    credits: float = 0.0


@dataclass(slots=True)
class Book:
    """A receipt file after it was read once."""

    head: Head
    job: SignedManifest
    owner: OwnerId | None = None
    chain: Chain = field(default_factory=lambda: Chain(Digest(b"")))
    tag: Digest = NO_TAG
    blocks: Blocks = field(default_factory=Blocks)
    workers: dict[NodeId, int] = field(default_factory=dict)
    classes: Counter[tuple[Digest, str]] = field(default_factory=Counter)  # environment and hardware -> replicas
    class_of: dict[int, str] = field(default_factory=dict)  # the last that a worker's results name, for its tolerance
    votes: Votes = field(default_factory=Votes)
    answer: Answer | None = None
    data: dict[Digest, tuple[int, int]] = field(default_factory=dict)  # digest -> where its pieces begin, bytes
    nameable: int = RULES.files  # data that what was read so far can name
    units: int = 0
    shown: array[int] = field(default_factory=lambda: array("Q"))  # where units with outputs of their own stand in the file
    equal: int = 0  # blocks in which listed workers signed other bytes, all shown, all equal by the job's policy; after second_look
    apart: int = 0  # those in which it is not
    unassigned: int = 0  # units without their assignment
    parts: int = 0
    size_bytes: int = 0
    wrongs: dict[str, Wrongs] = field(default_factory=dict)  # by what they are about

    def wrong(self, what: str, words: str) -> None:
        self.wrongs.setdefault(what, Wrongs()).add(words)

    def number(self, worker: NodeId) -> int:
        """Raises LimitExceeded where the file names too many."""
        if len(self.workers) >= RULES.keys and worker not in self.workers:
            raise LimitExceeded(f"the file names more than {RULES.keys:,} workers")
        return self.workers.setdefault(worker, len(self.workers))

    def kept_class(self, index: int) -> str:
        """The class of a worker that signed the kept output, "" where none did."""
        return self.class_of.get(min(numbers(self.blocks.same[index]), default=-1), "")
