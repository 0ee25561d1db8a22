"""Who floods the ledger: two hundred authors that never sum up their logs, against a budget of half a megabyte."""

from __future__ import annotations

from dataclasses import replace

import trio

from ctorrent.ledger.chain import NOTHING
from ctorrent.ledger.rules import RoomRules
from ctorrent.model.entry import Entry, EntryKind
from ctorrent.model.ids import Digest, NodeId, node_public
from ctorrent.seal import Sealed
from ctorrent.testing import simulate
from ctorrent.testing.fake_keys import keys
from ctorrent.testing.fake_swarm import Member, open_swarm
from ctorrent.wire import codec
from tests.node.test_reading import PUBLIC, log_of

ROOM = RoomRules(bytes_max=512 << 10, author_part=8, owner_part=4, author_bytes=0, trim_bytes=8 << 10)
NODES = 15  # of one owner, 40 entries each: half as much again as one owner may have
EACH = 12  # entries of each flooding author: all of them are half as much again as the budget


def held(of: Member, author: NodeId) -> int:
    """Entries of an author that are on the disk; the chain and the disk agree about them."""
    rows = of.journal.scan("entry", node_public(author))
    chained = sum(head.seq for head in of.node.scribe.book.chain.heads(author))
    assert chained == len(rows), f"{chained} entries are chained, {len(rows)} are on the disk"
    return len(rows)


def test_two_hundred_flooding_authors_leave_room_for_everybody_else() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, ben = await swarm.add("ann"), await swarm.add("ben")
            await swarm.befriend(ann, ben)
            await ann.node.people.befriend(keys("carl").owner_id, "carl")
            scribe, book = ann.node.scribe, ann.node.scribe.book
            book.shares.rules = ROOM
            scribe.trust.certified(keys("carl").node_id, keys("carl").owner_id)
            await scribe.open_log(scribe.rings[0])
            own = held(ann, ann.id)

            async def hear(name: str, count: int) -> None:
                entries = log_of(keys(name), count, ben.id)
                for at in range(0, count, 40):
                    await scribe.hear(keys(name).node_id, codec.encode_entries([one.sealed for one in entries[at : at + 40]]))

            await hear("carl", 50)
            await hear("honest early", 5)
            for n in range(200):
                await hear(f"flood {n}", EACH)
                assert book.shares.total <= ROOM.bytes_max, "the budget holds at every moment"
            await hear("honest late", 5)
            await hear("carl", 100)
            disk = sum(len(value) for _, value in ann.journal.scan("entry"))
            assert disk == book.shares.total <= ROOM.bytes_max
            assert held(ann, ann.id) == own, "own entries stay"
            assert held(ann, keys("carl").node_id) == 100, "a friend's stay, and go on"
            assert held(ann, keys("honest early").node_id) == held(ann, keys("honest late").node_id) == 5
            floods = [held(ann, keys(f"flood {n}").node_id) for n in range(200)]
            assert max(floods) < EACH and min(floods) > 0, "the flood shares what is left: nobody of it has all, or nothing"
            assert book.forks == []

            await swarm.crash(ann, survivors=1 << 20)
            await swarm.start(ann)
            assert [held(ann, keys(f"flood {n}").node_id) for n in range(200)] == floods, "a start finds what was left"
            ann.node.scribe.book.shares.rules = ROOM
            swarm.net.mesh()
            await trio.sleep(130)  # Ben, who has room, does not fill hers again
            assert ann.node.scribe.book.shares.total <= ROOM.bytes_max

    simulate.run(1, main)


def test_one_owner_with_many_nodes_has_one_owners_room() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann = await swarm.add("ann")
            scribe, book = ann.node.scribe, ann.node.scribe.book
            book.shares.rules = ROOM
            for n in range(NODES):
                node = keys(f"node {n}")
                scribe.trust.certified(node.node_id, keys("mallory").owner_id)
                entries = log_of(node, 40, ann.id)
                await scribe.hear(node.node_id, codec.encode_entries([one.sealed for one in entries]))
            taken = sum(len(value) for n in range(NODES) for _, value in ann.journal.scan("entry", node_public(keys(f"node {n}").node_id)))
            assert taken <= ROOM.bytes_max // ROOM.owner_part + 1000 and taken > ROOM.bytes_max // ROOM.owner_part // 2
            one = log_of(keys("another"), 5, ann.id)
            await scribe.hear(keys("another").node_id, codec.encode_entries([entry.sealed for entry in one]))
            assert held(ann, keys("another").node_id) == 5

    simulate.run(2, main)


def test_forks_without_end_take_a_bounded_room_and_crowd_out_nobody_known() -> None:
    """A log that forks ever earlier, an author that forks log after log, and a flood of keys that fork once each."""

    def entry(name: str, incarnation: int, seq: int, prev: Digest, body: bytes) -> Sealed:
        kind = EntryKind.INCARNATION if incarnation else EntryKind.TALLY
        return codec.seal_entry(Entry(keys(name).node_id, incarnation, seq, prev, kind, PUBLIC, body, 0), keys(name).node).sealed

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann = await swarm.add("ann")
            await ann.node.people.befriend(keys("carl").owner_id, "carl")
            scribe, book = ann.node.scribe, ann.node.scribe.book
            scribe.trust.certified(keys("carl").node_id, keys("carl").owner_id)
            book.shares.rules = replace(ROOM, proofs_bytes=16 << 10)

            async def hear(name: str, *entries: Sealed) -> int:
                await scribe.hear(keys(name).node_id, codec.encode_entries(list(entries)))
                return len(ann.journal.scan("fork", node_public(keys(name).node_id)))

            log = log_of(keys("eve"), 20, ann.id)
            await hear("eve", *[one.sealed for one in log])
            for seq in range(20, 1, -1):
                assert await hear("eve", entry("eve", 0, seq, log[seq - 2].id, b"else")) == 2, "the earliest says all"
            assert book.forks == [(keys("eve").node_id, 0, 2)]
            for incarnation in range(1, 20):
                some = await hear("eve", *[entry("eve", incarnation, 1, NOTHING, body) for body in (b"one", b"other")])
            assert some == 2 * ROOM.proven_logs
            for n in range(40):
                await hear(f"flood {n}", *[entry(f"flood {n}", 0, 1, NOTHING, body) for body in (b"one", b"other")])
            held = sum(len(value) for _, value in ann.journal.scan("fork"))
            assert 6 << 10 < held <= 8 << 10, "strangers have half of it"
            assert await hear("carl", *[entry("carl", 0, 1, NOTHING, body) for body in (b"one", b"other")]) == 2
            assert len(book.forks) == 20 + 40 + 1, "for as long as it runs it knows them all"

    simulate.run(1, main)
