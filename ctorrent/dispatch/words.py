"""What the dispatch machine is told and what it asks for. Batches: one event or effect may speak of many blocks.

Indices are a job's own, counted from 0 without gaps. `unit` is dispatch's number of one assignment; the shell keeps
the map from assignment digests to units. Owners are texts: an owner id, or the network that stands for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from ctorrent.model.ids import NodeId


class BlockState(IntEnum):
    WAITING = 0
    RUNNING = 1  # assigned, or returned and not yet decided
    PROVISIONAL = 2  # the policy is satisfied; the audit window is open
    SETTLED = 3
    FAILED = 4  # the program's failure, or attempts used up
    DISPUTED = 5
    CANCELLED = 6


@dataclass(frozen=True, slots=True)
class Terms:
    """What of the manifest dispatch obeys."""

    replicas: int = 2
    attempts: int = 5  # assignments lost before a block is reported failed
    block_s: float = 300.0
    coalesce: bool = True
    keep_errors: bool = True
    apart: bool = False  # an owner gets a block only after the one before committed: nobody can foresee a majority
    homogeneous: bool = False  # all replicas of a block run on one hardware class
    sparing: bool = False  # only what newcomers answer is run twice: they get few blocks until they are established


@dataclass(frozen=True, slots=True)
class Rules:
    """Dispatch's limits."""

    unit_target_s: float = 0.05  # a unit's process and frames cost about 2 ms: 4 % of this
    unit_first: int = 1  # blocks of a worker's first unit, at most: nobody knows yet how long one takes
    unit_least: int = 1  # blocks that take as long as their process's start: fewer only where every worker gets some
    unit_newcomer: int = 1  # blocks, where a job is sparing: each of them costs a second run
    unit_growth: int = 4  # 4,096 is reached after six units; a wrong guess costs at most four times too long
    unit_blocks_max: int = 4096  # keeps an Assign below a frame at 100 bytes a block
    unit_bytes_max: int = 512 << 10  # half of wire's largest frame: digests and signatures take the rest
    lease_min_s: float = 10.0  # a loaded machine or a lost packet delays seconds, not tens of them
    lease_factor: float = 8.0  # times the expected time; blocks of one job vary, most by less than this
    lease_grace_s: float = 5.0  # signing, journal and transfer
    hide_min: int = 16  # open blocks among which a second replica hides, at least
    share_newcomers: float = 0.25  # of a job, while others fit
    share_unproven: float = 0.015  # of all that is handed to strangers, for those who passed too few checks: an identity is free
    unproven_turns: float = 4.0  # blocks of it that are saved up, at most
    unproven_most: float = 1 / 3  # of the places; with more of them there is nobody to wait for: every job begins so
    share_owner: float = 1 / 3  # of a job, while others fit: no owner is a majority of anything
    many_workers: int = 50  # above it "others fit" is asked once a turn, not for every queue: a turn stays below 1 ms
    share_slowdown_max: float = 2.0  # others "fit" when without the capped ones the rest takes at most twice as long
    faster_most: float = 2.0  # than the median a stranger counts: so an owner of a third of the machines stays capped
    straggle_factor: float = 3.0  # times the expected time before an idle worker gets a copy
    straggle_min_s: float = 1.0  # below this a copy costs more than waiting
    silence_s: float = 5.0  # of a worker before its units are taken back: it may have several, one after the other
    overtaken_max: int = 3  # times that a block is taken back so, where no copies are made: some take long
    look_s: float = 0.5  # how often to look for stragglers and for replicas that nobody can take
    drawn_s: float = 5.0  # a drawn replica waits for its worker: several units' time; then anybody may take it
    other_owner_s: float = 5.0  # wait for another owner: two announcement windows and a slow dial
    retry_alone_after: int = 2  # losses after which a block runs in a unit of its own: it may kill its neighbours
    strikes_max: int = 3  # leases lost in a row before a worker is avoided for the job
    handbacks_max: int = 5  # more than it returned, likewise
    handback_pause_s: float = 2.0  # so that a polite refusal does not become a loop
    doubt_units: float = 4.0  # units' time that who lost its good name gets nothing, among strangers: until others' answers are in
    expired_max: int = 4096  # units whose late return is still understood
    log_max: int = 2000  # steps kept for story()


START_SHARE = 4.0  # a unit's blocks take so many times as long as its process's start: imports then cost a fifth at most
UNIT_S_MAX = 10.0  # however long imports take: what is lost with a worker is a unit


def tuned(rules: Rules, block_s: float, start_s: float) -> Rules:
    """Rules for a job that was rehearsed: block_s a block, start_s a process until its first block begins. 0: not known.

    It was the smallest block, so a first unit is a quarter of what it says: a wrong guess grows from there.
    """
    target_s = max(rules.unit_target_s, min(UNIT_S_MAX, START_SHARE * start_s))
    first = int(target_s / block_s) // rules.unit_growth if block_s > 0 else 1
    least = int(start_s / block_s) if block_s > 0 else 1
    most = rules.unit_blocks_max
    return replace(rules, unit_target_s=target_s, unit_first=max(1, min(first, most)), unit_least=max(1, min(least, most)))


# Events --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AddBlocks:
    """Blocks first … first+count−1 exist. `sizes`: bytes of each in an Assign; empty: not worth counting."""

    first: int
    count: int
    sizes: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Close:
    """No more blocks will be added: the job may finish."""


