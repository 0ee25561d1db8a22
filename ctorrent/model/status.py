"""Shapes of the plain maps that cross the door. TypedDicts: data for faces, never decided upon.

Times end in _s (durations) or _unix (seconds since 1970). Ids are text. Values are canonical bytes (canon.py).
"""

from __future__ import annotations

from typing import NotRequired, TypedDict


class NodeStatus(TypedDict):
    node: str
    owner: str
    name: str
    version: str
    data_dir: str
    owner_dir: str  # "": the person's own folder
    addresses: list[str]  # multiaddrs with /p2p/ID, as others would type them
    isolation: str  # "docker", "jail" …, or "none: …why"
    gaps: list[str]  # what that level does not guarantee
    shares: bool
    mdns: bool  # does it look for peers in the local network
    slots: int
    slots_free: int
    peers: int
    jobs: int  # that this node requested and keeps, those that ended too
    jobs_open: int
    draining: bool  # it is being stopped: what runs ends, and nothing new is taken
    installing: str  # packages on their way for somebody's job, with their size; "" normally
    testing: str  # what testing settings are on, "" normally
    ledger_read: float  # 0..1: how much of its stored ledger a node that has just started has read
    against: list[str]  # sentences: who holds what against its owner, by the ledger that it holds, and the way back


class WorkerStatus(TypedDict):
    node: str
    name: str
    owner: str
    isolation: str
    state: str  # "engaged", "lost", "left", "expelled"
    running: list[int]  # block indices under way, at most 8
    done: int  # replicas returned
    agreed: int
    disputed: int
    invalid: int
    busy_s: float  # wall seconds inside its sandbox
    local: bool  # the requester's own node


class JobStatus(TypedDict):
    job: str  # eight characters
    id: str  # hex
    name: str
    state: str  # "waiting", "running", "paused", "settled", "failed", "cancelled"
    reason: str  # why it is paused, waiting or failed, in words
    blocks: int
    waiting: int
    running: int
    provisional: int
    settled: int
    failed: int
    disputed: int
    replicas_done: int
    replicas_wanted: int  # of one block
    submitted_unix: int
    elapsed_s: float
    eta_s: float | None
    cross_validated: bool
    alone: NotRequired[int]  # of assurance economy: settled blocks that one owner ran, known for its work and audited
    notes: list[str]  # what its person should know, such as packages that could not be pinned
    workers: list[WorkerStatus]
    failures: NotRequired[list[FailureSeen]]
    report: NotRequired[JobReport]


class FailureSeen(TypedDict):
    """One way in which blocks failed; each once, as it came."""

    index: int  # of the first
    words: str  # the last line of its traceback


class Dispute(TypedDict):
    index: int
    words: str  # 'result["loss"][3] is 0.1 and 0.2'
    outvoted: list[str]  # node ids voted against
    state: str  # "settled" by majority, or "disputed"


class JobReport(TypedDict):
    wall_s: float
    block_s: float  # sum of wall seconds of the replicas that settled blocks, once each
    all_s: float  # sum over all replicas
    speedup: float  # block_s / wall_s: one core running every block once, against the swarm
    machine_cores: int  # of the requester's machine: the honest bound when all nodes share it
    isolation: dict[str, int]  # level -> replicas run at it
    gaps: list[str]  # what these levels do not guarantee
    disputes: list[Dispute]
    disputes_total: int
    entries: int  # ledger entries written for this job
    assignments: int
    expired: int  # leases that ran out
    coalesce: bool


class TimelineWorker(TypedDict):
    number: int  # spans name it by this
    node: str
    name: str
    owner: str
    local: bool
    isolation: str
    done: int  # replicas returned
    agreed: int
    disputed: int
    invalid: int
    busy_s: float  # wall seconds inside its sandbox
    cpu_s: float  # processor seconds, as it claims
    price: float  # credits per reference core-hour, as it bid
    gflops: float  # of one slot, as it claims
    busy: list[float]  # busy seconds of each column of time, from the job's start


class Timeline(TypedDict):
    """What the plots of a report are drawn from; of bounded size."""

    workers: list[TimelineWorker]
    column_s: float  # width of a column of `busy`
    spans: list[list[float]]  # [worker's number, first index, blocks, began_s, ended_s, disputed] of the first units
    complete: bool  # no unit is missing from spans
    times: list[list[float]]  # [from_s, to_s, replicas]: the histogram of block times
    shortest_s: float
    longest_s: float
    failures: list[list[object]]  # [index, why] of the first blocks that failed
    about: list[list[str]]  # (name, words): program, packages, limits … as the requester signed them


class Cost(TypedDict):
    """What a job will take, as market/estimate.py reckons."""

    machines: int  # that may take part, this one included
    owners: int
    replicas: int
    seconds: float
    speedup: float  # beside this machine alone on all its cores, each block once
    credits: float


