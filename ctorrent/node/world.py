"""The ports a node stands on, in one hand. Real ones are wired in node.py, fake ones in simulations."""

from __future__ import annotations

from dataclasses import dataclass, field

from ctorrent.model.hardware_class import gpu_class
from ctorrent.model.hardware_class import hardware_class as class_of
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
    rotations: tuple[bytes, ...] = ()  # of the owner's key, oldest first: see node/kin.py
    notes: tuple[str, ...] = ()  # what a person should know of this start: see node/mending.py

    @property
    def hardware_class(self) -> str:
        """What floating-point results may depend on: processor, GPU with its driver, and how that is made deterministic."""
        return class_of(self.hardware)


__all__ = ["World", "gpu_class"]
