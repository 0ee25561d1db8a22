"""Disks that lose, copy and restore: an honest node votes again from whatever its journal holds, and never forks.

Whole nodes on fake ports. A journal cut at any byte is one of the states it had between two commits (tests/store
proves that of the real file), so here every such state is started from.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import deepcopy
from itertools import count
from pathlib import Path

import trio

from ctorrent.canon import decode
from ctorrent.ledger.chain import NOTHING
from ctorrent.ledger.tally import Observation
from ctorrent.model.entry import Entry, EntryKind, SignedEntry
from ctorrent.model.ids import Digest, JobId, Ring, RingKind, node_id
from ctorrent.model.result import Verdict
from ctorrent.node.records import entry_key
from ctorrent.ports import Write
from ctorrent.seal import Signer
from ctorrent.testing import simulate
from ctorrent.testing.fake_journal import FakeJournal, Records
from ctorrent.testing.fake_swarm import FakeSwarm, Member, ended, open_swarm
from ctorrent.wire import codec, names

JOB = Path(__file__).parents[1] / "sim" / "jobs" / "mix.yaml"


async def friends(swarm: FakeSwarm, *others: str) -> tuple[Member, list[Member]]:
    ann = await swarm.add("ann")
    rest = [await swarm.add(name) for name in others]
    for one in rest:
        await swarm.befriend(ann, one)
    swarm.net.mesh()
    await trio.sleep(1)
    return ann, rest


async def vote(ann: Member) -> None:
    """A job of two owners, so that there is something to vote on."""
    job = await ann.node.door.submit(str(JOB), "python: mix.py:mix\nblocks: {count: 4}\n", {})
    status = await ended(ann, job)
    assert status["state"] == "settled" and status["cross_validated"], status


async def again(swarm: FakeSwarm, ann: Member, records: Records) -> None:
    """Ann's node starts with what a disk holds and votes at once, before it meets anybody who knows better."""
    await swarm.crash(ann)
    ann.journal._synced, ann.journal._live = dict(records), dict(records)
    await swarm.start(ann)
    job = JobId(ann.clock.random_bytes(32))
    scribe, ring = ann.node.scribe, Ring(RingKind.FRIENDS, ann.owner)
    scribe.open_job(job, Digest(bytes(job)), ring)
    some = Digest(bytes(32))
    scribe.record(Observation(job, ann.id, some, some, some, Verdict.AGREED), ann.owner, "x")
    assert await scribe.close_job(job) == 1
    swarm.net.mesh()
    await trio.sleep(130)  # a meeting of every pair is due


def entries(of: Member, author: Member) -> int:
    return sum(head.seq for head in of.node.scribe.book.chain.heads(author.id))


def no_forks(*members: Member) -> None:
    for member in members:
        assert member.node.scribe.book.forks == [], f"{member.name} saw a fork"


def states(journal: FakeJournal) -> list[Records]:
    """Filled with every state of the disk around a commit that holds ledger entries."""
    found: list[Records] = []
    commit = journal.commit

    async def noted(writes: list[Write], durable: bool = True) -> None:
        about = any(write.space in ("entry", "fork") for write in writes)
        if about:
            found.append(dict(journal._live))
        await commit(writes, durable)
        if about:
            found.append(dict(journal._live))

    journal.commit = noted  # type: ignore[method-assign,assignment]
    return found


def test_a_journal_cut_anywhere_never_forks_its_author() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, (ben, cat) = await friends(swarm, "ben", "cat")
            cuts = states(ann.journal)
            for _ in range(3):
                await vote(ann)
            kept = deepcopy(cuts)
            assert len(kept) >= 6
            for records in kept:
                known = entries(ben, ann)
                await again(swarm, ann, records)
                await vote(ann)
                await trio.sleep(130)
                assert entries(ben, ann) > known, "the new votes arrived"
                no_forks(ann, ben, cat)
                assert entries(ann, ann) == entries(ben, ann) == entries(cat, ann), "it learned its lost entries from others"

    simulate.run(3, main)


