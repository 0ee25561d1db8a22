"""What a receipt file holds: one job with everything that whoever reads it needs in order to trust nobody.

The file is a sequence of parts; docs/receipts.md is its specification, wire/codec_portable.py its codec.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ctorrent.model.block import Block
from ctorrent.model.ids import Digest, JobId, NodeId
from ctorrent.seal import Sealed


@dataclass(frozen=True, slots=True)
class Head:
    """The first part. All of it is its signer's word."""

    job: JobId
    version: str  # of the program that wrote the file
    unix: int  # when it was written
    state: str  # how the job ended, as status.JobStatus
    reason: str
    blocks: int
    with_data: bool  # were large inputs and outputs wanted in it?


class SealedKind(Enum):
    MANIFEST = "manifest"
    OWNER = "owner"  # the certificate of the requester's node, where it has one
    AMENDMENT = "amendment"
    ENTRY = "entry"  # of the ledger


@dataclass(frozen=True, slots=True)
class SealedPart:
    """Something signed, in the bytes that were signed."""

    kind: SealedKind
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class Tag:
    """What opens the job's tag in ledger entries: model.entry.job_tag(job, secret)."""

    secret: bytes


class DataKind(Enum):
    BLOB = "blob"  # digest("ctorrent/blob/1", bytes): code, lock, inputs, the answer
    OUTPUT = "output"  # digest("ctorrent/output/1", bytes): a block's output


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes follow, in Piece parts of together `size_bytes`, that have this digest."""

    kind: DataKind
    digest: Digest
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Piece:
    data: bytes


@dataclass(frozen=True, slots=True)
class BlockLine:
    """One block and how it ended."""

    block: Block
    state: str  # "settled", "failed", "disputed", "cancelled"
    output: Digest | None  # of the bytes that were kept; None: it has none
    size_bytes: int  # of them
    data: bytes | None  # they themselves, when small; Data parts hold others
    workers: tuple[NodeId, ...]  # those whose results were found to be the same; the kept bytes are the first one's
    words: str  # why it has no result


@dataclass(frozen=True, slots=True)
class Opening:
    """What makes one line of a result plain: commitment(assignment, block, worker, nonce, output) is in it."""

    nonce: bytes
    output: Digest


@dataclass(frozen=True, slots=True)
class Unit:
    """One assignment that came back. `indices` and `openings` in the order of the result's lines."""

    assignment_id: Digest
    indices: tuple[int, ...]
    assignment: Sealed | None  # None: handed out by a version that did not keep it
    result: Sealed
    openings: tuple[Opening, ...]
    outputs: tuple[bytes, ...] = ()  # in the same order, small ones that are not the kept ones; empty: not shown. Or none at all


@dataclass(frozen=True, slots=True)
class Answer:
    """The reduced answer: a blob, or why there is none."""

    blob: Digest | None
    size_bytes: int
    error: str


@dataclass(frozen=True, slots=True)
class Seal:
    """The last part: the root over all others, signed by the requester's node key."""

    sealed: Sealed


@dataclass(frozen=True, slots=True)
class Summed:
    """What that signature is over."""

    job: JobId
    parts: int  # before the seal
    root: Digest


Part = Head | SealedPart | Tag | Data | Piece | BlockLine | Unit | Answer | Seal
