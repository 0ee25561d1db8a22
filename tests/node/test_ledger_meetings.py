"""Meetings with much to say: both ways at once, more than a channel holds; and one after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from ctorrent.canon import encode
from ctorrent.ledger.chain import NOTHING
from ctorrent.ledger.summary import ROOT
from ctorrent.model.entry import Entry, SignedEntry
from ctorrent.model.ids import Digest, Ring, RingKind, node_id
from ctorrent.node import records
from ctorrent.ports import Put
from ctorrent.seal import Signer
from ctorrent.testing import simulate
from ctorrent.testing.fake_swarm import FakeSwarm, Member, open_swarm
from ctorrent.wire import codec
from ctorrent.wire.names import CREDIT_BYTES

PUBLIC = Ring(RingKind.PUBLIC)
LARGE = b"x" * 15_000  # of a kind that nobody knows


def log(number: int, count: int) -> list[SignedEntry]:
    """An unknown author's log of large entries."""
    keys = Signer(number.to_bytes(32, "big"))
    prev, entries = NOTHING, []
    for seq in range(1, count + 1):
        entries.append(codec.seal_entry(Entry(node_id(keys.public), 0, seq, prev, 99, PUBLIC, LARGE, 0), keys))
        prev = Digest(entries[-1].id)
    return entries


async def stock(member: Member, logs: list[list[SignedEntry]]) -> None:
    """Put logs where a node finds them at its start."""
    for entries in logs:
        puts = [Put("entry", records.entry_key(s.entry.author, 0, s.entry.seq), encode(records.pack_sealed(s.sealed))) for s in entries]
        await member.journal.commit(puts)


def test_two_that_lack_more_than_the_channel_holds_both_get_it() -> None:
    """Each side gives twice what the other's credit allows, of so many logs that questions, gifts and answers overlap."""

    async def main(swarm: FakeSwarm) -> None:
        ann, ben = await swarm.add("ann"), await swarm.add("ben")
        count = CREDIT_BYTES // len(LARGE)
        await stock(ann, [log(number, 2) for number in range(count)])
        await stock(ben, [log(number + 10_000, 2) for number in range(count)])
        for one in (ann, ben):
            await swarm.crash(one)
            await swarm.start(one)
        swarm.net.mesh()
        with trio.fail_after(100):  # one meeting; the next would come after two minutes
            while any(len(one.journal.scan("entry")) < 4 * count for one in (ann, ben)):  # noqa: ASYNC110
                await trio.sleep(1)
        assert alike(ann, ben)

    run(main)


def test_a_newcomer_that_many_meet_at_once_is_not_given_everything_by_each() -> None:
    async def main(swarm: FakeSwarm) -> None:
        logs = [log(number, 100) for number in range(1, 9)]
        others = [await swarm.add(f"node{number}") for number in range(6)]
        for one in others:
            await stock(one, logs)
            await swarm.crash(one)
            await swarm.start(one)
        late = await swarm.add("late")
        swarm.net.mesh()
        await trio.sleep(200)
        assert len(late.journal.scan("entry")) == 8 * 100
        assert not any(one.host.directory._points for one in (*others, late)), "everybody was honest"
        assert alike(late, *others)

    run(main)


def test_a_peer_that_holds_what_is_missing_is_met_though_it_was_met_just_now() -> None:
    """Not when the next meeting is due, after two minutes."""

    async def main(swarm: FakeSwarm) -> None:
        ann, ben = await swarm.add("ann"), await swarm.add("ben")
        swarm.net.mesh()
        meetings = ann.node.meetings
        await trio.sleep(5)
        meetings._tried[ben.id] = begun = ann.node.world.clock.now()
        ann.node.scribe.book.missing(ben.id)
        await trio.sleep(5)
        assert meetings._tried[ben.id] > begun and not meetings._meet
        meetings._opened.add(ben.id)  # as while a meeting goes on, which may be past what is missing
        ann.node.scribe.book.missing(ben.id)
        await trio.sleep(5)
        begun = meetings._tried[ben.id]
        meetings._opened.discard(ben.id)
        await trio.sleep(5)
        assert meetings._tried[ben.id] > begun and not meetings._meet

    run(main)


def alike(*members: Member) -> bool:
    return len({m.node.scribe.book.chain.summary(PUBLIC).slice(ROOT) for m in members}) == 1


def run(main: Callable[[FakeSwarm], Awaitable[None]]) -> None:
    async def simulated(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            await main(swarm)

    simulate.run(5, simulated)
