"""A negative vote's life: what it stands on is kept, asked for, run again; the accused sees it; nothing is voted without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from ctorrent.ledger.evidence import Proven, Vote, check
from ctorrent.ledger.tally import DueTally, Observation, evidence_leaf
from ctorrent.model.entry import EntryKind, Proof, ProofKind, SignedEntry
from ctorrent.model.evidence import AskCase, AskLeaf, Case, Evidence, Refused, Why
from ctorrent.node import records
from ctorrent.node.evidence import EvidenceRules, EvidenceStore
from ctorrent.node.exhibits import open_case, open_evidence
from ctorrent.node.jobbook import load_blocks
from ctorrent.node.witness import Standing, WitnessRules
from ctorrent.ports import Delete
from ctorrent.testing import simulate
from ctorrent.testing.fake_sandbox import FakeSandbox, mix
from ctorrent.testing.fake_swarm import FakeSwarm, Member, ended, open_swarm
from ctorrent.wire import codec

JOB = Path(__file__).parents[1] / "sim" / "jobs" / "mix.yaml"
TEXT = "python: mix.py:mix\nblocks: {count: 60}\n"


def entries(member: Member, kind: EntryKind) -> list[SignedEntry]:
    found = [codec.open_entry(records.unpack_sealed(records.load(v))) for _, v in member.journal.scan("entry")]
    return [signed for signed in found if signed.entry.kind == kind]


def votes(member: Member) -> list[Vote]:
    """Negative ones in its book."""
    found = [Vote(s.entry.author, s.entry.ring, codec.decode_tally(s.entry.body)) for s in entries(member, EntryKind.TALLY)]
    return [vote for vote in found if vote.negatives]


def proofs(member: Member) -> list[Proof]:
    return [codec.decode_proof(signed.entry.body) for signed in entries(member, EntryKind.PROOF)]


async def quarrel(swarm: FakeSwarm, program: Callable[..., Any] = mix, also: str = "") -> dict[str, Member]:
    """Ann asks, and after her whoever is named; Ben and Cat are honest, Eve lies about a third of her blocks, and Dan is Ann's friend."""

    async def add(name: str, **settings: Any) -> Member:
        sandbox = FakeSandbox(swarm.simulation.dice(f"{name} sandbox"), programs={"mix.py:mix": program})
        return await swarm.add(name, sandbox=sandbox, **settings)

    members = {name: await add(name, slots=2, testing_lie=0.3 if name == "eve" else 0.0) for name in ("ben", "cat", "eve")}
    members["ann"] = await add("ann", slots=1)
    members["dan"] = await add("dan", slots=1)
    askers = ["ann", also] if also else ["ann"]
    for asker in askers:
        for one in members.values():
            if one is not members[asker]:
                await swarm.befriend(members[asker], one)
    swarm.net.mesh()
    for asker in askers:
        await trio.sleep(1)
        job = await members[asker].node.door.submit(str(JOB), TEXT, {})
        assert (await ended(members[asker], job))["state"] == "settled"
    return members


async def until(condition: object, limit_s: float = 1200.0) -> None:
    with trio.fail_after(limit_s):
        while not condition():  # type: ignore[operator]  # noqa: ASYNC110  what is looked at has no event
            await trio.sleep(5)


