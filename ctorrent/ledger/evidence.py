"""Does one piece of evidence carry the vote it stands behind? Pure: signatures were checked when things were opened.

    the vote        tally entry ── root ── leaf [block, assignment, worker, commitment, verdict]      its author's signature
    the job         tag = H(job id, secret) ── manifest ── amendments ── root ── block                 the requester's
    the work        assignment [worker, blocks, amendment head]                                        the coordinator's
    the answer      result [assignment, block, commitment]                                             the accused worker's
    what it was     commitment = H(assignment, block, worker, nonce, output)
    what it lost to results of others for the same block, opened the same way, to another output       theirs

The worker signed the assignment's id, the assignment names a link of the job's chain, and the block is under a root at or
before that link: so no block can be put under a root afterwards. Winners may be the accuser's own invention; what cannot
be invented is the accused's answer, and whoever runs the block again knows who was right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from ctorrent.ledger.paths import leads_to
from ctorrent.ledger.tally import Observation, evidence_leaf
from ctorrent.model.block import Block, block_digest
from ctorrent.model.entry import Tally, job_tag
from ctorrent.model.evidence import Evidence, Shown
from ctorrent.model.ids import Digest, JobId, NodeId, Ring
from ctorrent.model.job import Amendment, AmendmentKind, Manifest
from ctorrent.model.result import Result, Verdict, commitment, output_digest
from ctorrent.model.trade import Assignment
from ctorrent.seal import Sealed


@dataclass(frozen=True, slots=True)
class Vote:
    """A tally in its entry."""

    author: NodeId
    ring: Ring
    tally: Tally

    @property
    def negatives(self) -> int:
        """Leaves from the left that are bad news: disputed ones, then invalid ones."""
        return self.tally.disputed + self.tally.invalid

    @property
    def leaves(self) -> int:
        return self.negatives + self.tally.agreed

    def verdict(self, place: int) -> Verdict:
        """What the leaf at `place` must say."""
        if place < self.tally.disputed:
            return Verdict.DISPUTED
        return Verdict.INVALID if place < self.negatives else Verdict.AGREED


@dataclass(frozen=True, slots=True)
class Link:
    """One amendment of the requester's, opened; `id` is what the next one and assignments name."""

    id: Digest
    amendment: Amendment


@dataclass(frozen=True, slots=True)
class OpenCase:
    """A case whose signatures hold: the manifest and every link are the requester's."""

    job: JobId
    manifest: Manifest
    sealed: Sealed  # the manifest as it was signed
    links: tuple[Link, ...]
    secret: bytes
    environment: bytes  # the manifest's predicate in canonical bytes: part of a block's digest


@dataclass(frozen=True, slots=True)
class OpenEvidence:
    """Evidence whose signatures hold, each by the key its body names."""

    said: Evidence
    assignment: Assignment
    assignment_id: Digest
    coordinator: NodeId
    accused: Result
    other: Result | None
    winners: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Against:
    """What somebody else signed for the same block."""

    worker: NodeId
    output: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Proven:
    """What nobody can deny any more. Whose output is the right one is not among it: run `content` for that."""

    worker: NodeId
    verdict: Verdict
    job: JobId
    block: Digest
    assignment: Digest
    commitment: Digest
    output: bytes  # what the accused committed to; empty: not opened
    data: bytes
    against: tuple[Against, ...]
    own: bytes  # what the coordinator says that its own runs gave
    content: Block | None
    equivocated: bool

    @property
    def testimony(self) -> bool:
        """Only the accused's signature over the block is certain; that it was wrong is the accuser's word."""
        return not self.equivocated and not (self.output and self.against)


@dataclass(frozen=True, slots=True)
class Unproven:
    """Why it carries nothing, in words. Who showed it is to blame: it chose what to sign and what to show."""

    why: str


Finding = Proven | Unproven
Check = Callable[["_Asked"], str]


@dataclass(frozen=True, slots=True)
class _Asked:
    vote: Vote
    place: int
    open: OpenEvidence
    case: OpenCase

    @property
    def said(self) -> Evidence:
        return self.open.said


def check(vote: Vote, place: int, evidence: OpenEvidence, case: OpenCase) -> Finding:
    """The reader drew `place` itself; `evidence` and `case` are what the vote's author showed."""
    asked = _Asked(vote, place, evidence, case)
    for one in (_right_job, _right_leaf, _right_work, _right_root, _right_answer, _right_content):
        if why := one(asked):
            return Unproven(why)
    why = _equivocated(asked) if vote.verdict(place) is Verdict.INVALID else _disagreed(asked)
    if why:
        return Unproven(why)
    said = evidence.said
    against = tuple(Against(r.worker, s.output, s.data) for r, s in zip(evidence.winners, said.winners, strict=True))
    return Proven(
        vote.tally.worker, said.verdict, case.job, said.block, said.assignment, said.commitment, said.accused.output,
        said.accused.data, against, said.own, said.content, evidence.other is not None,
    )  # fmt: skip


def _right_job(asked: _Asked) -> str:
    case, vote = asked.case, asked.vote
    if job_tag(case.job, case.secret) != vote.tally.job_tag:
        return "the job shown is not the one that the vote is about"
    if case.manifest.ring != vote.ring:
        return "the vote is in another ring than its job"
    before = Digest(bytes(case.job))
    for number, link in enumerate(case.links, 1):
        if link.amendment.job != case.job or link.amendment.seq != number or link.amendment.prev != before:
            return "the job's amendments are not one chain"
        before = link.id
    keepers = {keeper for link in case.links for keeper in link.amendment.keepers}
    if vote.author != case.manifest.requester and vote.author not in keepers:
        return "who votes neither requested the job nor was made its keeper"
    return ""