def test_a_copied_folder_and_a_restored_backup_never_fork() -> None:
    """Two copies of one folder run in turns, each voting; then the oldest copy is restored."""

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, (ben,) = await friends(swarm, "ben")
            await vote(ann)
            backup = dict(ann.journal._live)
            first, second = dict(backup), dict(backup)
            for _ in range(3):
                await again(swarm, ann, first)
                await vote(ann)
                first = dict(ann.journal._live)
                await again(swarm, ann, second)
                await vote(ann)
                second = dict(ann.journal._live)
            await again(swarm, ann, backup)
            await vote(ann)
            await trio.sleep(130)
            no_forks(ann, ben)
            assert entries(ann, ann) == entries(ben, ann) >= 8
            found = await ben.node.door.ledger_verify()
            assert found["bad"] == [] and found["forks"] == []

    simulate.run(4, main)


def test_an_entry_of_a_future_kind_is_stored_relayed_and_weighs_nothing() -> None:
    """Cat hears it by gossip, from its author; dan only in a meeting with cat, after the author is gone."""

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, (cat,) = await friends(swarm, "cat")
            ring = Ring(RingKind.PUBLIC)
            body = b"what a later version says"
            entry = Entry(ann.id, 0, 1, NOTHING, 99, ring, body, ann.clock.unix())
            sealed = codec.seal_entry(entry, ann.keys.node).sealed
            await ann.host.gossip.publish(names.ledger_topic(ring), codec.encode_entries([sealed]))
            await trio.sleep(5)
            await swarm.crash(ann)
            dan = await swarm.add("dan")
            swarm.net.mesh()
            await trio.sleep(130)
            for one in (cat, dan):
                rows = await one.node.door.ledger()
                assert [(row["kind"], row["author"], row["body"]) for row in rows] == [("kind 99", ann.id, {"bytes": len(body)})]
                assert (await one.node.door.ledger_verify())["bad"] == []
                assert not one.node.scribe.snapshot()
            await swarm.crash(dan, survivors=1000)
            await swarm.start(dan)
            (row,) = await dan.node.door.ledger()
            assert row["kind"] == "kind 99", "it outlives a restart"
            held = [decode(value)[0] for _, value in dan.journal.scan("entry")]
            assert held == [sealed.body], "kept as it travelled"

    simulate.run(5, main)


async def cancelled_after(turns: int, task: Callable[[], Awaitable[object]]) -> bool:
    """Run a task and cancel it after so many turns of the scheduler. -> was it still running?"""
    ended = trio.Event()

    async def run() -> None:
        await task()
        ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        for _ in range(turns):
            await trio.lowlevel.checkpoint()
        late = ended.is_set()
        nursery.cancel_scope.cancel()
    return not late


def test_a_peer_that_hangs_up_leaves_no_entry_chained_and_not_stored() -> None:
    """At whatever moment: what the chain holds is never asked for again."""

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann = await swarm.add("ann")
            book = ann.node.scribe.book
            for turns in count():
                forks, other = Signer((2 * turns + 1).to_bytes(32, "big")), Signer((2 * turns + 2).to_bytes(32, "big"))
                first, second, rival = signed(forks, 1), signed(forks, 2), signed(forks, 2, b"other")
                came = [first, second, rival, signed(other, 1)]

                async def take(came: list[SignedEntry] = came) -> None:
                    await book.take([effect for one in came for effect in book.chain.add(one)])

                running = await cancelled_after(turns, take)
                assert [len(ann.journal.scan("entry", key.public)) for key in (forks, other)] == [2, 1], turns
                assert len(ann.journal.scan("fork", forks.public)) == 2, turns
                if not running:
                    break
            assert turns > 2

    simulate.run(6, main)


def signed(keys: Signer, seq: int, body: bytes = b"") -> SignedEntry:
    """An entry of a log whose first one has an empty body."""
    prev = NOTHING if seq == 1 else Digest(signed(keys, seq - 1).id)
    return codec.seal_entry(Entry(node_id(keys.public), 0, seq, prev, 99, Ring(RingKind.PUBLIC), body, 1), keys)


def test_an_own_entry_whose_task_is_cancelled_is_no_hole_in_the_log() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann = await swarm.add("ann")
            scribe = ann.node.scribe

            async def write() -> None:
                await scribe.write(Ring(RingKind.PUBLIC), EntryKind.TALLY, b"says nothing")

            for turns in count():
                running = await cancelled_after(turns, write)
                (head,) = scribe.book.chain.heads(ann.id)
                gone = [seq for seq in range(1, head.seq + 1) if ann.journal.get("entry", entry_key(ann.id, head.incarnation, seq)) is None]
                assert not gone, (turns, gone)
                if not running:
                    break
            assert turns > 1

    simulate.run(6, main)