def test_a_vote_is_opened_by_its_reader_run_again_and_answered_by_the_accused() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            who = await quarrel(swarm)
            ann, dan, eve = who["ann"], who["dan"], who["eve"]
            cast = [vote for vote in votes(ann) if vote.tally.worker == eve.id]
            assert cast and all(vote.author == ann.id for vote in votes(ann))
            for vote in cast:
                for place in range(vote.negatives):
                    leaf, case = ann.node.evidence.leaf(vote.tally.evidence_root, place), ann.node.evidence.case(vote.tally.job_tag)
                    assert isinstance(leaf, Evidence) and isinstance(case, Case)
                    proven = check(vote, place, open_evidence(leaf), open_case(case))
                    assert isinstance(proven, Proven) and proven.worker == eve.id and proven.content is not None
            await until(lambda: any(f.standing is Standing.RIGHT for f in dan.node.witness.found.values()))
            assert not proofs(who["ben"])  # one requester's blocks convict nobody: its program may know the machines
            await until(lambda: eve.node.defence.rows() and eve.node.defence.rows()[0]["answered"])
            row = eve.node.defence.rows()[0]
            assert row["author"] == ann.id and row["disputed"] >= 1 and row["others"], row
            (shown,) = await eve.node.door.reputation(eve.id)
            assert shown["against"] == eve.node.defence.rows()
            assert (await dan.node.door.reputation(eve.id))[0]["against"] == []
            held = (await ann.node.door.reputation(eve.id))[0]["held"]
            (line,) = (await eve.node.door.status())["against"]
            assert line.startswith("ann (") and "refuses your nodes' bids, by its own ledger: " in line, line
            for words in (held.split(" blocks checked")[0], held.split("on trial ")[1].split(" more")[0]):
                assert words in line, f"she reckons as Ann does: {held}; {line}"
            assert (await who["ben"].node.door.status())["against"] == []

    simulate.run(11, main)


def test_blocks_of_two_requesters_that_a_reader_ran_again_are_told_to_all() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            who = await quarrel(swarm, also="cat")
            eve = who["eve"]
            assert {vote.author for vote in votes(who["ann"])} | {vote.author for vote in votes(who["cat"])} == {who["ann"].id, who["cat"].id}
            await until(lambda: any(p.kind is ProofKind.RERUN for p in proofs(who["ben"])), 3600)
            assert {p.accused for p in proofs(who["ben"])} == {eve.id}
            assert who["dan"].node.scribe.trust.held(eve.id)  # it ran the blocks itself; to others that is its word

    simulate.run(11, main)


def test_a_coordinator_whose_votes_are_false_is_believed_no_longer() -> None:
    """On Dan's machine the code that Ann signed gives what Eve answered: she and those who answered her ran something else."""

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            who = await quarrel(swarm)
            dan, ann = who["dan"], who["ann"]
            dan.sandbox.programs = {"mix.py:mix": lambda params, seed: mix(params, seed) + 1}
            await until(lambda: any(f.standing is Standing.FALSE for f in dan.node.witness.found.values()))
            await until(lambda: any(p.kind is ProofKind.RERUN and p.accused == ann.id for p in proofs(who["ben"])))
            dan.node.scribe.trust.look()
            assert dan.node.scribe.trust.reputation.signer(ann.id) == 0.0
            assert not dan.node.scribe.trust.held(who["eve"].id)

    simulate.run(11, main)


def halves(params: dict[str, Any], seed: int) -> float:
    return mix(params, seed) / 2


def test_where_a_job_rounds_the_outputs_themselves_are_compared() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            who = await quarrel(swarm, halves)
            dan = who["dan"]
            vote = next(vote for vote in votes(who["ann"]) if vote.tally.worker == who["eve"].id)
            leaf = who["ann"].node.evidence.leaf(vote.tally.evidence_root, 0)
            assert isinstance(leaf, Evidence) and leaf.accused.data and all(one.data for one in leaf.winners)
            await until(lambda: any(f.standing is Standing.RIGHT for f in dan.node.witness.found.values()))

    simulate.run(11, main)


def test_evidence_is_shown_to_the_ring_and_to_the_accused_only() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            who = await quarrel(swarm)
            ann, eve = who["ann"], who["eve"]
            zoe = await swarm.add("zoe")
            swarm.net.mesh()
            vote = next(vote for vote in votes(ann) if vote.tally.worker == eve.id)
            asks = [AskLeaf(vote.tally.evidence_root, 0), AskCase(vote.tally.job_tag), AskLeaf(bytes(32), 0)]
            told = await zoe.node.witness.ask(ann.id, asks)
            assert [one.why for one in told if isinstance(one, Refused)] == [Why.RING, Why.RING, Why.UNKNOWN]
            await ann.node.people.unfriend(eve.owner)
            told = await eve.node.witness.ask(ann.id, asks)
            assert isinstance(told[0], Evidence) and isinstance(told[1], Refused)

    simulate.run(12, main)


