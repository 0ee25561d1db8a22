"""What makes two blocks of different jobs the same piece of work, and when the answer to one will do for the other.

    key      program, parameters, inputs, packages, cores: the block without its job. And its seed, unless everybody who
             agreed on its value says that the program used neither seed nor place nor the system's chance.
    policy   what agreeing meant, and among whom: an answer serves a job that asks for no more than that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ctorrent.canon import encode
from ctorrent.model.block import Block, content_digest
from ctorrent.model.ids import Digest, RingKind
from ctorrent.model.job import Assurance, Equality, Manifest, Verify
from ctorrent.seal import digest
from ctorrent.wire import codec

# Equal by chance, or in the eyes of the job's own program: what one job takes for the same says nothing to the next.
NOT_KEPT = (Equality.STATISTICAL, Equality.SCRIPT)


class Subject:
    """The part of a key that all blocks of a job share."""

    def __init__(self, manifest: Manifest) -> None:
        program, needs = manifest.program, manifest.needs
        self._code, self._environment = program.code, codec.environment_bytes(manifest.environment)
        threads = [needs.cpu, needs.gpu]  # sums in another order are other floats
        rest = [program.kind.value, program.entry, list(program.argv), program.outputs, manifest.lock, threads]
        self._rest = encode(rest)

    def keys(self, block: Block) -> tuple[bytes, bytes]:
        """Of an answer that any seed gives, and of one that this seed gives. ~15 µs."""
        return self.key(block, False), self.key(block, True)

    def key(self, block: Block, seeded: bool) -> bytes:
        content = content_digest(block if seeded else replace(block, seed=0), self._code, self._environment)
        return digest("ctorrent/memory/1", self._rest, content, b"\x01" if seeded else b"\x00")


@dataclass(frozen=True, slots=True)
class Policy:
    """Under what an answer became final."""

    agreed: int  # nodes that gave it
    verify: Verify
    ring: RingKind
    root: str  # of a swarm

    @classmethod
    def of(cls, manifest: Manifest, agreed: int) -> Policy:
        return cls(agreed, manifest.verify, manifest.ring.kind, str(manifest.ring.root or ""))

    def packed(self) -> list[Any]:
        v = self.verify
        return [
            self.agreed, v.equal.value, float(v.rtol), float(v.atol), v.nan_equal, v.top, v.check, v.assurance.value, float(v.audit_share),
            v.homogeneous, self.ring.value, self.root,
        ]  # fmt: skip

    @classmethod
    def unpacked(cls, parts: list[Any]) -> Policy:
        """Raises ValueError or TypeError for what packed() did not make."""
        agreed, equal, rtol, atol, nan, top, check, assurance, share, homogeneous, ring, root = parts
        verify = Verify(
            equal=Equality(equal), rtol=float(rtol), atol=float(atol), nan_equal=bool(nan), top=int(top), check=str(check),
            assurance=Assurance(assurance), audit_share=float(share), homogeneous=bool(homogeneous),
        )  # fmt: skip
        return cls(int(agreed), verify, RingKind(ring), str(root))

    def serves(self, manifest: Manifest) -> bool:
        """Does this job ask for no more?"""
        had, wants = self.verify, manifest.verify
        enough = self.agreed >= wants.replicas or (wants.assurance is Assurance.ECONOMY and self.agreed > 1)
        same = (had.equal, had.nan_equal, had.top) == (wants.equal, wants.nan_equal, wants.top)
        near = had.rtol <= wants.rtol and had.atol <= wants.atol
        judged = had.check == wants.check or not wants.check
        looked = had.audit_share >= wants.audit_share and (had.assurance is Assurance.STRICT or wants.assurance is Assurance.ECONOMY)
        return enough and same and near and judged and looked and had.homogeneous >= wants.homogeneous and self._among(manifest)

    def _among(self, manifest: Manifest) -> bool:
        """Friends' answers serve anybody; a swarm's that swarm and the public."""
        ring = manifest.ring
        if self.ring is RingKind.FRIENDS or ring.kind is RingKind.PUBLIC:
            return True
        return self.ring is RingKind.SWARM and ring.kind is RingKind.SWARM and self.root == str(ring.root or "")


def may_keep(manifest: Manifest) -> bool:
    """Is what this job takes for the same what any job would?"""
    return manifest.verify.equal not in NOT_KEPT


def output_name(output: bytes) -> Digest:
    """Of an outcome's bytes, to know them again."""
    return Digest(digest("ctorrent/memory-output/1", output))
