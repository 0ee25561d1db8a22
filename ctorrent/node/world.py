"""The ports a node stands on, in one hand. Real ones are wired in node.py, fake ones in simulations."""

from __future__ import annotations

from dataclasses import dataclass, field

from ctorrent.model.ids import NodeId, OwnerId
from ctorrent.model.offer import Hardware
from ctorrent.node.nopackages import NoPackages
from ctorrent.ports import BlobStore, Clock, Directory, Gossip, HardwarePort, Journal, Keys, Packages, Sandbox, Streams


@dataclass(slots=True)
class World:
    """`hardware` is what was probed at start; `machine` probes again."""

    node: NodeId
    owner: OwnerId
    streams: Streams
    directory: Directory
    gossip: Gossip
    blobs: BlobStore
    journal: Journal
    sandbox: Sandbox
    machine: HardwarePort
    keys: Keys
    clock: Clock
    hardware: Hardware
    packages: Packages = field(default_factory=NoPackages)

    @property
    def hardware_class(self) -> str:
        """What floating-point results may depend on: processor, and GPU with its driver."""
        return ";".join(part for part in (self.hardware.arch, gpu_class(self.hardware)) if part)


def gpu_class(hardware: Hardware) -> str:
    """Models, compute capabilities and drivers of the GPUs here; empty without any."""
    return ";".join(sorted({f"{gpu.model}/{gpu.compute_capability}/{gpu.driver}" for gpu in hardware.gpus}))
