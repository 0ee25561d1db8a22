"""What a lying coordinator, a lying worker or a flood may try with evidence; each is told apart by what was signed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import trio

from ctorrent.canon import encode
from ctorrent.errors import LimitExceeded, Malformed, PeerError
from ctorrent.ledger import evidence_words as words
from ctorrent.ledger.evidence import Finding, Proven, Rerun, Unproven, Vote, check, judge
from ctorrent.ledger.paths import Tree, leads_to
from ctorrent.ledger.tally import Observation, evidence_leaf
from ctorrent.model.block import Block, block_digest
from ctorrent.model.entry import Proof, ProofKind, Tally, job_tag
from ctorrent.model.evidence import AskLeaf, Case, Evidence, Refused, Shown, Why
from ctorrent.model.ids import Digest, JobId, OwnerId, Ring, RingKind, node_id
from ctorrent.model.job import Amendment, AmendmentKind, Manifest, Program, ProgramKind
from ctorrent.model.result import Committed, Result, Verdict, commitment, output_digest
from ctorrent.model.trade import Assignment
from ctorrent.node.evidence import EvidenceStore
from ctorrent.node.exhibits import digests_decide, open_case, open_defence, open_evidence, open_proof
from ctorrent.node.witness import Standing
from ctorrent.seal import Sealed, Signer, merkle_path, merkle_root
from ctorrent.testing import simulate
from ctorrent.testing.fake_swarm import open_swarm
from ctorrent.wire import codec
from tests.node.test_evidence import halves, proofs, quarrel, until

RING = Ring(RingKind.PUBLIC)
RIGHT, WRONG = b"\x00" + encode(42), b"\x00" + encode(43)
BLOCKS = 7


@dataclass
class Court:
    """A requester, a worker that was wrong in block 3, another that was right, and all that they signed."""

    requester: Signer
    accused: Signer
    winner: Signer
    job: JobId
    blocks: list[Block]
    digests: list[Digest]
    case: Case
    vote: Vote
    evidence: Evidence
    drawn: int = 0

    def find(self) -> Finding:
        """What a reader makes of it; signatures that do not hold count as nothing."""
        try:
            return check(self.vote, self.drawn, open_evidence(self.evidence), open_case(self.case))
        except PeerError as error:
            return Unproven(error.message)

    def why(self) -> str:
        found = self.find()
        return found.why if isinstance(found, Unproven) else ""


def signer() -> Signer:
    return Signer(os.urandom(32))


def sealed_job(requester: Signer, ring: Ring = RING) -> tuple[Sealed, JobId, Manifest]:
    program = Program(ProgramKind.PYTHON, Digest(bytes(32)), entry="f.py:f")
    manifest = Manifest(node_id(requester.public), os.urandom(16), ring, program, 1, Digest(bytes(32)), 1_700_000_000, 3600)
    sealed = codec.seal_manifest(manifest, requester)
    return sealed, codec.job_id(sealed), manifest


def answer(worker: Signer, given: Digest, block: Digest, output: bytes) -> Shown:
    nonce = os.urandom(16)
    line = commitment(given, block, node_id(worker.public), nonce, output_digest(output))
    result = Result(given, node_id(worker.public), Digest(bytes(32)), (Committed(block, line),))
    return Shown(codec.seal_result(result, worker), nonce, output_digest(output), output)


def assigned(by: Signer, job: JobId, head: Digest, worker: Signer, *blocks: Digest) -> Sealed:
    return codec.seal_assignment(Assignment(job, 1, head, node_id(worker.public), os.urandom(16), 30.0, blocks), by)


def court() -> Court:
    requester, accused, winner = signer(), signer(), signer()
    sealed, job, manifest = sealed_job(requester)
    blocks = [Block(index, index, encode({"index": index})) for index in range(BLOCKS)]
    code, environment = manifest.program.code, codec.environment_bytes(manifest.environment)
    digests = [block_digest(job, block, code, environment) for block in blocks]
    link = Amendment(job, 1, Digest(bytes(job)), AmendmentKind.BLOCKS, 0, BLOCKS, merkle_root(list(digests)))
    chain = (codec.seal_amendment(link, requester),)
    case = Case(sealed, chain, os.urandom(32))
    given = assigned(requester, job, codec.amendment_id(chain[0]), accused, digests[3])
    shown = answer(accused, codec.assignment_id(given), digests[3], WRONG)
    beside = answer(winner, Digest(os.urandom(32)), digests[3], RIGHT)
    line = codec.open_result(shown.result).blocks[0]
    evidence = Evidence(
        0, (), digests[3], codec.assignment_id(given), line.commitment, Verdict.DISPUTED, 3, Tree(digests).siblings(3), given, shown,
        None, (beside,), b"", blocks[3],
    )  # fmt: skip
    made = Court(requester, accused, winner, job, blocks, digests, case, None, evidence)  # type: ignore[arg-type]
    made.vote, made.evidence = voted(made, evidence)
    return made


def voted(it: Court, *leaves: Evidence, agreed: int = 4) -> tuple[Vote, Evidence]:
    """The requester's tally over these leaves and some agreement; -> with the first leaf as it lies under its root."""
    worker = node_id(it.accused.public)
    seen = [Observation(it.job, worker, e.block, e.assignment, e.commitment, e.verdict) for e in leaves]
    tree = Tree([*map(evidence_leaf, seen), *(Digest(os.urandom(32)) for _ in range(agreed))])
    disputed = sum(e.verdict is Verdict.DISPUTED for e in leaves)
    tally = Tally(job_tag(it.job, it.case.secret), worker, OwnerId(""), agreed, disputed, len(leaves) - disputed, "", tree.root)
    return Vote(node_id(it.requester.public), RING, tally), replace(leaves[0], place=0, siblings=tree.siblings(0))


