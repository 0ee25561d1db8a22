"""A job as it is signed: manifest, amendments, and the policies inside them.

Every field here is covered by the requester's signature; defaults are the ones a job file that is silent gets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from ctorrent.model.ids import Digest, JobId, NodeId, Ring
from ctorrent.seal import Sealed

MIB = 1 << 20


class ProgramKind(Enum):
    PYTHON = 1
    COMMAND = 2


class Isolation(Enum):
    """What stands between a block and the machine, weakest first. A job may demand a minimum."""

    NONE = 0
    JAIL = 1
    PODMAN = 2
    DOCKER = 3
    GVISOR = 4
    KATA = 5


class Equality(Enum):
    AUTO = 0  # exact for text, bytes, integers; numeric for floats inside any value
    EXACT = 1
    NUMERIC = 2
    RELATIVE_NORM = 3
    TOPK = 4
    STATISTICAL = 5
    SCRIPT = 6


class Assurance(Enum):
    STRICT = 1
    ECONOMY = 2


@dataclass(frozen=True, slots=True)
class Program:
    """What a block runs. `code` is the blob that lists the job's files: {relative path: bytes | [digest, size]}."""

    kind: ProgramKind
    code: Digest
    entry: str = ""  # PYTHON: "search.py:score"
    argv: tuple[str, ...] = ()  # COMMAND: words; "{input}" and "{output}" are replaced by paths
    reduce: str = "table"  # "sum", "mean", "concat", "table", "best-by FIELD", or "python file.py:function"
    outputs: str = ""  # COMMAND: what a block's file is called, "small/{stem}.mp4"; {output} ends like it
    files_bytes: int = 0  # of the blobs which that list names: a worker has them all before it bids


@dataclass(frozen=True, slots=True)
class Environment:
    """A predicate on where a block may run. Empty fields accept anything."""

    python: str = ""  # "3.11", or a range ">=3.11,<3.13"
    arch: str = ""  # "x86_64", "aarch64"
    packages: tuple[str, ...] = ()  # requirement strings, sorted
    programs: tuple[str, ...] = ()  # names on PATH of the environment, sorted
    image: str = ""  # "name@sha256:…"


@dataclass(frozen=True, slots=True)
class Needs:
    """Resources of one slot."""

    cpu: int = 1  # whole cores
    memory_bytes: int = 512 * MIB
    gpu: int = 0  # whole devices
    gpu_memory_bytes: int = 0  # per device
    compute_capability: str = ""  # "8.0": at least
    isolation: Isolation = Isolation.JAIL


@dataclass(frozen=True, slots=True)
class Verify:
    """How many must agree, and what agreeing means."""

    replicas: int = 2
    replicas_max: int = 5  # with no strict majority by then, the block is reported disputed
    equal: Equality = Equality.AUTO
    rtol: float = 1e-6
    atol: float = 1e-9
    nan_equal: bool = True
    assurance: Assurance = Assurance.STRICT
    homogeneous: bool = False
    check: str = ""  # "file.py:function" that judges one output by itself; empty: none
    script: str = ""  # SCRIPT: "file.py:function" that compares two outputs
    top: int = 0  # TOPK: how many of the largest entries must be the same
    alpha: float = 0.0  # STATISTICAL: chance of telling apart two samples of one distribution
    audit_share: float = 0.0  # of agreed blocks run once more, at least; 0: what the assurance says


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds are wall clock; bytes are per block unless they say otherwise."""

    block_s: float = 300.0
    output_bytes: int = 64 * MIB
    log_bytes: int = MIB
    scratch_bytes: int = 256 * MIB
    job_s: float = 7 * 86400.0
    attempts: int = 5  # assignments of one replica of one block before the block is reported failed


@dataclass(frozen=True, slots=True)
class Manifest:
    """The signed root of a job. job id = digest("ctorrent/job/1", exact manifest bytes)."""

    requester: NodeId
    nonce: bytes  # 16 random bytes
    ring: Ring
    program: Program
    seed: int  # job seed, u64: block seeds derive from it
    draw_hash: Digest  # digest("ctorrent/draw/1", secret): replicas and audits are drawn from the secret
    issued_unix_s: int
    valid_s: int
    environment: Environment = field(default_factory=Environment)
    needs: Needs = field(default_factory=Needs)
    verify: Verify = field(default_factory=Verify)
    limits: Limits = field(default_factory=Limits)
    price_max: float = 0.0  # credits per reference core-hour; 0: friends' terms
    coalesce: bool = True
    keep_errors: bool = True  # on_error: keep | stop
    name: str = ""  # for people; never announced
    lock: bytes = b""  # blob of the exact versions and hashes that `packages` was resolved to; empty: not pinned


class AmendmentKind(Enum):
    BLOCKS = 1
    CODE = 2
    CALIBRATION = 3
    KEEPERS = 4
    PAUSE = 5
    RESUME = 6
    CANCEL = 7
    CLOSE = 8
    COALESCE_OFF = 9


@dataclass(frozen=True, slots=True)
class Amendment:
    """One link of a job's signed chain. `prev` is the previous link's digest; the first names the job id."""

    job: JobId
    seq: int  # 1, 2, …
    prev: Digest
    kind: AmendmentKind
    first_index: int = 0  # BLOCKS: index of the first block appended
    count: int = 0  # BLOCKS
    root: bytes = b""  # BLOCKS: Merkle root over block digests, in index order
    blob: bytes = b""  # CODE, CALIBRATION: digest of a blob
    keepers: tuple[NodeId, ...] = ()  # KEEPERS
    reason: str = ""  # PAUSE, CANCEL: for people
    draw_secret: bytes = b""  # CLOSE: revealed, so that anyone can redo the draw


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """A manifest with the bytes it came in and the id they give."""

    id: JobId
    manifest: Manifest
    sealed: Sealed
