"""What two nodes say to each other on a session channel, in the order they usually say it.

    worker                                   coordinator
    Interest(job, round)        ────────▶
                                ◀────────    Describe(nonce, manifest, amendments)   or  Declined
    Offered(sealed bid) or NoThanks ────▶
                                ◀────────    Engaged(credit)                         or  Declined
                                ◀────────    Assign(sealed assignment, blocks) …
    Returned(sealed result, outputs) ───▶
                                ◀────────    Acknowledged(assignment)
    HandBack(assignment)        ────────▶    (it will not be done; the lease is over)
                                ◀────────    Revoke(assignment)
                                ◀────────    Amended(sealed amendment)
                                ◀────────    Finished(job)

One channel serves any number of jobs of that coordinator.
"""

from __future__ import annotations

from dataclasses import dataclass

from ctorrent.model.block import Block
from ctorrent.model.ids import Digest, JobId
from ctorrent.model.result import Failure, Usage
from ctorrent.model.trade import No
from ctorrent.seal import Sealed


@dataclass(frozen=True, slots=True)
class Introduction:
    """First on every session channel, both ways: who is speaking. Node identity itself is proven by Noise."""

    certificate: Sealed | None
    memberships: tuple[tuple[Sealed, ...], ...]  # each a chain of links, root first
    name: str
    version: str
    offer: bytes = b""  # canonical map of what the node puts on the market; empty: nothing said


@dataclass(frozen=True, slots=True)
class Interest:
    job: JobId
    round: int


@dataclass(frozen=True, slots=True)
class Describe:
    job: JobId
    nonce: bytes  # 16 random bytes; a bid names it
    manifest: Sealed
    amendments: tuple[Sealed, ...]
    job_secret: bytes  # opens the job's tag in the ledger


@dataclass(frozen=True, slots=True)
class Declined:
    """The coordinator's no, and for how long not to ask again."""

    job: JobId
    no: No
    retry_s: float


@dataclass(frozen=True, slots=True)
class Offered:
    bid: Sealed


@dataclass(frozen=True, slots=True)
class NoThanks:
    """The worker's typed no: it does not fit. Feeds `ctorrent why`."""

    job: JobId
    reasons: tuple[No, ...]


@dataclass(frozen=True, slots=True)
class Engaged:
    job: JobId
    credit: int  # units the worker may be sent before it returns one


@dataclass(frozen=True, slots=True)
class Assign:
    """`blocks` are what the assignment's digests stand for, same order; the worker recomputes them."""

    assignment: Sealed
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """One block's output, opened: nonce and bytes give the commitment. Exactly one of data and blob is set."""

    nonce: bytes  # 16 random bytes
    data: bytes | None  # Outcome.output(), when small
    blob: Digest | None  # else the blob that holds it, served by the worker
    size_bytes: int
    usage: Usage
    failure: Failure | None  # with its text, which the commitment does not cover
    log: bytes = b""  # the last bytes of stdout and stderr


@dataclass(frozen=True, slots=True)
class Returned:
    result: Sealed
    outputs: tuple[Output, ...]  # same order as the result's blocks; all present when `last`
    first: int = 0  # position of outputs[0] in the result
    last: bool = True


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The coordinator has the whole result, durably: the worker may forget it."""

    assignment: Digest


@dataclass(frozen=True, slots=True)
class HandBack:
    assignment: Digest
    no: No


@dataclass(frozen=True, slots=True)
class Revoke:
    assignment: Digest


@dataclass(frozen=True, slots=True)
class Amended:
    amendment: Sealed


@dataclass(frozen=True, slots=True)
class Finished:
    job: JobId


@dataclass(frozen=True, slots=True)
class Progress:
    """Worker -> coordinator: log bytes of a running block, capped."""

    assignment: Digest
    index: int
    log: bytes


@dataclass(frozen=True, slots=True)
class Billed:
    """Coordinator -> worker: sign what was settled of your work. `work`: canonical bytes of model.entry.Work."""

    job: JobId
    work: bytes


@dataclass(frozen=True, slots=True)
class Countersigned:
    """Worker -> coordinator: the same, signed. Whoever disagrees signs nothing."""

    job: JobId
    work: Sealed


@dataclass(frozen=True, slots=True)
class Unknown:
    """A frame kind this version does not know; answered with UnsupportedKind, otherwise ignored."""

    kind: int


@dataclass(frozen=True, slots=True)
class UnsupportedKind:
    kind: int


# Other protocols' messages -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """Redeem an invite's token for a membership link that names `certificate`'s owner."""

    token: bytes
    certificate: Sealed


@dataclass(frozen=True, slots=True)
class JoinAnswer:
    """`links` empty: refused, for `reason`."""

    links: tuple[Sealed, ...]
    certificate: Sealed | None  # the inviter's
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FriendRequest:
    certificate: Sealed
    name: str


@dataclass(frozen=True, slots=True)
class Inquiry:
    """How do you see me? Changes nothing; an invite that is asked about is not used up."""

    token: bytes = b""  # of an invite; empty: none
    port: int = 0  # of the asker, to knock at; 0: none


@dataclass(frozen=True, slots=True)
class Findings:
    clock_unix_s: int
    invite: str = ""  # "good", "unknown", "used up", "expired"
    seen_at: str = ""  # the asker's IP address, as the answerer sees it
    knock: str = ""  # "open", "refused", "silent" …; "": did not knock


@dataclass(frozen=True, slots=True)
class BlobRequest:
    blob: Digest
    offset: int


@dataclass(frozen=True, slots=True)
class BlobHead:
    """size_bytes is of the whole blob; -1 when this node does not have it. Chunks of raw bytes follow, in order."""

    size_bytes: int


Message = (
    Introduction | Interest | Describe | Declined | Offered | NoThanks | Engaged | Assign | Returned | Acknowledged
    | HandBack
    | Revoke | Amended | Finished | Progress | Unknown | UnsupportedKind | JoinRequest | JoinAnswer | FriendRequest
    | Inquiry | Findings | BlobRequest | BlobHead | Billed | Countersigned
)
