"""Shapes of the plain maps that change while somebody looks: this machine, the pool, offers, the map of a job's blocks.

As in model/status.py: data for faces, never decided upon. Bytes are bytes, shares are 0..1, times end in _s or _unix.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from ctorrent.model.status import JobStatus, PeerRow

BlockState = Literal["waiting", "running", "provisional", "settled", "disputed", "failed"]


class BlockWorker(TypedDict):
    node: str
    name: str
    local: bool  # the requester's own node


class BlockMap(TypedDict):
    """Which block is where. Ask again with `since` = version for what changed meanwhile."""

    version: int  # grows with every change; another life of the node begins a new count: then all is sent
    blocks: int
    workers: list[BlockWorker]  # numbered from 0, in the order in which they came; it only grows
    changed: list[list[object]]  # [index, state: BlockState, worker's number or -1, replicas that agree]


class OfferGpu(TypedDict):
    name: str
    memory_bytes: int


class OfferRow(TypedDict):
    """What one machine lends, as it says itself; this machine's own row comes first."""

    node: str
    name: str
    owner: str
    friend: bool
    connected: bool
    local: bool  # this machine
    cores: int
    slots: int
    slots_free: int
    memory_bytes: int
    disk_bytes: int
    gpus: list[OfferGpu]
    isolation: str
    price: float  # credits per reference core-hour
    gpu_price: float  # credits per reference GPU-hour
    gflops: float  # of the whole processor, as it claims; 0: not measured
    latency_s: float | None
    bandwidth_bytes_s: float | None
    trust: float  # 0..1: the lower bound of its right answers, by what this node saw and heard


class GpuNow(TypedDict):
    name: str
    load: float
    memory_used: int
    memory_bytes: int
    temperature_c: float | None


class Lends(TypedDict):
    cores: int
    memory_bytes: int
    gpus: int
    disk_bytes: int
    work_for: str  # "me", "friends", "swarm", "all"


class WorksFor(TypedDict):
    owner: str
    name: str
    job: str
    blocks: int  # under way here
    since_s: float


class MachineNow(TypedDict):
    """This machine in this second."""

    cpu: float  # of all cores
    cores: int
    memory_used: int
    memory_bytes: int
    gpus: list[GpuNow]
    temperature_c: float | None  # the hottest sensor of the processor
    net_in_bytes_s: float
    net_out_bytes_s: float
    disk_free_bytes: int
    sharing: bool
    slots: int
    slots_free: int
    lends: Lends
    works_for: list[WorksFor]
    earned_credits: float  # by receipts of others
    history: list[list[float]]  # [t_unix, cpu, memory, net_in, net_out, gpu]: shares, and bytes a second; each second, the newest last, at most 300


class Pool(TypedDict):
    """This machine and the connected peers that would work for its person. GPU memory is a sum over `gpus` devices: no
    single program has all of it."""

    machines: int
    cores: int
    cores_free: int
    memory_bytes: int
    gpu_memory_bytes: int
    gpus: int
    disk_bytes: int
    slots: int
    slots_free: int


class BlobRow(TypedDict):
    hash: str  # hex of its BLAKE3, as jobs name it
    bytes: int
    name: str
    added_unix: int


class Event(TypedDict):
    """One item of door.Door.events(): `kind`, and the field of that name."""

    kind: Literal["job", "gone", "peers", "machine", "pool"]
    job: NotRequired[JobStatus | str]  # of "gone" its name
    peers: NotRequired[list[PeerRow]]
    machine: NotRequired[MachineNow]
    pool: NotRequired[Pool]


class Histogram(TypedDict):
    """As Prometheus counts: every bucket holds what is not above its bound."""

    bounds: list[float]
    counts: list[int]  # one per bound, then all
    sum: float


class Metrics(TypedDict):
    """Numbers for a monitor. A name may carry labels: 'ctorrent_jobs{state="running"}'. What each means: node/metrics.py."""

    gauges: dict[str, float]
    counters: dict[str, float]
    histograms: dict[str, Histogram]
    help: dict[str, str]  # name without labels -> one sentence
