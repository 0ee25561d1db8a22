"""A start with a large ledger: the node serves at once, its own logs first, and takes no stored entry for news."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio

from ctorrent.canon import encode
from ctorrent.errors import JournalError
from ctorrent.ledger.chain import NOTHING
from ctorrent.ledger.summary import ROOT
from ctorrent.model.entry import Entry, EntryKind, SignedEntry, Tally
from ctorrent.model.ids import Digest, NodeId, Ring, RingKind
from ctorrent.node import reading, records
from ctorrent.ports import Put
from ctorrent.store.journal import open_journal
from ctorrent.testing import simulate
from ctorrent.testing.fake_keys import FakeKeys, keys
from ctorrent.testing.fake_swarm import FakeSwarm, Member, open_swarm
from ctorrent.wire import codec

PUBLIC = Ring(RingKind.PUBLIC)


def log_of(writer: FakeKeys, count: int, worker: NodeId, agreed: int = 1) -> list[SignedEntry]:
    """Signed tallies in one log."""
    made: list[SignedEntry] = []
    prev = NOTHING
    for seq in range(1, count + 1):
        tally = Tally(Digest(bytes(32)), worker, keys("somebody").owner_id, agreed, 0, 0, "x", bytes(32))
        entry = Entry(writer.node_id, 0, seq, prev, EntryKind.TALLY, PUBLIC, codec.encode_tally(tally), 0)
        made.append(codec.seal_entry(entry, writer.node))
        prev = made[-1].id
    return made


async def hold(member: Member, entries: list[SignedEntry]) -> None:
    """On its disk, while it does not run."""
    member.journal.reopen()
    puts = [Put("entry", records.entry_key(e.author, e.incarnation, e.seq), encode(records.pack_sealed(one.sealed))) for one in entries for e in [one.entry]]
    await member.journal.commit(puts)


async def stopped(swarm: FakeSwarm, name: str) -> Member:
    member = await swarm.add(name)
    await member.node.scribe.open_log(PUBLIC)
    await swarm.crash(member, survivors=1 << 20)
    return member


def test_a_large_ledger_is_read_beside_the_nodes_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SLICE", 8)

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, ben = await stopped(swarm, "ann"), await swarm.add("ben")
            dave = keys("dave")
            log = log_of(dave, reading.AT_ONCE + 100, ben.id)
            await hold(ann, log[:-1])
            looks: list[tuple[float, int, int]] = []
            read_on = reading.Reading.go_on

            async def watched(self: reading.Reading) -> None:
                book = ann.node.scribe.book
                own = sum(head.seq for head in book.chain.heads(ann.id))
                looks.append(((await ann.node.door.status())["ledger_read"], own, len(book.chain.heads(dave.node_id))))
                assert not book.welcome(log[-1]), "what may be stored already is not taken for news"
                await ann.node.scribe.hear(dave.node_id, codec.encode_entries([log[-1].sealed]))
                assert book.chain.head(dave.node_id, 0) is None
                await ann.node.scribe.write(PUBLIC, EntryKind.TALLY, log[0].entry.body)  # its own log goes on meanwhile
                await read_on(self)

            monkeypatch.setattr(reading.Reading, "go_on", watched)
            await swarm.start(ann)
            await ann.node.scribe.book.wait_whole()
            ((read, own, others),) = looks
            assert read < 1 and own >= 2 and others == 0, "its own logs are read before it serves, others' after"
            head = ann.node.scribe.book.chain.head(dave.node_id, 0)
            assert head is not None and head.seq == len(log) - 1
            assert (await ann.node.door.status())["ledger_read"] == 1
            assert ann.node.scribe.book.welcome(log[-1])
            swarm.net.mesh()
            await trio.sleep(130)
            assert ben.node.scribe.book.chain.head(dave.node_id, 0) == head, "and it meets others then"
            assert ann.node.scribe.book.forks == []

    simulate.run(1, main)


def test_both_ways_of_reading_end_in_the_same() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann = await stopped(swarm, "ann")
            logs = [log_of(keys(f"author {n}"), 20, ann.id) for n in range(4)]
            for log in logs:
                await hold(ann, log)
            found = []
            for at_once in (1000, 10):
                await swarm.start(ann)
                book = ann.node.scribe.book
                fresh = type(book)(book._world, book._people, at_once=at_once)
                fresh.load()
                assert fresh.whole == (at_once == 1000)
                await fresh.read_on()
                found.append((fresh.chain.summary(PUBLIC).slice(ROOT), fresh.shares.total, fresh.written()))
                await swarm.crash(ann, survivors=1 << 20)
            assert found[0][0] == found[1][0] and found[0][1] > 80 * 300

    simulate.run(2, main)


def test_a_record_that_breaks_after_the_start_is_found_when_it_is_read(tmp_path: Path) -> None:
    """The journal is checked whole when it is opened; this is a disk that goes bad while the node runs."""

    async def main() -> None:
        journal = await open_journal(tmp_path / "journal.sqlite")
        try:
            await journal.commit([Put("entry", bytes([n]) * 40, b"x" * 100) for n in range(1, 50)])
            with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as other:
                other.execute("UPDATE records SET value = CAST(substr(value, 1, 50) || x'00' || substr(value, 52) AS BLOB) WHERE key = ?", (bytes([40]) * 40,))
                other.commit()
            taken: list[bytes] = []
            read = reading.Reading(journal, keys("ann").node_id, lambda key, value: taken.append(key), at_once=10)
            read.begin()
            with pytest.raises(JournalError, match="checksum"):
                await read.go_on()
            assert not read.whole and len(taken) < 49
        finally:
            await journal.aclose()

    trio.run(main)