@dataclass(frozen=True, slots=True)
class WorkerJoined:
    """The auction engaged it. Again for a known worker: its new figures."""

    worker: NodeId
    owner: str
    credit: int  # units in flight
    slots: int = 1  # units it runs at once
    weight: float = 1.0  # rank's score: who goes first when work is scarce
    newcomer: bool = False
    hardware_class: str = ""
    kin: tuple[str, ...] = ()  # its network, its inviter's subtree: where others fit, no drawn replica shares one


@dataclass(frozen=True, slots=True)
class Standing:
    """Quorum's word on a worker: only the established are drawn for audits, while there are any."""

    worker: NodeId
    established: bool


@dataclass(frozen=True, slots=True)
class Exclude:
    """It was proven wrong: it gets nothing more of this job, and what it has is not waited for."""

    worker: NodeId
    why: str


@dataclass(frozen=True, slots=True)
class Readmit:
    """It was not its fault that it was excluded: once it joins again, it gets units as before."""

    worker: NodeId


@dataclass(frozen=True, slots=True)
class WorkerLeft:
    worker: NodeId
    why: str = "its session ended"


@dataclass(frozen=True, slots=True)
class UnitReturned:
    """All of a unit's outputs are here, signatures and commitments checked.

    wall_s: the unit's, as the worker claims it. environment: indices that failed with FailureKind.ENVIRONMENT.
    """

    unit: int
    wall_s: float
    environment: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class HandedBack:
    """The worker will not do it, and says so."""

    unit: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Spoiled:
    """What came back is invalid (a bad commitment, other blocks than assigned): the worker's doing."""

    unit: int
    why: str


@dataclass(frozen=True, slots=True)
class NextOwner:
    """Each of these blocks is to be run by one more owner, in the ordinary way."""

    indices: Sequence[int]


@dataclass(frozen=True, slots=True)
class MoreReplicas:
    """Quorum wants `count` more owners to run it; a provisional block is open again.

    alone: in units of one block. drawn: by a worker that the job's secret picks, among its other work.
    """

    index: int
    count: int
    alone: bool = True
    avoid_owners: tuple[str, ...] = ()
    drawn: bool = False


@dataclass(frozen=True, slots=True)
class RunAgain:
    """Quorum wants these very workers to run it again, in a unit of one block."""

    index: int
    workers: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """The verdict is in (or was in the journal). A settled, failed or disputed block never changes again."""

    indices: Sequence[int]
    state: BlockState


@dataclass(frozen=True, slots=True)
class CoalesceOff:
    """From now on every unit has one block."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Is any owner but the engaged one within reach? False: do not wait for one more than the policy asks for.

    wait_s: how long such a replica waits for one, where that is longer than Rules.other_owner_s: known ones are away.
    """

    others: bool
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Adopt:
    """An assignment made before a restart: its return will be understood, but it is not waited for."""

    unit: int
    worker: NodeId
    owner: str
    indices: Sequence[int]
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    why: str = ""


@dataclass(frozen=True, slots=True)
class Resume:
    pass


@dataclass(frozen=True, slots=True)
class Cancel:
    why: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    pass


Event = (
    AddBlocks | Close | WorkerJoined | Standing | Exclude | Readmit | WorkerLeft | UnitReturned | HandedBack | Spoiled | NextOwner
    | MoreReplicas | RunAgain | Decided | CoalesceOff | Reach | Adopt | Pause | Resume | Cancel | Tick
)

# Effects -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Assign:
    """Sign and send. Its lease runs from now, whether or not the frame arrives."""

    unit: int
    worker: NodeId
    indices: Sequence[int]
    lease_s: float
    alone: bool  # one block, in a process of its own: say so to quorum


@dataclass(frozen=True, slots=True)
class Revoke:
    """The worker may stop: nobody waits for this unit."""

    unit: int
    worker: NodeId
    why: str


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand these blocks of a returned unit to quorum; the rest of the unit is no longer of interest.

    positions: places in the unit (so in the result's outputs), same order as indices.
    """

    unit: int
    worker: NodeId
    owner: str
    indices: Sequence[int]
    positions: Sequence[int]
    alone: bool


@dataclass(frozen=True, slots=True)
class RerunLost:
    """The worker asked to run a block again did not: tell quorum."""

    index: int
    worker: NodeId


@dataclass(frozen=True, slots=True)
class NoReplica:
    """No other owner is there to run one replica of these more than the policy asks for: quorum decides with what it has."""

    indices: Sequence[int]


@dataclass(frozen=True, slots=True)
class BlockFailed:
    """Attempts used up: the block is failed for a reason that is not the program's. Tell quorum it is abandoned."""

    index: int
    why: str


@dataclass(frozen=True, slots=True)
class Avoid:
    """This worker gets nothing more of this job: tell the auction, which looks for another."""

    worker: NodeId
    why: str


@dataclass(frozen=True, slots=True)
class JobDone:
    """Every block has a final state, and no more will come. `why`: "" or what ended it early."""

    settled: int
    failed: int
    disputed: int
    cancelled: int
    why: str = ""


Effect = Assign | Revoke | Deliver | RerunLost | NoReplica | BlockFailed | Avoid | JobDone
