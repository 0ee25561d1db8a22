"""What the quorum machine is told and what it asks for. Batches: one event or effect may speak of many blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.result import Verdict


@dataclass(frozen=True, slots=True)
class Rules:
    """Quorum's limits."""

    early_blocks: int = 8  # compared before any negative vote: enough to tell a bad program from a bad peer
    early_share: float = 0.5  # more than this share of them differing pauses the job
    early_min: int = 3  # with fewer blocks to compare, a third replica says more than a pause
    self_checks_at_once: int = 2  # each runs a block twice on the requester's own machine
    proofs_steady: int = 1  # self-checks passed before a first vote, where everybody else agrees on nearly all …
    proofs_doubtful: int = 3  # … and where not: a program of three random answers passes one in 9 × 9 × 9
    steady_blocks: int = 8  # agreed on at once, at least, to call a program steady: early_blocks' reason
    steady_share: float = 0.1  # of disputes among the others, at most
    contradictions_max: int = 2  # times that the coordinator's own runs contradict a majority: then it is the program
    reruns_at_once: int = 16  # disputes run again alone; enough to tell whether coalescing is at fault
    self_check_tries: int = 3  # then this requester cannot check, and votes against nobody
    differences_max: int = 1000  # kept in words for the report
    log_max: int = 2000  # steps kept for story()
    repeats: int = 2  # of a wrong answer, alone, before it may be an accusation: a program that wavers between two
    # values in a twentieth of its runs gives the wrong one three times in one of 8,000 blocks, but in one of 400 twice
    waver_owners: int = 2  # that contradict themselves: then it is the program; one alone may be a bad machine …
    waver_owners_share: float = 0.1  # … as may be a few among very many, who must not stop everybody's jobs
    waver_share: float = 0.001  # of contradictions among runs, at least: memory errors are far rarer than this
    waver_chance: float = 1e-4  # that honest machines look as unlike as those of which one is said to waver by itself
    odd_max: int = 64  # blocks lost by a worker that contradicted itself in them, kept in case it alone wavers


# Events --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arrived:
    """Replicas of one worker, opened and checked against their commitments. Lists of one length.

    digests: output_digest(output). outputs: Outcome.output(); None where it is a blob that was not fetched yet.
    alone: the unit had one block.
    """

    worker: NodeId
    owner: str
    fingerprint: Digest
    indices: Sequence[int]
    digests: Sequence[Digest]
    outputs: Sequence[bytes | None]
    alone: bool


@dataclass(frozen=True, slots=True)
class OutputFetched:
    """Answer to FetchOutput; None: it cannot be had."""

    index: int
    worker: NodeId
    output: bytes | None


@dataclass(frozen=True, slots=True)
class SelfChecked:
    """Answer to SelfCheck: the coordinator's own two runs, each alone. They count as one replica, of its owner."""

    index: int
    worker: NodeId
    owner: str
    fingerprint: Digest
    outputs: tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class SelfCheckFailed:
    """The coordinator cannot run the block itself: no sandbox, no environment that fits."""

    index: int
    why: str


@dataclass(frozen=True, slots=True)
class RerunLost:
    index: int
    worker: NodeId


@dataclass(frozen=True, slots=True)
class NoReplica:
    """No other owner is there for one more replica of these blocks."""

    indices: Sequence[int]


@dataclass(frozen=True, slots=True)
class Abandoned:
    """These blocks were decided elsewhere: cancelled, attempts used up, or settled before a restart."""

    indices: Sequence[int]


@dataclass(frozen=True, slots=True)
class Total:
    """How many blocks there are by now; closed: there will be no more."""

    blocks: int
    closed: bool


@dataclass(frozen=True, slots=True)
class Resume:
    """The requester goes on with a job reported nondeterministic: nobody will be voted against in it."""


Event = (
    Arrived | OutputFetched | SelfChecked | SelfCheckFailed | RerunLost | NoReplica | Abandoned | Total | Resume
)

# Effects -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Agreed:
    """These blocks have their result. Lists of one length.

    outputs: as they arrived (None: the blob). workers: those whose replica agrees, the one whose bytes are kept first.
    failed: the result is the program's failure. cross_validated: at least two owners agreed.
    """

    indices: list[int]
    digests: list[Digest]
    outputs: list[bytes | None]
    workers: list[tuple[NodeId, ...]]
    failed: bool
    cross_validated: bool


@dataclass(frozen=True, slots=True)
class Voted:
    """What the ledger's tally counts: one worker's replicas of these blocks."""

    worker: NodeId
    verdict: Verdict
    indices: list[int]


@dataclass(frozen=True, slots=True)
class NeedReplicas:
    index: int
    count: int
    alone: bool
    avoid_owners: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rerun:
    """These very workers run the block again, alone, under a new assignment; each may be asked Rules.repeats times."""

    index: int
    workers: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """The coordinator runs the block twice, alone, in fresh processes; answers SelfChecked or SelfCheckFailed."""

    index: int


@dataclass(frozen=True, slots=True)
class FetchOutput:
    """Outputs differ and this one's bytes are needed to say by how much; answers OutputFetched."""

    index: int
    worker: NodeId
    digest: Digest


@dataclass(frozen=True, slots=True)
class Disputed:
    """No strict majority within the limit. `words`: the first difference."""

    index: int
    words: str
    workers: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class JobNondeterministic:
    """Pause the job and show `words`; nobody is voted against."""

    words: str


@dataclass(frozen=True, slots=True)
class CoalesceOff:
    """Running blocks together changed a result: from now on one block a unit."""

    words: str


Effect = (
    Agreed | Voted | NeedReplicas | Rerun | SelfCheck | FetchOutput | Disputed | JobNondeterministic | CoalesceOff
)
