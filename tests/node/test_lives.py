"""A requester is killed in the middle of a job: what it learned, what others answered and what it owes them outlive it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import trio

from ctorrent.errors import Malformed
from ctorrent.model.evidence import Why
from ctorrent.model.ids import Digest
from ctorrent.node import dossier, requester
from ctorrent.node.coordinate import Coordination
from ctorrent.node.jobbook import load_ends
from ctorrent.node.witness import Standing, WitnessRules
from ctorrent.ports import Put
from ctorrent.testing import simulate
from ctorrent.testing.fake_sandbox import Behaviour
from ctorrent.testing.fake_swarm import FakeSwarm, Member, ended, open_swarm
from ctorrent.verify.jury import Jury
from ctorrent.wire import codec
from tests.node.test_credit import strangers
from tests.node.test_evidence import quarrel
from tests.node.test_stories import SLOW, submit, until
from tests.node.test_votes_kept import tallies

KILLED = 1 << 20  # kill -9: what was written stays, synced or not
PAID = "ring: public\nprice: 2\n"
STRICT = PAID + "verify: {assurance: strict, audit: 0.2}\n"


def story(main: Callable[[FakeSwarm], Awaitable[None]], seed: int = 3) -> None:
    async def run(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            await main(swarm)

    simulate.run(seed, run)


def life(member: Member, job: str) -> Coordination:
    """The job as this life of its requester has it."""
    requester = member.node.requester
    return requester._open[requester.find(job).id]


async def begun(member: Member, count: int, more: str) -> str:
    job = await submit(member, count, more)
    await until(lambda: member.node.requester.find(job).id in member.node.requester._open, 10)
    return job


async def reborn(swarm: FakeSwarm, member: Member, job: str) -> Coordination:
    await swarm.crash(member, KILLED)
    await swarm.start(member)
    await until(lambda: member.node.requester.find(job).id in member.node.requester._open, 10)
    await trio.sleep(0.01)
    return life(member, job)


def jury_of(job: Coordination) -> Jury:
    jury = job.votes._behind
    assert isinstance(jury, Jury)
    return jury


def of_workers(job: Coordination) -> dict[str, Any]:
    jury = jury_of(job)
    return {name: (s.owner, s.valid, s.checked, s.wrong, s.expelled, s.witnessed) for name, s in jury._audit.workers.items()}


def test_the_second_life_knows_of_every_worker_what_the_first_knew_and_engages_no_liar() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, *rest = await strangers(swarm, "ann", "ben", "cat", "dan", "eve", behaviour=Behaviour(block_s=(0.2, 0.6)))
        liar = await swarm.add("liar", behaviour=Behaviour(block_s=(0.2, 0.6), lie_alone=0.9))
        swarm.net.mesh()
        job = await begun(ann, 150, STRICT)
        await until(lambda: any(seen[4] for seen in of_workers(life(ann, job)).values()), 300)
        await trio.sleep(0.2)  # its commit
        before, first = of_workers(life(ann, job)), jury_of(life(ann, job))
        memo = first._audit.backed, first._own.done, first._steady.memo()
        run = liar.sandbox.blocks_run
        second = await reborn(swarm, ann, job)
        after = of_workers(second)
        jury = jury_of(second)
        assert (jury._audit.backed, jury._own._made, jury._steady.memo()) == memo
        assert {name: after[name] for name in before if before[name][2] and name != ann.id} == {
            name: seen for name, seen in before.items() if seen[2] and name != ann.id
        }
        swarm.net.mesh()
        status = await ended(ann, job)
        assert status["state"] == "settled" and liar.sandbox.blocks_run <= run + 4, "it may end what it had begun"
        assert not ann.journal.scan("learned")
        agreed = {member.id: sum(t.agreed for t in tallies(ann) if t.worker == member.id) for member in (*rest, liar)}
        record = ann.node.requester.find(job)
        own = sum(ann.id in end.workers for _, end in load_ends(ann.journal, record.id))
        assert sum(agreed.values()) >= 2 * 150 - own, "votes for blocks that were provisional at the kill are cast"

    story(main)


def test_a_block_that_waits_for_a_second_owner_is_not_run_again() -> None:
    """Among friends as among strangers."""

    async def main(swarm: FakeSwarm, more: str) -> None:
        ann, ben = await swarm.add("ann", work=False), await swarm.add("ben", behaviour=SLOW, slots=4)
        dan = await swarm.add("dan", behaviour=Behaviour(block_s=(900.0, 900.0)))  # hope of a second owner
        for one in (ben, dan):
            await swarm.befriend(ann, one)
        swarm.net.mesh()
        await trio.sleep(1)
        job = await begun(ann, 12, more)
        await until(lambda: ben.sandbox.blocks_run >= 10 and not ben.sandbox.running, 120)
        await trio.sleep(1)
        run = ben.sandbox.blocks_run
        await swarm.crash(ann, KILLED)
        await swarm.start(ann)
        cat = await swarm.add("cat", behaviour=SLOW, slots=4)
        await swarm.befriend(ann, cat)
        swarm.net.mesh()
        await until(lambda: cat.sandbox.blocks_run >= 10, 300)
        await swarm.crash(dan)
        status = await ended(ann, job)
        assert (status["settled"], status["cross_validated"]) == (12, True), status
        assert ben.sandbox.blocks_run <= run + 2, "only what the slow one held"

    for more in ("", "ring: public\n"):
        story(lambda swarm, more=more: main(swarm, more))  # type: ignore[misc]


def test_who_asks_while_the_second_life_still_reads_its_journal_is_not_sent_away_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, *rest = await strangers(swarm, "ann", "ben", "cat", "dan", behaviour=Behaviour(block_s=(1.0, 3.0)))
        job = await begun(ann, 60, PAID)
        await until(lambda: len(life(ann, job).ends._provisional) >= 12, 300)
        await swarm.crash(ann, KILLED)
        named = requester.named

        async def slowly(*given: Any) -> Any:
            await trio.sleep(20.0)  # what a real disk takes for a job with many files; workers come at once
            return await named(*given)

        monkeypatch.setattr(requester, "named", slowly)
        await swarm.start(ann)
        swarm.net.mesh()
        await until(lambda: bool(ann.node.requester._open), 60)
        assert not any(one.node.worker._owed.is_closed(ann.node.requester.find(job).id) for one in rest)
        assert (await ended(ann, job))["settled"] == 60

    story(main)


def test_claims_of_what_is_provisional_outlive_the_kill() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, *rest = await strangers(swarm, "ann", "ben", "cat", "dan", behaviour=Behaviour(block_s=(1.0, 3.0)))
        job = await begun(ann, 60, PAID)
        await until(lambda: len(life(ann, job).ends._provisional) >= 12, 300)
        await trio.sleep(0.2)
        first = life(ann, job)
        claims = {i: sorted((c.worker, c.cost) for c in held) for i, held in first.billing._pay._claims.items()}
        second = await reborn(swarm, ann, job)
        again = {i: sorted((c.worker, c.cost) for c in held) for i, held in second.billing._pay._claims.items()}
        assert again == claims != {}
        assert second.billing.withheld().keys() == first.billing.withheld().keys() == {member.id for member in rest}
        swarm.net.mesh()
        assert (await ended(ann, job))["settled"] == 60

    story(main)


def test_what_a_job_said_is_said_after_a_kill_too_and_once() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, *_ = await strangers(swarm, "ann", "ben", "cat", behaviour=SLOW)
        job = await begun(ann, 20, PAID)
        await trio.sleep(3)
        life(ann, job).board.said.append("The job's check: it fails.")
        await trio.sleep(3)
        second = await reborn(swarm, ann, job)
        assert second.board.said == ["The job's check: it fails."]

    story(main)


def test_a_second_result_is_found_out_after_a_kill_too() -> None:
    """The first one is in the dossier."""

    async def main(swarm: FakeSwarm) -> None:
        ann, ben, _ = await strangers(swarm, "ann", "ben", "cat", behaviour=SLOW)
        job = await begun(ann, 20, PAID)
        await until(lambda: ann.journal.scan("dossier"), 60)
        second = await reborn(swarm, ann, job)
        kept = next(one for one in dossier.returned(ann.journal, second.record.id) if one.opened().worker == ben.id)
        other = replace(kept.opened(), blocks=tuple(replace(line, commitment=Digest(bytes(32))) for line in kept.opened().blocks))
        sealed = codec.seal_result(other, ben.keys.node)
        second.proofs.look(ben.id, ben.owner, kept.opened(), kept.result)  # sent again: no harm
        with pytest.raises(Malformed, match="two results"):
            second.proofs.look(ben.id, ben.owner, other, sealed)
        assert [put.space for put in second.proofs.puts if isinstance(put, Put)] == ["equivocation", "verdict"]

    story(main)


def test_who_shows_nothing_is_found_out_by_a_node_that_never_lives_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(swarm: FakeSwarm) -> None:
        monkeypatch.setattr("ctorrent.node.evidence.EvidenceStore.leaf", lambda *_: Why.UNKNOWN)
        dan = (await quarrel(swarm))["dan"]
        await until(lambda: dan.journal.scan("witnessed"), 900)
        (vote,) = dan.node.witness._waiting.values()
        await swarm.crash(dan, KILLED)
        await swarm.start(dan)
        (again,) = dan.node.witness._waiting.values()
        pause_s = again.due - dan.node.world.clock.now()
        assert again.tries == vote.tries == 1 and 0 < pause_s <= WitnessRules().retry_s, "nor is it asked sooner"
        again.tries, again.due = WitnessRules().tries - 1, 0.0
        swarm.net.mesh()
        await until(lambda: dan.node.witness.found, 60)
        assert {found.standing for found in dan.node.witness.found.values()} == {Standing.WITHHELD}

    story(main, 11)


def test_a_leaf_that_counted_for_one_vote_counts_for_no_other_after_a_kill() -> None:
    async def main(swarm: FakeSwarm) -> None:
        dan = (await quarrel(swarm))["dan"]
        await until(lambda: dan.node.witness.found, 900)
        names, found = dict(dan.node.witness._names), dict(dan.node.witness.found)
        await swarm.crash(dan, KILLED)
        await swarm.start(dan)
        assert dan.node.witness._names == names != {} and dan.node.witness.found == found

    story(main, 11)
