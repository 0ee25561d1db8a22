"""Verdicts outlive the requester's crash: each is counted in exactly one tally, whenever the power goes."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from ctorrent.errors import Malformed
from ctorrent.ledger.tally import Observation
from ctorrent.model.entry import EntryKind, Tally
from ctorrent.model.ids import Digest, JobId, Ring, RingKind
from ctorrent.model.result import Committed, Result, Verdict
from ctorrent.node import records
from ctorrent.node.proofs import Proofs
from ctorrent.node.verdicts import Verdicts
from ctorrent.testing import simulate
from ctorrent.testing.fake_sandbox import Behaviour
from ctorrent.testing.fake_swarm import Member, ended, open_swarm
from ctorrent.wire import codec
from tests.node.test_stories import until

JOB = Path(__file__).parents[1] / "sim" / "jobs" / "mix.yaml"
BLOCKS = 60


def tallies(member: Member) -> list[Tally]:
    entries = [codec.open_entry(records.unpack_sealed(records.load(v))).entry for _, v in member.journal.scan("entry")]
    return [codec.decode_tally(entry.body) for entry in entries if entry.kind == EntryKind.TALLY]


@pytest.mark.parametrize("after_s", [6.0, 9.0, 31.5, 40.0])
def test_every_verdict_is_in_one_tally(after_s: float) -> None:
    """Ann only asks; her power goes after some seconds, before or after her first tallies (which come after 30)."""

    async def main(simulation: simulate.Simulation) -> None:
        slow = Behaviour(block_s=(1.0, 2.0))
        async with open_swarm(simulation) as swarm:
            ann = await swarm.add("ann", work=False)
            ben, cat = [await swarm.add(name, behaviour=slow, slots=2) for name in ("ben", "cat")]
            for one in (ben, cat):
                await swarm.befriend(ann, one)
            swarm.net.mesh()
            await trio.sleep(1)
            job = await ann.node.door.submit(str(JOB), f"python: mix.py:mix\nblocks: {{count: {BLOCKS}}}\n", {})
            await trio.sleep(after_s)
            before = await ann.node.door.job(job)
            assert 0 < before["settled"] < BLOCKS, before["settled"]
            await swarm.crash(ann)
            await swarm.start(ann)
            swarm.net.mesh()
            status = await ended(ann, job)
            assert status["state"] == "settled" and status["cross_validated"], status
            counted = tallies(ann)
            for worker in (ben, cat):
                assert sum(tally.agreed for tally in counted if tally.worker == worker.id) == BLOCKS
            assert not sum(tally.disputed + tally.invalid for tally in counted)
            assert not ann.journal.scan("verdict") and not ann.journal.scan("tallied") and not ann.journal.scan("given")

    simulate.run(11, main)


def test_work_that_came_in_before_a_crash_is_told_with_its_answers() -> None:
    """Ben's answers wait for a second owner's when ann dies; they count after it, and so does it that ben gave them."""

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann = await swarm.add("ann", work=False)
            ben, cat = await swarm.add("ben"), await swarm.add("cat")
            await swarm.befriend(ann, ben)
            swarm.net.mesh()
            await trio.sleep(1)
            job = await ann.node.door.submit(str(JOB), "python: mix.py:mix\nblocks: {count: 6}\n", {})
            await trio.sleep(30)
            assert (await ann.node.door.job(job))["replicas_done"] == 6, "ben's share is in"
            await swarm.crash(ann, survivors=1 << 30)  # the process is killed; the machine runs on
            await swarm.start(ann)
            await swarm.befriend(ann, cat)
            swarm.net.mesh()
            status = await ended(ann, job)
            assert status["state"] == "settled" and status["cross_validated"], status
            done = {worker["name"]: worker["done"] for worker in status["workers"]}
            assert done == {"ben": 6, "cat": 6}, "as many as answered"
            assert status["replicas_done"] == 12

    simulate.run(12, main)


def test_who_signed_two_results_has_its_other_verdicts_counted_after_a_crash_too() -> None:
    """What a second result says of its worker is numbered like any other verdict: a tally that holds it hides none that come later."""
    job, tag, block = JobId(b"j" * 32), Digest(b"t" * 32), Digest(b"b" * 32)

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, ben = await swarm.add("ann"), await swarm.add("ben")

            def begin() -> Verdicts:
                ann.node.scribe.open_job(job, tag, Ring(RingKind.PUBLIC))
                return Verdicts(ann.journal, ann.node.scribe, job)

            async def agreed(verdicts: Verdicts) -> None:
                some = Digest(ann.clock.random_bytes(32))
                seen = Observation(job, ben.id, some, some, some, Verdict.AGREED)
                await ann.journal.commit([verdicts.add(ben.id, ben.owner, "x", [seen])])

            verdicts = begin()
            await agreed(verdicts)
            proofs = Proofs(ann.node.world, verdicts, job)
            one, other = [Result(tag, ben.id, tag, (Committed(block, Digest(word * 32)),)) for word in (b"1", b"2")]
            proofs.took(one, codec.seal_result(one, ben.keys.node))
            with pytest.raises(Malformed, match="two results"):
                proofs.look(ben.id, ben.owner, other, codec.seal_result(other, ben.keys.node))
            await ann.journal.commit(proofs.puts)
            await until(lambda: tallies(ann), 60)
            await agreed(verdicts)
            await swarm.crash(ann)
            await swarm.start(ann)
            begin().before()
            await ann.node.scribe.close_job(job)
            assert sum(tally.agreed for tally in tallies(ann)) == 2

    simulate.run(13, main)


def test_what_a_withdrawal_leaves_unsaid_stays_unsaid_after_a_crash() -> None:
    """Nothing of it is written to the log that could carry the count: it is kept with the withdrawal."""
    job, tag = JobId(b"j" * 32), Digest(b"t" * 32)

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, ben = await swarm.add("ann"), await swarm.add("ben")
            ann.node.scribe.open_job(job, tag, Ring(RingKind.PUBLIC))
            some = Digest(ann.clock.random_bytes(32))
            seen = Observation(job, ben.id, some, some, some, Verdict.DISPUTED)
            await ann.journal.commit([Verdicts(ann.journal, ann.node.scribe, job).add(ben.id, ben.owner, "x", [seen])])
            await ann.node.scribe.withdraw(job)
            await swarm.crash(ann)
            await swarm.start(ann)
            ann.node.scribe.open_job(job, tag, Ring(RingKind.PUBLIC))
            assert ann.node.scribe.tallied(job, ben.id) == 1 and not tallies(ann)

    simulate.run(14, main)