def revote(it: Court, evidence: Evidence) -> None:
    it.vote, it.evidence = voted(it, evidence)


# the honest case -----------------------------------------------------------------------------------------------------


def test_an_honest_vote_is_proven_and_a_run_decides_it() -> None:
    it = court()
    found = it.find()
    assert isinstance(found, Proven) and not found.testimony and found.worker == node_id(it.accused.public)
    assert found.output == output_digest(WRONG) and [one.output for one in found.against] == [output_digest(RIGHT)]
    mine, other = output_digest(RIGHT), output_digest(b"\x00" + encode(0))
    assert judge(found, mine, mine, True) is Rerun.WRONG
    assert judge(found, found.output, found.output, True) is Rerun.RIGHT
    assert judge(found, other, other, True) is Rerun.NOTHING  # neither: another machine, or a third answer
    assert judge(found, mine, other, True) is Rerun.NOTHING  # a program that does not agree with itself
    assert judge(found, mine, mine, False) is Rerun.NOTHING  # where rounding may tell them apart
    assert digests_decide(open_case(it.case).manifest.verify, RIGHT)
    assert not digests_decide(open_case(it.case).manifest.verify, b"\x00" + encode([1, {"x": 0.5}]))


def test_what_is_shown_survives_the_way_and_nothing_else_does() -> None:
    it = court()
    for told in (it.evidence, it.case, it.evidence.accused, Refused(Why.RING, "no")):
        assert words.decode_told(words.encode_told(told)) == told
    whole = words.encode_told(it.evidence)
    for cut in range(0, len(whole), 7):
        with pytest.raises(PeerError):
            words.decode_told(whole[:cut])
    assert words.decode_ask(words.encode_ask(AskLeaf(bytes(32), 5))) == AskLeaf(bytes(32), 5)


# lies of a coordinator -----------------------------------------------------------------------------------------------


def forged_result(it: Court) -> None:
    """The accused never signed this."""
    mallory = signer()
    fake = answer(mallory, it.evidence.assignment, it.evidence.block, WRONG)
    stolen = Sealed(fake.result.body, it.accused.public, fake.result.signature)
    revote(it, replace(it.evidence, commitment=codec.open_result(fake.result).blocks[0].commitment, accused=replace(fake, result=stolen)))


def anothers_result(it: Court) -> None:
    """Somebody else was wrong."""
    mallory = signer()
    fake = answer(mallory, it.evidence.assignment, it.evidence.block, WRONG)
    revote(it, replace(it.evidence, commitment=codec.open_result(fake.result).blocks[0].commitment, accused=fake))


def another_block(it: Court) -> None:
    """A right answer for block 2, shown as a wrong one for block 3."""
    given = assigned(it.requester, it.job, codec.amendment_id(it.case.amendments[0]), it.accused, it.digests[2], it.digests[3])
    shown = answer(it.accused, codec.assignment_id(given), it.digests[2], RIGHT)
    line = codec.open_result(shown.result).blocks[0]
    revote(it, replace(it.evidence, assignment=codec.assignment_id(given), assigned=given, accused=shown, commitment=line.commitment))