def _right_leaf(asked: _Asked) -> str:
    said, vote = asked.said, asked.vote
    if said.place != asked.place:
        return "another leaf was asked for"
    if said.verdict is not vote.verdict(asked.place):
        return f"the leaf says {said.verdict.name.lower()} where the vote counts {vote.verdict(asked.place).name.lower()}"
    seen = Observation(asked.case.job, vote.tally.worker, said.block, said.assignment, said.commitment, said.verdict)
    if not leads_to(vote.tally.evidence_root, evidence_leaf(seen), asked.place, vote.leaves, said.siblings):
        return "the leaf is not under the vote's root at its place"
    return ""


def _right_work(asked: _Asked) -> str:
    said, work = asked.said, asked.open
    if work.assignment_id != said.assignment or work.assignment.job != asked.case.job:
        return "the assignment shown is not the one in the leaf"
    if work.coordinator != asked.vote.author:
        return "the work was given by somebody else than who votes"
    if work.assignment.worker != asked.vote.tally.worker:
        return "the work was given to another worker"
    if said.block not in work.assignment.blocks:
        return "the block is not among those that were given"
    return ""


def _right_root(asked: _Asked) -> str:
    """The block lies under a root that the requester signed, and which the chain held when the work was given."""
    said, head = asked.said, asked.open.assignment.amendment_head
    ids = [link.id for link in asked.case.links]
    if head not in ids:
        return "the assignment names no link of the job's chain"
    for link in asked.case.links[: ids.index(head) + 1]:
        added = link.amendment
        place = said.position - added.first_index
        if added.kind is AmendmentKind.BLOCKS and 0 <= place < added.count:
            good = leads_to(added.root, said.block, place, added.count, said.block_siblings)
            return "" if good else "the block is not under the root that the requester signed"
    return "no amendment of before the assignment holds a block of that number"


def _right_answer(asked: _Asked) -> str:
    said, result = asked.said, asked.open.accused
    if result.worker != asked.vote.tally.worker:
        return "the result shown was signed by another worker"
    if result.assignment != said.assignment:
        return "the result shown answers another assignment"
    if (said.block, said.commitment) not in [(line.block, line.commitment) for line in result.blocks]:
        return "the result shown holds another answer for the block, or none"
    return _opens(said.accused, said.assignment, said.block, result) if said.accused.nonce else ""


def _opens(shown: Shown, assignment: Digest, block: Digest, result: Result) -> str:
    lines = [line.commitment for line in result.blocks if line.block == block]
    if commitment(assignment, block, result.worker, shown.nonce, Digest(shown.output)) not in lines:
        return f"what is shown of {result.worker}'s answer is not what it committed to"
    if shown.data and output_digest(shown.data) != shown.output:
        return f"the output shown as {result.worker}'s is another"
    return ""


def _right_content(asked: _Asked) -> str:
    content, case = asked.said.content, asked.case
    if content is None:
        return ""
    named = block_digest(case.job, content, case.manifest.program.code, case.environment)
    same = content.index == asked.said.position and named == asked.said.block
    return "" if same else "what is said to be in the block is not what its digest names"


def _disagreed(asked: _Asked) -> str:
    said, result = asked.said, asked.open.accused
    if not said.accused.nonce:
        return "the accused's answer is not opened"
    owners = [result.worker]
    for shown, winner in zip(said.winners, asked.open.winners, strict=True):
        if winner.worker in owners:
            return "one worker is counted twice"
        owners.append(winner.worker)
        if not shown.nonce:
            return f"{winner.worker}'s answer is not opened"
        if why := _opens(shown, winner.assignment, said.block, winner):
            return why
        if shown.output == said.accused.output:
            return f"{winner.worker} answered the same as the accused"
    if not said.winners and not said.own:
        return "nothing is shown that the answer differs from"
    return "" if said.own != said.accused.output else "the coordinator's own runs gave what the accused answered"


def _equivocated(asked: _Asked) -> str:
    """Without a second result it is testimony that an output did not fit its commitment: outputs travel unsigned."""
    other, said = asked.open.other, asked.said
    if other is None:
        return ""
    if other.worker != asked.open.accused.worker or other.assignment != said.assignment:
        return "the second result is another worker's, or of another assignment"
    lines = [line.commitment for line in other.blocks if line.block == said.block]
    return "" if lines and said.commitment not in lines else "the second result holds the same answer"


# Running it again ----------------------------------------------------------------------------------------------------


class Rerun(Enum):
    """What a reader's own two runs say about a leaf."""

    WRONG = "the accused was wrong"
    RIGHT = "the accused was right"
    NOTHING = "the runs do not decide it"


def judge(proven: Proven, first: bytes, second: bytes, decisive: bool) -> Rerun:
    """Digests of the outputs of two runs alone, in fresh processes.

    decisive: another digest is another answer here, rather than another machine's rounding.
    """
    if first != second or not proven.output or not decisive:
        return Rerun.NOTHING
    if first == proven.output:
        return Rerun.RIGHT
    others = {one.output for one in proven.against} | ({proven.own} if proven.own else set())
    return Rerun.WRONG if first in others else Rerun.NOTHING
