"""Nodes that sum up their logs: everybody forgets the same, newcomers learn the sums, a lie is kept and told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import trio

from ctorrent.ledger.checkpoint import Totals, parts_of
from ctorrent.ledger.rules import CheckpointRules
from ctorrent.ledger.summary import ROOT
from ctorrent.model.entry import EntryKind, Head, Tally
from ctorrent.model.ids import Digest, Ring, RingKind, node_id, node_public
from ctorrent.node import records, summing
from ctorrent.ports import Delete, Journal, Put
from ctorrent.testing import simulate
from ctorrent.testing.fake_swarm import FakeSwarm, Member, open_swarm
from ctorrent.wire import codec
from tests.node.test_ledger_disk import entries, friends, no_forks

PUBLIC = Ring(RingKind.PUBLIC)
OFTEN = CheckpointRules(entries=20, logs=4)
MEETING_S = 130  # a meeting of every pair is due


async def votes(of: Member, about: Member, count: int, ring: Ring = PUBLIC) -> None:
    """`count` tallies of ten right blocks each."""
    for _ in range(count):
        tally = Tally(Digest(of.clock.random_bytes(32)), about.id, about.owner, 10, 0, 0, "x", bytes(32))
        await of.node.scribe.write(ring, EntryKind.TALLY, codec.encode_tally(tally))
        await trio.sleep(0.2)
    await trio.sleep(3)  # the scribe looks every second


def often(*members: Member) -> None:
    for member in members:
        member.node.scribe.book.rules = OFTEN


def rows(of: Member, author: Member) -> int:
    """Entries of an author in a node's journal."""
    return len(of.journal.scan("entry", node_public(author.id)))


def alike(*members: Member) -> bool:
    return len({m.node.scribe.book.chain.summary(PUBLIC).slice(ROOT) for m in members}) == 1


def agreed(of: Member, author: Member, worker: Member) -> int:
    """Right blocks that an author told a node of, by all its testimony about a worker."""
    said = of.node.scribe.trust.reputation.why(worker.id)
    return sum(line.counts.agreed for line in said if line.author == author.id)


def test_a_log_is_summed_up_and_everybody_forgets_the_same() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, (ben, cat) = await friends(swarm, "ben", "cat")
        often(ann, ben, cat)
        await votes(ann, ben, 70)
        floor = ann.node.scribe.book.chain.floor(ann.id, PUBLIC)
        assert floor is not None and floor.seq > 20
        for one in (ann, ben, cat):
            assert rows(one, ann) < 50, "two spans at most, where seventy were written"
            assert one.node.scribe.book.chain.floor(ann.id, PUBLIC) == floor
        assert alike(ann, ben, cat)
        no_forks(ann, ben, cat)
        assert ann.node.scribe.book.written() >= 70

        dan = await swarm.add("dan")
        await swarm.befriend(ann, dan)
        swarm.net.mesh()
        await trio.sleep(MEETING_S)
        assert alike(ann, ben, cat, dan) and rows(dan, ann) == rows(ann, ann)
        assert agreed(dan, ann, ben) == 700, "sums stand for what it never saw"
        assert agreed(cat, ann, ben) == 700

    run(main)


def test_after_a_restart_the_sums_speak_for_what_was_deleted() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, (ben, cat) = await friends(swarm, "ben", "cat")
        often(ann, ben, cat)
        await votes(ann, ben, 50)
        before = ann.node.scribe.book.written()
        for _ in range(9):  # a log each: the first ones go, too
            await swarm.crash(ann, survivors=1 << 20)
            await swarm.start(ann)
            often(ann)
            swarm.net.mesh()
            await votes(ann, ben, 2)
        assert ann.node.scribe.book.written() >= before + 18
        assert len(ann.node.scribe.book.chain.incarnations(ann.id)) < 9
        await trio.sleep(MEETING_S)
        assert alike(ann, ben, cat)
        no_forks(ann, ben, cat)
        await swarm.crash(cat, survivors=1 << 20)
        await swarm.start(cat)
        assert agreed(cat, ann, ben) == 680
        assert agreed(ann, ann, ben) == 680, "its own votes are not lost either"

    run(main)


def test_a_checkpoint_that_lies_is_kept_and_told_and_cuts_nothing() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, (ben,) = await friends(swarm, "ben")
        await votes(ann, ben, 12)
        scribe = ann.node.scribe
        (head,) = scribe.book.chain.heads(ann.id)
        totals = Totals()
        totals.add_tally(Tally(Digest(bytes(32)), ben.id, ben.owner, 9000, 0, 0, "x", bytes(32)))
        for part in parts_of(head, totals, OFTEN):
            await scribe.write(PUBLIC, EntryKind.CHECKPOINT, codec.encode_checkpoint(part))
        await trio.sleep(5)
        ((author, _, seq),) = ben.node.scribe.book.lies
        assert (author, seq) == (ann.id, head.seq)
        assert "9000 agreed" in ben.node.scribe.book.lies[author, head.incarnation, seq]
        report = await ben.node.door.ledger_verify()
        assert report["lies"] and not report["bad"]
        kept = rows(ben, ann)
        often(ann)
        await votes(ann, ben, 30)
        assert rows(ben, ann) >= kept, "what shows the lie stays"
        await swarm.crash(ben, survivors=1 << 20)
        await swarm.start(ben)
        assert ben.node.scribe.book.lies, "after a restart, too"

    run(main)


def test_a_checkpoint_of_many_workers_takes_several_entries() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, (ben,) = await friends(swarm, "ben")
        few = replace(OFTEN, sums_a_part=3)
        for one in (ann, ben):
            one.node.scribe.book.rules = few
        for number in range(50):
            worker = node_id(number.to_bytes(32, "big"))
            tally = Tally(Digest(bytes(32)), worker, ben.owner, 1, 0, 0, "x", bytes(32))
            await ann.node.scribe.write(PUBLIC, EntryKind.TALLY, codec.encode_tally(tally))
            await trio.sleep(1.5)
        await trio.sleep(5)
        assert not ben.node.scribe.book.lies
        assert rows(ben, ann) == rows(ann, ann) and ann.node.scribe.book.chain.floor(ann.id, PUBLIC) is not None
        assert entries(ben, ann) == entries(ann, ann)

    run(main)


def test_a_log_with_a_hole_is_read_again_only_when_it_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, (ben,) = await friends(swarm, "ben")
        often(ann)
        await votes(ann, ben, 10)
        (head,) = ann.node.scribe.book.chain.heads(ann.id)
        hole = records.entry_key(ann.id, head.incarnation, 5)
        gone = ann.journal.get("entry", hole)
        assert gone is not None
        await ann.journal.commit([Delete("entry", hole)])
        tried, history = list[int](), summing.history

        async def counted(journal: Journal, head: Head) -> summing.History:
            tried.append(head.seq)
            return await history(journal, head)

        monkeypatch.setattr(summing, "history", counted)
        await votes(ann, ben, 15)
        await trio.sleep(20)
        assert len(tried) == len(set(tried)) > 1, "once for each head"
        await ann.journal.commit([Put("entry", hole, gone)])
        await votes(ann, ben, 1)
        assert ann.node.scribe.book.chain.unsummed(ann.id, PUBLIC)[0] < 10

    run(main)


def run(main: Callable[[FakeSwarm], Awaitable[None]]) -> None:
    async def simulated(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            await main(swarm)

    simulate.run(7, simulated)