class Rehearsal(TypedDict):
    """A job's smallest block, run on this machine before anybody hears of the job."""

    name: str
    state: str  # "ran", "long": it was stopped at the limit; "failed"; "skipped": it cannot run here, or was not to
    why: str  # of "long" and "skipped", in words
    failure: NotRequired[dict[str, str]]  # kind, type, text
    hint: str  # what to do about a failure
    log: str  # what the block printed, its end
    index: int  # of the block
    params: bytes  # likewise
    block_s: float  # at least, of "long"; 0 where it did not run
    start_s: float  # of a process until its first block begins
    wavers: str  # how two runs of it differ
    lax: str  # a sentence: the job's comparison takes its result and another block's for the same; a submission may name it in `expected`
    blocks: int  # of the job
    replicas: int
    economy: bool  # owners known for their work run alone
    audited: bool  # strangers may take part, or audits were asked for: some agreed blocks are run once more
    owners: int  # that may take part
    lacks: str  # for whom it will wait: fewer owners than replicas
    cost: Cost | None  # None: nobody knows
    single: Cost | None  # with one replica, where more are asked for


class BlockRow(TypedDict):
    index: int
    seed: int
    params: bytes
    state: str
    value: NotRequired[bytes]
    failure: NotRequired[dict[str, str]]  # kind, type, text
    words: NotRequired[str]  # of a dispute
    workers: list[str]
    agreed: int
    seconds: float  # wall, of the replica whose output was kept
    output: str | None  # where `outputs` of the job file puts this block's file: relative, forward slashes, checked


class PeerRow(TypedDict):
    node: str
    name: str
    owner: str
    how: str  # "join", "mdns", "dht", "last time", "inbound"
    connected: bool
    friend: bool  # its owner is one of this node's owner's friends
    accepted: bool  # and the other way round, as far as it said: False where it said that it does not; True also where it said nothing yet
    wants_friendship: bool  # asked; `ctorrent friend add OWNER` accepts
    version: str
    latency_s: float | None
    bandwidth_bytes_s: float | None
    addresses: list[str]
    offer: NotRequired[dict[str, object]]  # cores, memory_bytes, gpus, isolation, slots_free, gflops


class WhyReport(TypedDict):
    job: str
    state: str
    waits_for: str  # one sentence
    saw: int  # peers that answered the announcement
    reasons: dict[str, int]  # typed reason with its detail -> peers
    engaged: int


class LedgerRow(TypedDict):
    position: int
    author: str
    incarnation: int
    seq: int
    kind: str
    ring: str
    id: str
    issued_unix: int
    body: dict[str, object]


class VoteAgainst(TypedDict):
    """One negative vote about this node, and what it answered; outputs by their digests, in hex."""

    entry: str
    author: str
    disputed: int
    invalid: int
    issued_unix: int  # its author's claim
    standing: str  # node/witness.py: what came of asking for its evidence
    words: str
    block: int | None  # index in its job, of the leaf that was drawn
    answered: str  # by this node; "" while nothing was shown
    others: list[dict[str, str]]  # {"worker", "answered"}


class ReputationRow(TypedDict):
    node: str
    name: str
    agreed: float  # weighted, decayed
    disputed: float
    lower_bound: float  # 5 % quantile of Beta(agreed + 1, disputed + 1)
    newcomer: bool
    state: str  # "", "newcomer", "quarantined", "on trial"
    held: str  # why its bids are refused, since when, and its way back; "" when they are not
    past: str  # what was held against its owner before
    trust: float  # 0..1: how much its own word about others weighs here
    established: int  # right blocks in a row, by own verdicts
    dues: float  # right blocks that end its time as a newcomer
    why: list[str]
    against: NotRequired[list[VoteAgainst]]  # of this node itself, else empty


class CreditAmount(TypedDict):
    """Work, added up. Hours are of the reference core and GPU."""

    receipts: int
    blocks: int
    core_hours: float
    gpu_hours: float
    credits: float


class ReceiptRow(TypedDict):
    job: str  # the beginning of its tag
    number: int
    requester: str
    worker: str
    for_me: bool  # their machine worked for mine
    blocks: int
    core_hours: float
    gpu_hours: float
    credits: float
    issued_unix: int  # its requester's claim
    entry: str  # incarnation.seq in the requester's log


class CreditRow(TypedDict):
    person: str  # an owner; of an uncertified node its network, net_…
    name: str
    friend: bool
    nodes: list[str]
    for_me: CreditAmount  # by receipts
    for_them: CreditAmount
    balance: float  # credits they owe me; below zero, I them
    waits_for_me: CreditAmount  # they did it for me, and it has no receipt: provisional, not billed, or not signed
    waits_for_them: CreditAmount  # I did it for them, by my own measure
    limit: float  # credits that they may owe here
    backed: float  # of it, carried by friends who owe them
    left: float
    receipts: list[ReceiptRow]  # of one person only


class FriendRow(TypedDict):
    owner: str
    name: str
    state: str  # "friend", "asks"
    nodes: list[str]