def outside_the_root(it: Court) -> None:
    """A block that the job never held."""
    odd = Block(3, 99, encode({"index": "odd"}))
    manifest = codec.open_manifest(it.case.manifest).manifest
    name = block_digest(it.job, odd, manifest.program.code, codec.environment_bytes(manifest.environment))
    given = assigned(it.requester, it.job, codec.amendment_id(it.case.amendments[0]), it.accused, name)
    shown = answer(it.accused, codec.assignment_id(given), name, WRONG)
    line = codec.open_result(shown.result).blocks[0]
    revote(it, replace(
        it.evidence, block=name, assignment=codec.assignment_id(given), assigned=given, accused=shown, commitment=line.commitment,
        content=odd, winners=(answer(it.winner, Digest(bytes(32)), name, RIGHT),),
    ))  # fmt: skip


def after_the_fact(it: Court) -> None:
    """… and is put under a root of the requester's afterwards: the assignment names the chain as it was."""
    outside_the_root(it)
    late = Amendment(it.job, 2, codec.amendment_id(it.case.amendments[0]), AmendmentKind.BLOCKS, BLOCKS, 1, merkle_root([it.evidence.block]))
    it.case = replace(it.case, amendments=(*it.case.amendments, codec.seal_amendment(late, it.requester)))
    revote(it, replace(it.evidence, position=BLOCKS, block_siblings=(), content=None))


def chain_rewritten(it: Court) -> None:
    """… or the chain itself is signed anew."""
    outside_the_root(it)
    fresh = Amendment(it.job, 1, Digest(bytes(it.job)), AmendmentKind.BLOCKS, 3, 1, merkle_root([it.evidence.block]))
    it.case = replace(it.case, amendments=(codec.seal_amendment(fresh, it.requester),))
    revote(it, replace(it.evidence, block_siblings=()))


def another_requester(it: Court) -> None:
    """The root was signed by somebody else."""
    link = codec.open_amendment(it.case.amendments[0], node_id(it.requester.public))
    it.case = replace(it.case, amendments=(codec.seal_amendment(link, signer()),))


def anothers_job(it: Court) -> None:
    """The worker was wrong in a job of somebody else, whose evidence was copied."""
    thief = signer()
    it.vote = replace(it.vote, author=node_id(thief.public))


def another_secret(it: Court) -> None:
    it.case = replace(it.case, secret=bytes(32))


def another_ring(it: Court) -> None:
    it.vote = replace(it.vote, ring=Ring(RingKind.SWARM, OwnerId("own_" + "1" * 32)))


def replayed_leaf(it: Court) -> None:
    """One wrong block, counted five times: the reader draws the fifth, and is shown the first in its place."""
    it.vote, it.drawn = replace(it.vote, tally=replace(it.vote.tally, disputed=5, agreed=0)), 4
    it.evidence = replace(it.evidence, place=4)


def old_vote(it: Court) -> None:
    """A leaf of yesterday's tally, under today's root."""
    it.vote = replace(it.vote, tally=replace(it.vote.tally, evidence_root=os.urandom(32)))


def agreement_as_dispute(it: Court) -> None:
    """A leaf that says "agreed", where the vote counts a dispute."""
    it.evidence = replace(it.evidence, verdict=Verdict.INVALID)


def winner_twice(it: Court) -> None:
    revote(it, replace(it.evidence, winners=(it.evidence.winners[0], answer(it.winner, Digest(bytes(32)), it.evidence.block, RIGHT))))


def winner_is_the_accused(it: Court) -> None:
    revote(it, replace(it.evidence, winners=(answer(it.accused, Digest(bytes(32)), it.evidence.block, RIGHT),)))


def winner_agrees(it: Court) -> None:
    revote(it, replace(it.evidence, winners=(answer(it.winner, Digest(bytes(32)), it.evidence.block, WRONG),)))


def winner_of_another_block(it: Court) -> None:
    revote(it, replace(it.evidence, winners=(answer(it.winner, Digest(bytes(32)), it.digests[4], RIGHT),)))


def nothing_lost_to(it: Court) -> None:
    revote(it, replace(it.evidence, winners=()))


def opened_otherwise(it: Court) -> None:
    """The nonce of the accused, and an output that it never committed to."""
    revote(it, replace(it.evidence, accused=replace(it.evidence.accused, output=output_digest(b"\x00" + encode(7)), data=b"")))


