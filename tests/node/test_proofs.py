"""Proofs among whole nodes: published once, checked by everybody, charged to their author where they do not hold."""

from __future__ import annotations

import trio

from ctorrent.canon import encode
from ctorrent.model.entry import Entry, EntryKind, Proof, ProofKind, SignedEntry
from ctorrent.model.evidence import AskLeaf, AskPair, Pair, Refused
from ctorrent.model.ids import Digest, Ring, RingKind, node_public
from ctorrent.model.result import Committed, Result
from ctorrent.node.proofs import NotaryRules
from ctorrent.node.session import introduce
from ctorrent.node.witness import WitnessRules
from ctorrent.ports import Channel, Put
from ctorrent.seal import Sealed
from ctorrent.testing import simulate
from ctorrent.testing.fake_swarm import FakeSwarm, Member, ended, open_swarm
from ctorrent.wire import codec, names
from tests.node.test_evidence import JOB, proofs, until

PUBLIC = Ring(RingKind.PUBLIC)
POINTS = 100


async def three(swarm: FakeSwarm) -> tuple[Member, Member, Member]:
    """Ann, her friend Ben, and Eve."""
    ann, ben, eve = [await swarm.add(name) for name in ("ann", "ben", "eve")]
    await swarm.befriend(ann, ben)
    swarm.net.mesh()
    await trio.sleep(5)
    return ann, ben, eve


def charged(swarm: FakeSwarm, by: Member, whom: Member) -> int:
    return sum(points for who, peer, points, _ in swarm.net.charges if (who, peer) == (by.id, whom.id))


def result(member: Member, assignment: Digest, first: bytes, lines: int = 1) -> Sealed:
    blocks = tuple(Committed(Digest(bytes([9]) * 28 + n.to_bytes(4, "big")), Digest(first * 32)) for n in range(lines))
    return codec.seal_result(Result(assignment, member.id, Digest(bytes(32)), blocks), member.keys.node)


def entry(member: Member, seq: int, prev: Digest, body: bytes, kind: int = 99, ring: Ring = PUBLIC) -> SignedEntry:
    return codec.seal_entry(Entry(member.id, 0, seq, prev, kind, ring, body, 1), member.keys.node)


async def spread(swarm: FakeSwarm, member: Member, signed: SignedEntry) -> None:
    await member.host.gossip.publish(names.ledger_topic(signed.entry.ring), codec.encode_entries([signed.sealed]))
    await trio.sleep(2)


def test_a_fork_is_published_once_and_convicts_where_it_was_never_seen() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, ben, eve = await three(swarm)
            nothing = Digest(bytes(32))
            for body in (b"one", b"other"):
                await spread(swarm, eve, entry(eve, 1, nothing, body))
            await until(lambda: proofs(ann))
            await trio.sleep(200)
            assert [(p.kind, p.accused) for p in proofs(ann)] == [(ProofKind.FORK, eve.id)]  # not one of each who saw it
            zoe = await swarm.add("zoe")
            swarm.net.mesh()
            await until(lambda: (eve.id, 0, 1) in zoe.node.scribe.book.forks)
            assert zoe.node.scribe.trust.held(eve.id) and ann.node.scribe.trust.held(eve.id)
            assert not ann.node.scribe.trust.held(ben.id)
            (line,) = (await eve.node.door.status())["against"]
            assert line.startswith("There is a proof in the ledger that this node signed two ledger entries for one place."), line

    simulate.run(3, main)


def test_two_results_convict_also_where_they_are_too_large_for_an_entry() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, ben, eve = await three(swarm)
            for lines, number in ((1, 1), (4096, 2)):
                assignment = Digest(bytes([number]) * 32)
                both = (result(eve, assignment, b"a", lines), result(eve, assignment, b"b", lines))
                ann.node.notary.found(PUBLIC, Proof(ProofKind.EQUIVOCATION, eve.id, both), now=True)
            await until(lambda: len(proofs(ben)) == 2)
            small, large = sorted(proofs(ben), key=lambda proof: not proof.both)
            assert small.both and not large.both and len(codec.encode_proof(large)) < 200
            await until(lambda: (large.kind.value, eve.id, bytes([2]) * 32) in ben.node.notary.held)
            told = (await ben.node.witness.ask(ann.id, [AskPair(large.leaf)]))[0]
            assert isinstance(told, Pair) and len(told.both[0].body) > codec.BOUNDS.entry_bytes
            assert ben.node.scribe.trust.held(eve.id)

    simulate.run(4, main)


def test_equivocation_found_in_a_job_is_published_in_its_ring_after_a_restart_too() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, ben, eve = await three(swarm)
            await ended(ann, await ann.node.door.submit(str(JOB), "python: mix.py:mix\nblocks: {count: 2}\n", {}))
            (job,) = ann.node.requester.records
            await swarm.crash(ann)
            for number, of in ((1, job), (2, bytes(32))):  # of its own job, and of one that is forgotten: nobody knows whose ring
                pair = [result(eve, Digest(bytes([number]) * 32), word) for word in (b"a", b"b")]
                rows = [[one.body, one.public, one.signature] for one in pair]
                await ann.journal.commit([Put("equivocation", node_public(eve.id) + bytes([number]) * 32, encode([*rows, bytes(of)]))])
            await swarm.start(ann)
            swarm.net.mesh()
            await until(lambda: proofs(ben))
            await trio.sleep(30)
            assert [codec.open_result(proof.both[0]).assignment for proof in proofs(ben)] == [bytes([1]) * 32]

    simulate.run(5, main)


