"""What stands behind one negative leaf of a tally, so that a vote can be checked by those who do not believe its signer.

A tally says "I saw this worker be wrong so many times" and names the root of a tree over what was seen, bad news first.
Evidence opens one leaf of that tree: the accused worker's own signed result, the assignment it answers, the block's way to
a root that the job's requester signed, and what others committed to for the same block.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ctorrent.errors import Malformed
from ctorrent.model.block import Block
from ctorrent.model.ids import Digest
from ctorrent.model.result import NONCE_BYTES, Verdict
from ctorrent.seal import Sealed


@dataclass(frozen=True, slots=True)
class Shown:
    """A worker's signed result, and what opens its line about one block.

    nonce, output: commitment(assignment, block, worker, nonce, output) is in that line; no nonce: it is not opened.
    data: the output itself where it is small, else empty.
    """

    result: Sealed
    nonce: bytes = b""
    output: bytes = b""
    data: bytes = b""

    def __post_init__(self) -> None:
        if len(self.nonce) not in (0, NONCE_BYTES) or len(self.output) != (32 if self.nonce else 0):
            raise Malformed("a result is opened by 16 bytes of nonce and the 32 of its output's digest, or by nothing")
        if self.data and not self.nonce:
            raise Malformed("an output is shown with the nonce that it was committed to with")


@dataclass(frozen=True, slots=True)
class Case:
    """What all leaves about one job share: fetched once per job tag, by those whom its ring allows."""

    manifest: Sealed
    amendments: tuple[Sealed, ...]  # the chain from its first link on
    secret: bytes  # job tag = H(job id, secret)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One leaf, opened. The worker and the counts are the tally's."""

    place: int  # of the leaf in the tally's tree, from 0
    siblings: tuple[bytes, ...]  # from the leaf up
    block: Digest
    assignment: Digest
    commitment: Digest
    verdict: Verdict
    position: int  # the block's index in its job
    block_siblings: tuple[bytes, ...]  # from the block up to the root of the amendment that added it
    assigned: Sealed  # the coordinator's assignment
    accused: Shown
    other: Sealed | None = None  # INVALID: another result that the accused signed for this assignment
    winners: tuple[Shown, ...] = ()  # DISPUTED: what it lost to
    own: bytes = b""  # digest of what the coordinator says that its own two runs gave; empty: it did not run it
    content: Block | None = None  # what has to be known to run it again


class Why(Enum):
    """A typed no to somebody who asks for evidence."""

    UNKNOWN = 1  # never here, or not by this name
    RING = 3  # the asker is not in the job's ring
    BUSY = 4  # asked too often


@dataclass(frozen=True, slots=True)
class Refused:
    why: Why
    words: str = ""


@dataclass(frozen=True, slots=True)
class AskLeaf:
    """Of the tally with this evidence root, the leaf at `place`."""

    root: bytes
    place: int


@dataclass(frozen=True, slots=True)
class AskCase:
    """The job behind a tag."""

    tag: bytes


@dataclass(frozen=True, slots=True)
class AskDefence:
    """To a worker: what did you sign for this assignment, and what opens it about this block?"""

    assignment: bytes
    block: bytes


@dataclass(frozen=True, slots=True)
class AskPair:
    """Two signatures that are a proof too large for an entry; named by pair_name()."""

    name: bytes


@dataclass(frozen=True, slots=True)
class Pair:
    both: tuple[Sealed, Sealed]


Ask = AskLeaf | AskCase | AskDefence | AskPair
Told = Evidence | Case | Shown | Pair | Refused