def another_output(it: Court) -> None:
    revote(it, replace(it.evidence, accused=replace(it.evidence.accused, data=b"\x00" + encode(7))))


def other_code(it: Court) -> None:
    """What others are told to run is not what the block's digest names."""
    revote(it, replace(it.evidence, content=replace(it.blocks[3], params=encode({"index": 5}))))


def equivocation_of_nothing(it: Court) -> None:
    same = replace(it.evidence, verdict=Verdict.INVALID, other=it.evidence.accused.result, winners=())
    revote(it, same)


LIES: dict[Callable[[Court], None], str] = {
    forged_result: "does not verify",
    anothers_result: "signed by another worker",
    another_block: "another answer for the block",
    outside_the_root: "not under the root that the requester signed",
    after_the_fact: "no amendment of before the assignment",
    chain_rewritten: "names no link of the job's chain",
    another_requester: "amendment",
    anothers_job: "neither requested the job",
    another_secret: "not the one that the vote is about",
    another_ring: "another ring",
    replayed_leaf: "not under the vote's root",
    old_vote: "not under the vote's root",
    agreement_as_dispute: "where the vote counts",
    winner_twice: "counted twice",
    winner_is_the_accused: "counted twice",
    winner_agrees: "answered the same",
    winner_of_another_block: "not what it committed to",
    nothing_lost_to: "nothing is shown",
    opened_otherwise: "not what it committed to",
    another_output: "is another",
    other_code: "not what its digest names",
    equivocation_of_nothing: "holds the same answer",
}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_vote_that_its_evidence_does_not_carry(lie: Callable[[Court], None]) -> None:
    it = court()
    assert it.why() == ""
    lie(it)
    assert LIES[lie] in it.why(), it.why() or "it was believed"


def test_a_reader_draws_each_leaf_by_number() -> None:
    """No path leads from a leaf to another place, whatever its sender says of sides."""
    for count in range(1, 40):
        leaves = [os.urandom(32) for _ in range(count)]
        tree = Tree(leaves)
        assert tree.root == merkle_root(leaves)
        for place in range(count):
            assert [sibling for _, sibling in merkle_path(leaves, place)] == list(tree.siblings(place))
            good = [other for other in range(count) if leads_to(tree.root, leaves[place], other, count, tree.siblings(place))]
            assert good == [place]


def test_a_coordinator_with_winners_of_its_own_is_found_out_by_whoever_runs_the_block() -> None:
    """It ran other code under three invented names. All signatures hold; the block's digest binds the code that others run."""
    it = court()
    lie = b"\x00" + encode("made up")
    invented = tuple(answer(signer(), Digest(bytes(32)), it.evidence.block, lie) for _ in range(3))
    revote(it, replace(it.evidence, winners=invented))
    found = it.find()
    assert isinstance(found, Proven)
    honest = output_digest(WRONG)  # what the job's code gives: the accused told the truth
    assert judge(found, honest, honest, True) is Rerun.RIGHT


def test_the_coordinators_own_word_alone_is_testimony() -> None:
    it = court()
    revote(it, replace(it.evidence, winners=(), own=output_digest(RIGHT)))
    found = it.find()
    assert isinstance(found, Proven) and found.testimony
    revote(it, replace(it.evidence, verdict=Verdict.INVALID, winners=()))  # "its output did not fit": outputs travel unsigned
    found = it.find()
    assert isinstance(found, Proven) and found.testimony and not found.equivocated


def test_an_output_that_does_not_decode_ends_no_reader_and_refutes_the_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a job rounds, its reader compares the outputs themselves, and a winner of the author's invention commits to anything."""
    honest = EvidenceStore.leaf

    def lying(store: EvidenceStore, root: bytes, place: int) -> Evidence | Why:
        leaf = honest(store, root, place)
        return leaf if isinstance(leaf, Why) else replace(leaf, winners=(answer(signer(), Digest(bytes(32)), leaf.block, b"\x00\xc1"),))

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            monkeypatch.setattr(EvidenceStore, "leaf", lying)
            who = await quarrel(swarm, halves)
            ann, dan = who["ann"], who["dan"]
            dan.sandbox.programs = {"mix.py:mix": lambda params, seed: halves(params, seed) * 1.05 + 0.01}  # as node/lie.py: what the accused answered
            await until(lambda: dan.node.witness.found)
            assert {found.standing for found in dan.node.witness.found.values()} == {Standing.REFUTED}
            assert dan.node.scribe.trust.reputation.signer(ann.id) == 0.0
            ran = dan.sandbox.blocks_run
            await until(lambda: dan.sandbox.blocks_run >= ran + 2)  # it runs the leaf again, and has nothing to compare that with
            await trio.sleep(60)
            assert {found.standing for found in dan.node.witness.found.values()} == {Standing.REFUTED}
            assert not any(proof.kind is ProofKind.RERUN for proof in proofs(dan))

    simulate.run(11, main)


