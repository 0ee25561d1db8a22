"""What a machine has, and what its node puts on the market."""

from __future__ import annotations

from dataclasses import dataclass

from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.job import Isolation


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device. Zeros mean "the driver did not say"."""

    index: int
    uuid: str
    model: str
    memory_bytes: int
    memory_free_bytes: int
    driver: str
    compute_capability: str  # "9.0"
    temperature_c: float
    load: float  # 0..1
    tflops: float = 0.0  # measured, float32; 0 where not measured


@dataclass(frozen=True, slots=True)
class Hardware:
    """A machine as probed. Speeds are measured by the short benchmark; 0 where it has not run."""

    arch: str  # platform.machine()
    system: str  # "Linux"
    cpu_model: str
    cores: int  # physical or usable, whichever is fewer
    memory_bytes: int
    memory_free_bytes: int
    disk_free_bytes: int
    gpus: tuple[Gpu, ...] = ()
    gpu_note: str = "none"  # why there is none: "none", "NVIDIA driver not loaded", "AMD: not supported yet"
    gflops: float = 0.0  # all cores, float64
    memory_gbs: float = 0.0  # GB/s
    simd: str = ""  # level of the processor's vector instructions: "v3" (AVX2), "v4" (AVX-512), "neon", "sve"


@dataclass(frozen=True, slots=True)
class Load:
    """One sample of a machine at work. None where the machine does not tell."""

    cpu: float  # 0..1 of all cores, since the sample before (the first: since the start of the machine)
    run_queue: float  # processes that run or wait, mean of a minute, per core
    memory_free_bytes: int
    swap_used: float  # 0..1
    temperature_c: float | None  # the hottest sensor of the processor
    on_battery: bool | None
    gpus: tuple[Gpu, ...] = ()
    memory_bytes: int = 0
    net_in_bytes: int = 0  # of all interfaces but loopback, since the machine's start
    net_out_bytes: int = 0
    disk_free_bytes: int = 0  # where the node's data lies
    process_bytes: int = 0  # resident memory of this process


@dataclass(frozen=True, slots=True)
class EnvironmentInfo:
    """A sandbox environment this node can run blocks in. Fingerprint: see sandbox/environment.py."""

    name: str
    fingerprint: Digest
    python: str  # "3.11.7"
    arch: str
    packages: tuple[tuple[str, str], ...]  # (canonical name, version), sorted
    programs: tuple[str, ...] = ()
    image: str = ""
    withheld: frozenset[str] = frozenset()  # programs that are there and not offered; told to friends only, when asked for
    lock: bytes = b""  # digest of the lock it was made from; empty: its owner made it


@dataclass(frozen=True, slots=True)
class Offer:
    """What a node would do for others now."""

    node: NodeId
    slots: int
    slots_free: int
    memory_bytes: int
    gpus_free: int
    isolation: Isolation
    price: float  # credits per reference core-hour; 0 for friends
    speed_gflops: float  # per slot
    environments: tuple[EnvironmentInfo, ...] = ()
    hardware: Hardware | None = None
    disk_bytes: int = 0
    gpu_price: float = 0.0  # credits per reference GPU-hour
    lent_gpus: tuple[Gpu, ...] = ()  # those that others may use, free or not
    work_for: str = "friends"  # as the setting
