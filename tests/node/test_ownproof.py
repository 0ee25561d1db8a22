"""A worker that the requester's own runs show wrong is held by proof, and the proof stands in the ledger; an honest one's slip is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from ctorrent.ledger.quarantine import Cause, Phase
from ctorrent.ledger.tally import Observation, evidence_leaf
from ctorrent.model.entry import EntryKind, Proof, ProofKind
from ctorrent.model.evidence import Evidence
from ctorrent.model.ids import Digest, JobId
from ctorrent.node import records
from ctorrent.testing import simulate
from ctorrent.testing.fake_sandbox import Behaviour
from ctorrent.testing.fake_swarm import FakeSwarm, Member, ended, open_swarm
from ctorrent.wire import codec
from tests.node.test_stories import until

JOB = Path(__file__).parents[1] / "sim" / "jobs" / "mix.yaml"
TEXT = "python: mix.py:mix\nblocks: {count: 200}\nring: public\nprice: 2\nverify: {assurance: economy}\n"


def proofs(member: Member, of: Member) -> list[Proof]:
    """In one's ledger, by another."""
    entries = [codec.open_entry(records.unpack_sealed(records.load(v))).entry for _, v in member.journal.scan("entry")]
    return [codec.decode_proof(e.body) for e in entries if e.kind == EntryKind.PROOF and e.author == of.id]


def leaves(ann: Member, worker: Member) -> list[Digest]:
    """Of Ann's votes against a worker, as she shows them to others."""
    entries = [codec.open_entry(records.unpack_sealed(records.load(v))).entry for _, v in ann.journal.scan("entry")]
    votes = [codec.decode_tally(e.body) for e in entries if e.kind == EntryKind.TALLY and e.author == ann.id]
    found: list[Digest] = []
    for vote in votes:
        for place in range(vote.disputed if vote.worker == worker.id else 0):
            shown = ann.node.evidence.leaf(vote.evidence_root, place)
            if isinstance(shown, Evidence):
                found.append(evidence_leaf(Observation(JobId(b""), worker.id, shown.block, shown.assignment, shown.commitment, shown.verdict)))
    return found


def slip(member: Member, count: int) -> list[int]:
    """It is wrong in the first `count` blocks that it runs, the same whenever they come back. -> which, by seed."""
    honest, first = member.sandbox.programs["mix.py:mix"], list[int]()

    def lie(params: dict[str, Any], seed: int) -> Any:
        if seed not in first and len(first) < count:
            first.append(seed)
        return ["a flipped bit", seed] if seed in first else honest(params, seed)

    member.sandbox.programs = {**member.sandbox.programs, "mix.py:mix": lie}
    return first


async def crowd(swarm: FakeSwarm, liar: Behaviour) -> tuple[Member, Member, list[Member]]:
    ann = await swarm.add("ann", work=False)
    mal = await swarm.add("mal", behaviour=liar)
    honest = [await swarm.add(f"worker {n}", behaviour=Behaviour((0.05, 0.2))) for n in range(5)]
    swarm.net.mesh()
    await trio.sleep(1)
    return ann, mal, honest


def test_the_leaf_that_own_runs_bear_out_is_published_with_its_vote_and_holds_its_worker() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, mal, honest = await crowd(swarm, Behaviour((0.05, 0.2), lie_alone=0.5))
            status = await ended(ann, await ann.node.door.submit(str(JOB), TEXT, {}))
            assert status["state"] == "settled", status
            await trio.sleep(130)  # a meeting is due
            (proof,) = proofs(ann, ann)
            assert (proof.kind, proof.accused) == (ProofKind.RERUN, mal.id)
            assert proofs(honest[0], ann) == [proof], "it is told to others"
            case = ann.node.scribe.trust.reputation.quarantine.case(mal.owner)
            assert case is not None and case.cause is Cause.RERUN and ann.node.scribe.trust.held(mal.id)
            assert not honest[0].node.scribe.trust.held(mal.id), "to others it is testimony"
            assert proof.leaf in leaves(ann, mal), "and the vote that it bears out is served with this leaf's evidence"
            for one in honest:
                assert not ann.node.scribe.trust.held(one.id)

    simulate.run(5, main)


def test_a_worker_that_is_wrong_now_and_then_is_proven_nothing() -> None:
    """An honest machine is wrong once in hundreds of blocks; an own run that shows one of them is no proof against it."""

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, mal, _ = await crowd(swarm, Behaviour((0.05, 0.2)))
            wrong = slip(mal, 2)
            status = await ended(ann, await ann.node.door.submit(str(JOB), TEXT.replace("economy", "strict"), {}))
            assert status["state"] == "settled", status
            await trio.sleep(40)
            assert len(wrong) == 2, "it was wrong twice"
            assert not proofs(ann, ann) and not ann.node.scribe.trust.held(mal.id)

    simulate.run(5, main)


@pytest.mark.parametrize("written", [True, False])
def test_what_was_held_against_a_worker_is_withdrawn_when_it_turns_out_to_be_the_program(written: bool) -> None:
    """The same story until Mal is held by proof; then the program gives now this and now that on every machine."""

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, mal, honest = await crowd(swarm, Behaviour((0.05, 0.2), lie_alone=0.5))
            job = await ann.node.door.submit(str(JOB), TEXT.replace("200", "4000"), {})
            await until(lambda: ann.node.scribe.trust.held(mal.id))
            if written:
                await until(lambda: len(ann.journal.scan("against")) > 1)  # the proof, and a vote
            record = ann.node.scribe.snapshot([mal.id])[mal.id]
            assert record.disputed and record.phase is Phase.HELD
            for one in (ann, *honest):
                one.sandbox.behaviour = Behaviour((0.05, 0.2), waver=0.5)
            await trio.sleep(30)
            assert (await ann.node.door.job(job))["state"] == "paused"
            assert bool(ann.journal.scan("void")) is written and not ann.journal.scan("against")
            for _ in ("before a restart", "after it"):
                trust = ann.node.scribe.trust
                assert not any(trust.held(one.id) for one in (mal, *honest))
                figures = ann.node.scribe.snapshot([one.id for one in (mal, *honest)])
                assert not any(one.disputed for one in figures.values()), figures
                await swarm.crash(ann)
                await swarm.start(ann)
                await trio.sleep(40)
            assert proofs(ann, ann), "the log is as it was"

    simulate.run(5, main)