# lies of a worker ----------------------------------------------------------------------------------------------------


def test_two_answers_for_one_assignment_are_proof_whoever_shows_them() -> None:
    it = court()
    second = answer(it.accused, it.evidence.assignment, it.evidence.block, RIGHT)
    revote(it, replace(it.evidence, verdict=Verdict.INVALID, winners=(), other=second.result))
    found = it.find()
    assert isinstance(found, Proven) and found.equivocated and not found.testimony
    accused = node_id(it.accused.public)
    open_proof(Proof(ProofKind.EQUIVOCATION, accused, (it.evidence.accused.result, second.result)))
    # in its defence the worker shows its second answer: that is the proof
    mine = open_defence(second, accused, it.evidence.assignment, it.evidence.block)
    assert mine.blocks[0].commitment != it.evidence.commitment


def defences(it: Court) -> dict[str, Shown]:
    accused = it.evidence.accused
    return {
        "another's": answer(it.winner, it.evidence.assignment, it.evidence.block, RIGHT),
        "of another assignment": answer(it.accused, Digest(bytes(32)), it.evidence.block, RIGHT),
        "of another block": answer(it.accused, it.evidence.assignment, it.digests[1], RIGHT),
        "opened otherwise": replace(accused, output=output_digest(RIGHT), data=b""),
    }


def test_a_defence_that_is_none() -> None:
    it = court()
    for shown in defences(it).values():
        with pytest.raises(Malformed):
            open_defence(shown, node_id(it.accused.public), it.evidence.assignment, it.evidence.block)


def false_proofs(it: Court) -> dict[str, Proof]:
    accused, other = node_id(it.accused.public), node_id(it.winner.public)
    mine, theirs = it.evidence.accused.result, it.evidence.winners[0].result
    again = answer(it.accused, Digest(bytes(32)), it.evidence.block, RIGHT).result
    forged = Sealed(again.body, again.public, bytes(64))
    elsewhere = answer(it.accused, it.evidence.assignment, it.digests[1], RIGHT).result
    return {
        "one twice": Proof(ProofKind.EQUIVOCATION, accused, (mine, mine)),
        "of two workers": Proof(ProofKind.EQUIVOCATION, accused, (mine, theirs)),
        "of somebody else": Proof(ProofKind.EQUIVOCATION, other, (mine, again)),
        "for two assignments": Proof(ProofKind.EQUIVOCATION, accused, (mine, again)),
        "about two blocks": Proof(ProofKind.EQUIVOCATION, accused, (mine, elsewhere)),
        "with a forged one": Proof(ProofKind.EQUIVOCATION, accused, (mine, forged)),
        "of another kind": Proof(ProofKind.FORK, accused, (mine, again)),
    }


def test_a_proof_that_proves_nothing_is_not_believed() -> None:
    for name, proof in false_proofs(court()).items():
        with pytest.raises(PeerError):
            open_proof(proof)
            pytest.fail(name)


# floods --------------------------------------------------------------------------------------------------------------


def test_huge_evidence_is_refused_before_it_is_read() -> None:
    it = court()
    with pytest.raises(LimitExceeded):
        words.decode_told(bytes(words.LIMITS.told_bytes + 1))
    many = replace(it.evidence, winners=it.evidence.winners * (words.LIMITS.winners + 1))
    deep = replace(it.evidence, siblings=(bytes(32),) * (words.LIMITS.siblings + 1))
    long = replace(it.case, amendments=it.case.amendments * (words.LIMITS.amendments + 1))
    for told in (many, deep, long):
        with pytest.raises(LimitExceeded):
            words.decode_told(words.encode_told(told))
    for noise in (b"", b"\xc1", encode([]), encode([9, 1]), encode([1]), encode({"a": 1}), encode([1, -1, *[b""] * 14]), os.urandom(500)):
        with pytest.raises(PeerError):
            words.decode_told(noise)
        if noise != encode([9, 1]):
            with pytest.raises(PeerError):
                words.decode_ask(noise)
