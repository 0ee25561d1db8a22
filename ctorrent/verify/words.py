"""What the machines of a job's votes, quorum and jury, are told and what they ask for. Batches: one event or effect may speak of many blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.result import Verdict

INDEX_MAX = 1 << 32  # far above any job; an index beyond it is nobody's
HINT = "use the given seed, widen rtol, or verify: {replicas: 1}"  # where the program is to blame


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
    alone: the unit had one block. judged: the job's check did not fail on them; else none of them stands by itself.
    """

    worker: NodeId
    owner: str
    fingerprint: Digest
    indices: Sequence[int]
    digests: Sequence[Digest]
    outputs: Sequence[bytes | None]
    alone: bool
    judged: bool = True


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
class RanTogether:
    """Answer to RunTogether: of some blocks of the unit their outputs there, and alone; None where this machine has none."""

    index: int
    worker: NodeId
    outputs: tuple[tuple[bytes, bytes], ...] | None


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
class Known:
    """A worker as the ledger has it when it joins. valid: checks it passed in a row; 0: a newcomer."""

    worker: NodeId
    owner: str
    valid: int


@dataclass(frozen=True, slots=True)
class Voice:
    """An answer of before a restart. order: among its worker's. own: a double run of the requester's own."""

    worker: NodeId
    owner: str
    fingerprint: Digest
    digest: Digest
    output: bytes | None = None
    order: int = 0
    alone: bool = False
    own: bool = False


@dataclass(frozen=True, slots=True)
class Restored:
    """Provisional before a restart. voices: who answered it. others: who answered otherwise, or was not weighed yet.

    counted: of whose answers the outcome is in Remembered already, and whether they were right.
    """

    index: int
    digest: Digest
    voices: Sequence[Voice]
    others: Sequence[Voice] = ()
    counted: Sequence[tuple[NodeId, bool]] = ()


@dataclass(frozen=True, slots=True)
class Remembered:
    """A worker's record in this job: taken from the votes when it changed, given back to them after a restart."""

    worker: NodeId
    owner: str
    valid: int
    checked: int
    wrong: int
    expelled: bool
    witnessed: bool = False  # by the requester's own run


@dataclass(frozen=True, slots=True)
class JobRemembered:
    """Likewise of the job. backed: own runs that bore others out. steady: Steadiness.memo()."""

    backed: int
    own_runs: int
    steady: list[Any]


@dataclass(frozen=True, slots=True)
class Stands:
    """Who stands behind a provisional block by now, and of whose answers to it the outcome was counted."""

    index: int
    digest: Digest
    workers: tuple[NodeId, ...]
    counted: tuple[tuple[NodeId, bool], ...]
    own: NodeId | None = None  # whose of them is a double run of the requester's own


@dataclass(frozen=True, slots=True)
class Resume:
    """The requester goes on with a job reported nondeterministic: nobody will be voted against in it."""


Event = (
    Arrived | OutputFetched | SelfChecked | SelfCheckFailed | RanTogether | RerunLost | NoReplica | Abandoned | Total | Known | Restored
    | Remembered | JobRemembered | Resume
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
    provisional: bool = False  # may still be revoked: Settled or another Agreed follows


@dataclass(frozen=True, slots=True)
class Settled:
    """These blocks were provisional, and stay as they are for ever. workers: whose answers agree in the end."""

    indices: list[int]
    workers: list[tuple[NodeId, ...]]


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
    drawn: bool = False  # by whom, the job's secret says


@dataclass(frozen=True, slots=True)
class NextOwner:
    """Each of these blocks is to be run by one more owner, in the ordinary way."""

    indices: list[int]


@dataclass(frozen=True, slots=True)
class Standing:
    """Is this worker established: may it be drawn to look at others' work?"""

    worker: NodeId
    established: bool


@dataclass(frozen=True, slots=True)
class Expelled:
    """Proven wrong too often for chance: it gets nothing more of this job, and its unsettled answers do not count."""

    worker: NodeId
    why: str


@dataclass(frozen=True, slots=True)
class Pardoned:
    """It was expelled, and then the program itself was found to waver: nothing is held against it any more."""

    worker: NodeId


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
class RunTogether:
    """The coordinator runs the unit in which that worker ran the block, and some of its blocks alone; answers RanTogether."""

    index: int
    worker: NodeId


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
    Agreed | Settled | Voted | NeedReplicas | NextOwner | Rerun | SelfCheck | RunTogether | FetchOutput | Disputed | Standing | Expelled | Pardoned
    | JobNondeterministic | CoalesceOff
)