def test_a_coordinator_that_kept_nothing_votes_against_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: what workers signed is lost before the vote is cast."""

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            monkeypatch.setattr("ctorrent.node.dossier.by_assignment", lambda *_: None)
            who = await quarrel(swarm)
            await trio.sleep(60)
            assert not votes(who["ann"])
            counted = [codec.decode_tally(signed.entry.body) for signed in entries(who["ann"], EntryKind.TALLY)]
            assert any(tally.worker == who["eve"].id and tally.agreed for tally in counted)

    simulate.run(11, main)


def test_a_vote_whose_evidence_is_withheld_stays_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            monkeypatch.setattr("ctorrent.node.evidence.EvidenceStore.leaf", lambda *_: Why.UNKNOWN)
            who = await quarrel(swarm)
            dan = who["dan"]
            dan.node.witness._rules = WitnessRules(retry_s=5.0)
            await until(lambda: dan.node.witness.found)
            assert {found.standing for found in dan.node.witness.found.values()} == {Standing.WITHHELD}

    simulate.run(11, main)


def test_evidence_outlives_a_crash_and_is_forgotten_with_age() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            who = await quarrel(swarm)
            ann = who["ann"]
            vote = votes(ann)[0]
            await swarm.crash(ann)
            await swarm.start(ann)
            store = ann.node.evidence
            assert isinstance(store.leaf(vote.tally.evidence_root, 0), Evidence)
            assert await store.tidy() == 0
            await trio.sleep(2)
            short = EvidenceStore(ann.node.world, ann.node.requester.records.get, EvidenceRules(keep_days=0))
            assert await short.tidy() == 1 and store.leaf(vote.tally.evidence_root, 0) is Why.UNKNOWN
            assert not ann.journal.scan("evidence")

    simulate.run(11, main)


def test_a_leaf_whose_parts_went_with_their_job_is_not_known() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann = (await quarrel(swarm))["ann"]
            root = votes(ann)[0].tally.evidence_root
            assert isinstance(ann.node.evidence.leaf(root, 0), Evidence)
            await ann.journal.commit([Delete("evidence", key) for key, _ in ann.journal.scan("evidence", b"p")])
            assert ann.node.evidence.leaf(root, 0) is Why.UNKNOWN

    simulate.run(13, main)


def test_what_a_job_has_no_room_for_is_not_voted() -> None:
    """A flood of lies in one job must not push out what other votes stand on."""

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann = (await quarrel(swarm))["ann"]
            (job,), vote, room = ann.node.requester.records, votes(ann)[0], 20_000
            record = ann.node.requester.records[job]
            load_blocks(ann.journal, record)  # as while the job is open
            record.digests = record.digests_of(record.blocks)
            shown = [ann.node.evidence.leaf(vote.tally.evidence_root, place) for place in range(vote.negatives)]
            seen = [Observation(job, vote.tally.worker, e.block, e.assignment, e.commitment, e.verdict) for e in shown if isinstance(e, Evidence)] * 40
            due = DueTally(job, vote.ring, replace(vote.tally, agreed=0, disputed=len(seen)), tuple(map(evidence_leaf, seen)), tuple(seen))
            rules = EvidenceRules(job_bytes_max=ann.node.evidence._held[job] + room)
            small = EvidenceStore(ann.node.world, ann.node.requester.records.get, rules)
            backed = [await small.back(due) for _ in range(2)]  # two votes of one commit: neither is in the journal yet
            sizes = [sum(len(put.value) for put in one.writes if put.key[:1] in b"lpc") for one in backed]
            first = backed[0].vote
            assert room // 2 < sum(sizes) <= room and first is not None and 0 < first.tally.disputed < len(seen)
            assert len(seen) - first.tally.disputed == backed[0].dropped < backed[1].dropped
            await ann.journal.commit([put for one in backed for put in one.writes])
            for place in range(first.tally.disputed):
                assert isinstance(small.leaf(first.tally.evidence_root, place), Evidence)
            assert small.leaf(first.tally.evidence_root, first.tally.disputed) is Why.UNKNOWN
            again = EvidenceStore(ann.node.world, ann.node.requester.records.get, rules)
            assert again._held == small._held

    simulate.run(11, main)
