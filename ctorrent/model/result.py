"""What a sandbox produced, and what a worker signs about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ctorrent.model.ids import Digest, NodeId, node_public
from ctorrent.seal import DIGEST_BYTES, digest

NONCE_BYTES = 16  # of randomness in everything that is signed with some: commitments, assignments, bids, jobs
OPENING_BYTES = NONCE_BYTES + DIGEST_BYTES  # nonce and output: what makes a commitment plain


class FailureKind(Enum):
    EXCEPTION = 1  # the program raised; `text` is its own traceback
    EXIT = 2  # a command ended with another code than 0
    MEMORY = 3
    TIME = 4
    OUTPUT = 5  # too large, or not encodable
    KILLED = 6  # a signal, a crash of the interpreter
    FORBIDDEN = 7  # a call the sandbox refuses (fork, socket …)
    ENVIRONMENT = 8  # the worker's own fault: the sandbox could not be made. Never the program's


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a block has no value. Two failures are the same when kind and type are."""

    kind: FailureKind
    type: str = ""  # exception class name, or exit code
    text: str = ""  # for people: traceback or last lines, capped


@dataclass(frozen=True, slots=True)
class Usage:
    cpu_s: float = 0.0
    gpu_s: float = 0.0
    wall_s: float = 0.0
    peak_bytes: int = 0
    same_always: bool = False  # neither its seed nor its index nor the system's chance was used, as its worker says
    clock: bool = False  # the clock was read: another day may give something else


@dataclass(frozen=True, slots=True)
class Outcome:
    """`value` is canonical bytes (canon.encode) or None; exactly one of value and failure is set."""

    value: bytes | None
    failure: Failure | None = None
    usage: Usage = Usage()
    log: bytes = b""

    def output(self) -> bytes:
        """The bytes that are committed to and compared: 0x00 ‖ value, or 0x01 ‖ kind ‖ type of the failure."""
        if self.value is not None:
            return b"\x00" + self.value
        assert self.failure is not None
        return b"\x01" + bytes([self.failure.kind.value]) + self.failure.type.encode()


def output_digest(output: bytes) -> Digest:
    return Digest(digest("ctorrent/output/1", output))


def commitment(assignment: Digest, block: Digest, worker: NodeId, nonce: bytes, output: Digest) -> Digest:
    """Hides the output until the nonce is shown, so that nobody can copy a result before making one."""
    return Digest(
        digest("ctorrent/commitment/1", assignment, block, node_public(worker), nonce, output)
    )


@dataclass(frozen=True, slots=True)
class Committed:
    """One block's line in a result."""

    block: Digest
    commitment: Digest


@dataclass(frozen=True, slots=True)
class Result:
    """Signed once by the worker for one assignment; journalled before its first byte leaves; never two."""

    assignment: Digest
    worker: NodeId
    fingerprint: Digest  # of the environment the blocks ran in
    blocks: tuple[Committed, ...]
    hardware_class: str = ""  # arch, GPU model and driver: what equality may depend on


class Verdict(Enum):
    AGREED = 1
    DISPUTED = 2
    INVALID = 3
