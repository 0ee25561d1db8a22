"""What a peer may try on the ledger: forged, misplaced and forked entries, floods, meetings without end."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import pytest
import trio

from ctorrent.canon import decode, encode
from ctorrent.errors import Unavailable
from ctorrent.ledger.chain import NOTHING
from ctorrent.model.entry import Entry, EntryKind, SignedEntry, Tally
from ctorrent.model.ids import Digest, OwnerId, Ring, RingKind, node_id, node_public
from ctorrent.seal import Sealed, Signer
from ctorrent.wire import codec, names
from tests.attacks.hostile import Eve, Siege, Talk, besieged, run, until

pytestmark = pytest.mark.real
PUBLIC = Ring(RingKind.PUBLIC)


def entry(signer: Signer, seq: int = 1, prev: Digest = NOTHING, ring: Ring = PUBLIC, incarnation: int = 0, worker: str = "") -> SignedEntry:
    author = node_id(signer.public)
    tally = Tally(Digest(os.urandom(32)), worker or author, OwnerId(""), 5, 0, 0, "x86_64", bytes(32))  # type: ignore[arg-type]
    body = codec.encode_tally(tally)
    return codec.seal_entry(Entry(author, incarnation, seq, prev, EntryKind.TALLY, ring, body, 1_700_000_000), signer)


def log(signer: Signer, count: int) -> list[SignedEntry]:
    entries: list[SignedEntry] = []
    for seq in range(1, count + 1):
        entries.append(entry(signer, seq, entries[-1].id if entries else NOTHING))
    return entries


def words(entries: list[SignedEntry], answers: int = 0) -> bytes:
    return encode([4, [[e.sealed.body, e.sealed.public, e.sealed.signature] for e in entries], answers])


async def meeting(siege: Siege, eve: Eve) -> Talk:
    talk = await eve.talk(siege.victim, names.LEDGER)
    decode(await talk.channel.receive())
    await talk.channel.send(encode([str(PUBLIC)]))
    return talk


async def ends(talk: Talk, limit_s: float = 20.0) -> None:
    try:
        with trio.fail_after(limit_s):
            while True:
                await talk.channel.receive()
    except Unavailable:
        pass


# gossip --------------------------------------------------------------------------------------------------------------


def test_gossip_that_does_not_hold_is_not_passed_on() -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve, stranger = await siege.enter(), Signer(os.urandom(32))
            good = entry(eve.keys).sealed
            forged = Sealed(good.body, good.public, bytes(64))
            stolen = Sealed(good.body, stranger.public, stranger.sign("ctorrent/entry/1", good.body).signature)
            other = entry(eve.keys, ring=Ring(RingKind.SWARM, eve.owner_id)).sealed
            check = siege.victim.scribe.check
            for batch in ([forged], [stolen], [good, forged], [other], [good, other], []):
                assert not check(PUBLIC, eve.id, codec.encode_entries(batch))
            for noise in (b"", b"\xff" * 100, b"hello", os.urandom(2000), encode([1, 2])):
                assert not check(PUBLIC, eve.id, noise)
                assert not siege.victim.worker.check(PUBLIC, eve.id, noise)
            assert siege.points(eve) >= 20
            assert check(PUBLIC, siege.friend.world.node, codec.encode_entries([good]))

    run(main)


def test_a_fork_is_kept_as_proof_and_charged_to_nobody_who_relays_it() -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve, relay = await siege.enter(), await siege.enter()
            one, other = entry(eve.keys), entry(eve.keys)
            scribe = siege.victim.scribe
            for signed in (one, other):
                message = codec.encode_entries([signed.sealed])
                assert scribe.check(PUBLIC, relay.id, message)
                await scribe.hear(relay.id, message)
            assert scribe.book.forks == [(eve.id, 0, 1)]
            assert len(siege.victim.world.journal.scan("fork", node_public(eve.id))) >= 1
            assert siege.points(relay) == 0
            report = await siege.victim.door.ledger_verify()
            assert report["forks"] and not report["bad"]

    run(main)


def test_a_gossip_flood_costs_no_more_than_its_share() -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve = await siege.enter()
            batch = codec.encode_entries([e.sealed for e in log(eve.keys, 150)])
            checked = sum(siege.victim.scribe.check(PUBLIC, eve.id, batch) for _ in range(500))
            assert checked <= 8
            assert len(siege.victim.scribe._checked) <= 64

    run(main)


# meetings ------------------------------------------------------------------------------------------------------------


def misplaced(eve: Eve) -> dict[str, bytes]:
    stranger = Signer(os.urandom(32))
    good, other = entry(eve.keys), entry(stranger)
    bad = replace(good, sealed=Sealed(good.sealed.body, good.sealed.public, bytes(64)))
    stolen = replace(good, sealed=Sealed(other.sealed.body, good.sealed.public, good.sealed.signature))
    return {
        "garbage": b"\xff" * 50,
        "no list": encode({"a": 1}),
        "no ring": encode([1, "nonsense", []]),
        "a negative number": encode([3, node_public(eve.id), 0, -5, 5, True]),
        "an author of nobody": encode([3, b"short", 0, 1, 5, True]),
        "a forged entry": words([bad]),
        "a stolen entry": words([stolen]),
        "another ring": words([entry(eve.keys, ring=Ring(RingKind.SWARM, eve.owner_id))]),
        "no predecessor": words([entry(eve.keys, prev=Digest(bytes([1]) * 32))]),
        "an answer to no want": words([], answers=5),
        "an answer to no question": encode([2, "public", []]),
        "too many questions": encode([1, "public", [[0, 0, 1, bytes(32)]] * 65]),
    }


def test_words_that_no_honest_version_says_are_charged() -> None:
    async def main() -> None:
        async with besieged() as siege:
            for name in misplaced(await siege.enter()):
                eve = await siege.enter()
                talk = await meeting(siege, eve)
                await talk.channel.send(misplaced(eve)[name])
                await until(lambda eve=eve: siege.points(eve) >= 10)
                await talk.channel.aclose()

    run(main)


def test_entries_given_again_and_again_end_the_meeting() -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve = await siege.enter()
            talk = await meeting(siege, eve)
            gift = words(log(eve.keys, 200))
            with pytest.raises(Unavailable):
                for _ in range(500):
                    await talk.channel.send(gift)
            await until(lambda: siege.points(eve) >= 20)
            assert siege.victim.scribe.book.chain.head(eve.id, 0).seq == 200  # type: ignore[union-attr]

    run(main)


def test_a_peer_that_says_more_than_it_reads_is_heard_all_the_same() -> None:
    """It wants ten megabytes, and before it reads one byte of them it gives ten: more than the credit either way."""

    async def main() -> None:
        async with besieged() as siege:
            eve = await siege.enter()
            first, second = large(Signer(os.urandom(32))), large(Signer(os.urandom(32)))
            talk = await meeting(siege, eve)

            async def give(entries: list[SignedEntry]) -> None:
                for start in range(0, len(entries), 50):
                    await talk.channel.send(words(entries[start : start + 50]))

            def held(entries: list[SignedEntry]) -> int:
                head = siege.victim.scribe.book.chain.head(entries[0].entry.author, 0)
                return 0 if head is None else head.seq

            await give(first)
            await until(lambda: held(first) == len(first))
            await talk.channel.send(encode([3, node_public(first[0].entry.author), 0, 1, len(first), False]))
            await give(second)
            await until(lambda: held(second) == len(second))
            got = 0
            while got < len(first):
                message: Any = decode(await talk.channel.receive())
                got += len(message[1]) if message[0] == 4 else 0

    run(main)


def large(signer: Signer) -> list[SignedEntry]:
    """A log of ten megabytes, of a kind that nobody knows."""
    entries: list[SignedEntry] = []
    for seq in range(1, 701):
        prev = entries[-1].id if entries else NOTHING
        entries.append(codec.seal_entry(Entry(node_id(signer.public), 0, seq, prev, 99, PUBLIC, bytes(15_000), 0), signer))
    return entries


def test_a_billion_wanted_entries_are_one_answer() -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve = await siege.enter()
            talk = await meeting(siege, eve)
            await talk.channel.send(words(log(eve.keys, 200)))
            await until(lambda: (head := siege.victim.scribe.book.chain.head(eve.id, 0)) is not None and head.seq == 200)
            await talk.channel.send(encode([3, node_public(eve.id), 0, 1, (1 << 63) - 1, True]))
            got = 0
            while got < 200:
                message: Any = decode(await talk.channel.receive())
                got += len(message[1]) if message[0] == 4 else 0
            assert got == 200

    run(main)


def test_a_peer_that_lists_logs_without_end_costs_what_its_list_costs() -> None:
    """The victim opens the meeting; Eve says that she has sixty thousand logs, and gives none."""

    async def main() -> None:
        from ctorrent.ledger.chain import Chain
        from ctorrent.ledger.summary import ROOT, Line
        from ctorrent.ledger.sync import Answer, Found, Heard, Sync

        eve = node_id(Signer(os.urandom(32)).public)
        sync = Sync(Chain(), eve, [PUBLIC], True, 0.0)
        sync.start()
        spent = 0.0
        for page in range(30):
            lines = tuple(Line(node_id(os.urandom(32)), page, 5, Digest(bytes(32)), 0) for _ in range(2000))
            sync._asked = (PUBLIC, (sync._chain.summary(PUBLIC).slice(ROOT),))
            began = time.process_time()
            sync.handle(Heard(Answer(PUBLIC, (Found(ROOT, lines=lines),))), 1.0)
            spent += time.process_time() - began
        assert spent < 5  # 0.3 s of a processor, whoever else keeps the machine busy
        assert len(sync._wanted) <= 1 << 16

    run(main)


def test_a_silent_meeting_ends() -> None:
    async def main() -> None:
        from ctorrent.node import meetings

        async with besieged() as siege:
            eve = await siege.enter()
            before, meetings.MEETING_S = meetings.MEETING_S, 1.0
            try:
                talk = await eve.talk(siege.victim, names.LEDGER)  # and never says its rings
                await ends(talk, 15)
            finally:
                meetings.MEETING_S = before

    run(main)