def test_a_false_proof_is_charged_to_its_author_and_to_nobody_who_brings_it() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, ben, eve = await three(swarm)
            both = (result(ben, Digest(bytes(32)), b"a"), result(ben, Digest(bytes([1]) * 32), b"b"))
            body = codec.encode_proof(Proof(ProofKind.EQUIVOCATION, ben.id, both))
            signed = entry(eve, 1, Digest(bytes(32)), body, EntryKind.PROOF)
            message = codec.encode_entries([signed.sealed])
            assert ann.node.scribe.check(PUBLIC, ben.id, message)
            await ann.node.scribe.hear(ben.id, message)
            assert charged(swarm, ann, eve) >= POINTS and not charged(swarm, ann, ben)
            assert not ann.node.scribe.trust.held(ben.id)

    simulate.run(6, main)


def test_entries_do_not_leave_their_ring_inside_a_proof() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, _, eve = await three(swarm)
            secret = Ring(RingKind.FRIENDS, eve.owner)
            both = tuple(entry(eve, 1, Digest(bytes(32)), body, ring=secret).sealed for body in (b"one", b"other"))
            body = codec.encode_proof(Proof(ProofKind.FORK, eve.id, both))
            await ann.node.scribe.write(PUBLIC, EntryKind.PROOF, body)
            assert not ann.node.notary.held

    simulate.run(7, main)


def test_who_names_pairs_and_shows_none_keeps_nobody_waiting() -> None:
    """Its questions run into their limits one after the other, which is hours: neither this node's own proofs wait for that, nor others'."""

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, ben, eve = await three(swarm)
            silence = Silence(eve)
            for number in range(50):
                body = codec.encode_proof(Proof(ProofKind.EQUIVOCATION, ann.id, (), bytes([number]) * 32))
                await eve.node.scribe.write(PUBLIC, EntryKind.PROOF, body)
            await until(lambda: silence.asked, 60)
            assert len(ben.node.notary._wanted) == NotaryRules().wanted_share < 50
            began = trio.current_time()
            both = [(result(eve, Digest(bytes([number]) * 32), b"a", n), result(eve, Digest(bytes([number]) * 32), b"b", n)) for number, n in ((1, 1), (2, 4096))]
            ben.node.notary.found(PUBLIC, Proof(ProofKind.EQUIVOCATION, eve.id, both[0]), now=True)
            ann.node.notary.found(PUBLIC, Proof(ProofKind.EQUIVOCATION, eve.id, both[1]), now=True)
            await until(lambda: proofs(ben))
            await until(lambda: (ProofKind.EQUIVOCATION.value, eve.id, bytes([2]) * 32) in ben.node.notary.held)
            assert trio.current_time() - began < WitnessRules().answer_s
            await trio.sleep(300)
            assert silence.peak == 2, "one question of each asker at a time"

    simulate.run(9, main)


class Silence:
    """What a node does on the evidence protocol from now on: it introduces itself, hears questions, and answers none."""

    def __init__(self, member: Member) -> None:
        self.asked: list[float] = []
        self.open = self.peak = 0
        self._member = member
        member.host.streams.serve(names.EVIDENCE, self._hear)

    async def _hear(self, channel: Channel) -> None:
        await introduce(channel, self._member.node.people)
        self.asked.append(trio.current_time())
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            while True:
                await channel.receive()
        finally:
            self.open -= 1


def test_noise_and_floods_on_the_evidence_protocol_are_charged() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, _, eve = await three(swarm)

            async def talk(member: Member, frames: list[bytes]) -> int:
                """-> what Ann charged it for these."""
                before = charged(swarm, ann, member)
                channel = await member.host.streams.open(ann.id, names.EVIDENCE)
                await introduce(channel, member.node.people)
                for frame in frames:
                    await channel.send(frame)
                await trio.sleep(2)
                await channel.aclose()
                return charged(swarm, ann, member) - before

            for frame in (b"", b"\xff" * 40, encode([1, b"short", 0]), encode([1, bytes(32), -1]), bytes(5000), encode({"a": 1})):
                odd = await swarm.add(f"odd{len(frame)}")
                swarm.net.mesh()
                assert await talk(odd, [frame]) > 0, frame
            told = await eve.node.witness.ask(ann.id, [AskLeaf(bytes(32), 0)] * 80)
            assert sum(one.why.name == "BUSY" for one in told if isinstance(one, Refused)) >= 10
            assert await talk(eve, [encode([1, bytes(32), 0])] * 200) > 0

    simulate.run(8, main)
