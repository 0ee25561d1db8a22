"""Records of the ledger: per-author, append-only, signed logs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from ctorrent.model.ids import Digest, JobId, NodeId, OwnerId, Ring
from ctorrent.seal import Sealed, digest


class EntryKind(IntEnum):
    """An unknown number with a valid header is chained, stored within its limit and relayed, weighing nothing."""

    TALLY = 1
    RECEIPT = 2
    PROOF = 3
    CERTIFICATE = 4
    ROTATION = 5
    CHECKPOINT = 6
    INCARNATION = 7  # first of a new incarnation; its body names the last known head


@dataclass(frozen=True, slots=True)
class Entry:
    """One record. entry id = digest("ctorrent/entry/1", exact body bytes)."""

    author: NodeId
    incarnation: int  # 0, 1, …
    seq: int  # 1, 2, … within the incarnation
    prev: Digest  # previous entry's id; zeros for the very first
    kind: int  # EntryKind, or one this version does not know
    ring: Ring
    body: bytes
    issued_unix_s: int  # the author's claim; never used to order


@dataclass(frozen=True, slots=True)
class SignedEntry:
    id: Digest
    entry: Entry
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class Tally:
    """The body of TALLY: what one coordinator saw of one worker in one job, since the last tally."""

    job_tag: Digest
    worker: NodeId
    worker_owner: OwnerId
    agreed: int
    disputed: int
    invalid: int
    hardware_class: str
    evidence_root: bytes  # Merkle root over evidence leaves


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker did in one job since its last receipt. Sealed by the worker under "ctorrent/receipt/1"."""

    job_tag: Digest
    requester: NodeId
    worker: NodeId
    requester_owner: OwnerId  # "": uncertified
    worker_owner: OwnerId
    number: int  # 1, 2, …: of this worker's receipts in this job
    blocks: int  # settled ones to which its answer belongs
    core_hours: float  # of the reference core
    gpu_hours: float  # of the reference GPU
    credits: float  # at the agreed price


class ProofKind(Enum):
    FORK = 1  # two entries of one author for one place
    EQUIVOCATION = 2  # two results of one worker for one assignment
    RERUN = 3  # a leaf of evidence that the entry's author ran again itself


@dataclass(frozen=True, slots=True)
class Proof:
    """The body of PROOF. FORK and EQUIVOCATION carry `both` and prove themselves; RERUN is testimony about a leaf.

    Two signatures too large for an entry are named in `leaf` instead, and shown by the entry's author (names.EVIDENCE).
    """

    kind: ProofKind
    accused: NodeId
    both: tuple[Sealed, ...] = ()
    leaf: bytes = b""
    output: bytes = b""  # digest of the output that the author's own two runs gave


@dataclass(frozen=True, slots=True)
class Rotation:
    """A new key for an owner; signed by the old key and by the new one under "ctorrent/rotation/1"."""

    old: OwnerId
    new: OwnerId
    issued_unix_s: int


@dataclass(frozen=True, slots=True)
class Sum:
    """One worker's verdicts over all entries that a checkpoint stands for, in blocks."""

    worker: NodeId
    worker_owner: OwnerId
    agreed: int
    disputed: int
    invalid: int


@dataclass(frozen=True, slots=True)
class Head:
    """Where an author's log stands."""

    author: NodeId
    incarnation: int
    seq: int
    id: Digest


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The body of CHECKPOINT: its author's own log up to `head`, in short; entries up to there may be forgotten."""

    head: Head
    part: int  # 0, 1, …: sums of many workers take several entries in a row
    parts: int
    sums: tuple[Sum, ...]  # ascending by worker
    credits: float = 0.0  # of all receipts summed up: what this author owes to others


def job_tag(job: JobId, secret: bytes) -> Digest:
    """Names a job in the ledger to those who were told its secret, and to nobody else."""
    return Digest(digest("ctorrent/job-tag/1", job, secret))
