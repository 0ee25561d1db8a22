"""What the auction is told and what it asks for, and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ctorrent.market.rank import Bidder, Speeds, Standing
from ctorrent.model.ids import NodeId
from ctorrent.model.trade import No, NoReason


@dataclass(frozen=True, slots=True)
class Rules:
    """The auction's limits."""

    bid_window_s: float = 2.0  # a flood over gossip takes about two heartbeats of a second
    early_share: float = 0.5  # of the slots wanted may go to the first who bid; the rest waits for the window's best
    rounds_max: int = 5  # with nobody engaged: then unsellable, with the reasons, not retried for ever
    backoff_s: float = 4.0  # before the second round, doubling: a round's window and its stragglers
    backoff_max_s: float = 120.0  # while the job is open, so that late joiners hear of it
    urgent_s: float = 1.0  # before announcing again after a worker was lost: several are often lost at once
    sessions_max: int = 128  # peers described, bidding or engaged at once, per job: about 1 MB of session state each
    places_kept: int = 8  # of them for this node itself and friends
    reserve_max: int = 32  # bids kept for when a worker is lost
    describe_s: float = 15.0  # to answer a description: fetching and checking a manifest takes one round trip
    bids_max: int = 64  # asked for in one announcement
    retry_s: float = 20.0  # "full": earliest next try; drawn up to twice as long, so that they do not come back at once
    answers_max: int = 10_000  # peers whose reasons are kept for `why`


@dataclass(frozen=True, slots=True)
class Terms:
    """What of the manifest the auction obeys."""

    price_max: float
    isolation: int = 0  # Isolation value
    owners: int = 3  # different ones to engage: a third settles what two dispute


# Events --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begin:
    """Start announcing; again after Unsellable: try once more."""


@dataclass(frozen=True, slots=True)
class Want:
    """Slots this job could use now, in all; 0: none (paused, or all work handed out)."""

    slots: int


@dataclass(frozen=True, slots=True)
class InterestArrived:
    node: NodeId
    owner: str
    trusted: bool = False
    standing: Standing | None = None  # what is thought of it now: the last snapshot may be older than its coming


@dataclass(frozen=True, slots=True)
class BidArrived:
    """Signature, nonce and owner are checked."""

    bidder: Bidder


@dataclass(frozen=True, slots=True)
class NoThanksArrived:
    node: NodeId
    reasons: tuple[No, ...]


@dataclass(frozen=True, slots=True)
class SessionEnded:
    node: NodeId
    why: str = ""


@dataclass(frozen=True, slots=True)
class Avoided:
    """Dispatch gives it nothing more in this job."""

    node: NodeId
    why: str = ""


@dataclass(frozen=True, slots=True)
class Pardoned:
    """It was avoided in this job by mistake: the program wavers."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A fresh view: standings of peers, and speeds observed in this job."""

    standings: Mapping[NodeId, Standing]
    speeds: Speeds


@dataclass(frozen=True, slots=True)
class End:
    """The job is over."""


@dataclass(frozen=True, slots=True)
class Tick:
    pass


Event = (
    Begin | Want | InterestArrived | BidArrived | NoThanksArrived | SessionEnded | Avoided | Pardoned | Snapshot | End | Tick
)

# Effects -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Announce:
    """Gossip it. ttl_s: how long the round is open, from receipt."""

    round: int
    bids_wanted: int
    ttl_s: float


@dataclass(frozen=True, slots=True)
class Describe:
    """Send the manifest and a fresh nonce."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class Decline:
    node: NodeId
    no: No
    retry_s: float


@dataclass(frozen=True, slots=True)
class Engage:
    """Send Engaged, and tell dispatch WorkerJoined. Again for an engaged one: only its weight changed, tell dispatch."""

    node: NodeId
    owner: str
    slots: int
    credit: int
    weight: float
    newcomer: bool
    again: bool = False


@dataclass(frozen=True, slots=True)
class Unsellable:
    """Nobody took it in `rounds` rounds. `words`: the reasons added up."""

    rounds: int
    words: str


Effect = Announce | Describe | Decline | Engage | Unsellable

MANY = {  # NoReason's words for more than one peer
    NoReason.RING: "are not in the job's ring",
    NoReason.PACKAGES: "lack",
    NoReason.PROGRAMS: "lack",
    NoReason.PYTHON: "have another Python than",
    NoReason.ARCH: "have another processor than",
    NoReason.MEMORY: "have too little memory for",
    NoReason.CPU: "have too few cores for",
    NoReason.GPU: "have no GPU that fits",
    NoReason.ISOLATION: "are below the isolation asked",
    NoReason.IMAGE: "do not have the image",
    NoReason.COMMAND: "cannot run commands at their isolation level",
    NoReason.PRICE: "ask a higher price",
    NoReason.BUSY: "are busy",
    NoReason.ABSTAINS: "share nothing now",
    NoReason.FULL: "came when all places were taken",
    NoReason.DISTRUST: "are refused:",
    NoReason.FILES: "are getting the job's files",
    NoReason.DISK: "have too little disk free",
    NoReason.INSTALLING: "are installing",
    NoReason.CREDIT: "want work in return first",
    NoReason.WITHHELD: "have",
    NoReason.OTHER: "give reasons that this version does not know",
}
