"""What is said on the market: announcement, bid, assignment, and the typed reasons for a no."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ctorrent.model.ids import Digest, JobId, NodeId, Ring
from ctorrent.model.job import Environment, Needs

GPU_CORES = 10.0  # reference cores that a reference GPU counts as: its 150 W beside a laptop core's 15 W


@dataclass(frozen=True, slots=True)
class Announcement:
    """One per job and round, gossiped, at most 2 KiB: never names, parameters or code."""

    job: JobId
    requester: NodeId
    round: int  # 1, 2, …: the highest seen per job is kept, a lower one is a replay
    ring: Ring
    needs: Needs
    environment: Environment
    bids_wanted: int
    ttl_s: float  # from receipt
    price_max: float  # credits per reference core-hour
    peer_record: bytes = b""  # the requester's own signed libp2p peer record (envelope): where it may be dialled


class NoReason(Enum):
    """Why a node does not take a job. `ctorrent why` adds these up."""

    RING = "is not in the job's ring"
    PACKAGES = "lacks packages"
    PROGRAMS = "lacks programs"
    PYTHON = "has another Python"
    ARCH = "has another processor"
    MEMORY = "has too little memory free"
    CPU = "has too few cores free"
    GPU = "has no GPU free that fits"
    ISOLATION = "is below the isolation asked"
    IMAGE = "does not have the image"
    COMMAND = "cannot run commands at its isolation level"
    PRICE = "asks a higher price"
    BUSY = "is busy"
    ABSTAINS = "shares nothing now"
    FULL = "met a full requester"
    DISTRUST = "is refused:"  # its detail always says why
    FILES = "is getting the job's files"
    DISK = "has too little disk free"
    INSTALLING = "is installing"
    CREDIT = "wants work in return first"
    WITHHELD = "has"  # and the detail says what of it is not for this job
    OTHER = "gives a reason that this version does not know"


@dataclass(frozen=True, slots=True)
class No:
    """A typed refusal with its detail, such as (PACKAGES, "scikit-learn")."""

    reason: NoReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Bid:
    """Signed by the worker; valid only for the nonce that the requester gave in this session."""

    job: JobId
    worker: NodeId
    session_nonce: bytes
    slots: int  # units it will run at once
    credit: int  # units it accepts in flight, running and queued
    fingerprint: Digest
    isolation: int  # Isolation value
    hardware_class: str
    speed_gflops: float  # claimed, per slot
    price: float  # credits per reference core-hour
    amendment_head: Digest


@dataclass(frozen=True, slots=True)
class Assignment:
    """Signed by the coordinator. assignment id = digest("ctorrent/assignment/1", exact bytes)."""

    job: JobId
    term: int
    amendment_head: Digest
    worker: NodeId
    nonce: bytes  # 16 random bytes
    lease_s: float
    blocks: tuple[Digest, ...]
