"""The unit of work, and the digest that names it."""

from __future__ import annotations

from dataclasses import dataclass

from ctorrent.model.ids import Digest, JobId
from ctorrent.seal import digest


@dataclass(frozen=True, slots=True)
class InputRef:
    """A blob a block reads. `name` is what the program sees; no path, no separator."""

    name: str
    digest: Digest
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Block:
    """One call of the program. `params` is a canonical map (canon.encode) of this block's arguments."""

    index: int
    seed: int  # u64: first 8 bytes of digest("ctorrent/seed/1", job seed, index)
    params: bytes
    inputs: tuple[InputRef, ...] = ()


def block_seed(job_seed: int, index: int) -> int:
    """The block's own seed, u64, from the job's."""
    raw = digest("ctorrent/seed/1", job_seed.to_bytes(8, "big"), index.to_bytes(8, "big"))
    return int.from_bytes(raw[:8], "big")


def content_digest(block: Block, code: Digest, environment: bytes) -> Digest:
    """What memoisation keys on: the block without its job.

    environment: the manifest's environment predicate in its canonical bytes.
    """
    inputs = b"".join(
        len(i.name.encode()).to_bytes(4, "big") + i.name.encode() + i.digest for i in block.inputs
    )
    return Digest(
        digest("ctorrent/content/1", block.seed.to_bytes(8, "big"), block.params, inputs, code, environment)
    )


def block_digest(job: JobId, block: Block, code: Digest, environment: bytes) -> Digest:
    """H(job id ‖ index ‖ content): binds seed, params, inputs, code and environment to this job and place."""
    content = content_digest(block, code, environment)
    return Digest(digest("ctorrent/block/1", job, block.index.to_bytes(8, "big"), content))
