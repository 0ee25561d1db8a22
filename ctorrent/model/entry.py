"""Records of the ledger: per-author, append-only, signed logs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

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
class Head:
    """Where an author's log stands."""

    author: NodeId
    incarnation: int
    seq: int
    id: Digest


def job_tag(job: JobId, secret: bytes) -> Digest:
    """Names a job in the ledger to those who were told its secret, and to nobody else."""
    return Digest(digest("ctorrent/job-tag/1", job, secret))
