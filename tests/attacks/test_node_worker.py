"""What a hostile requester may try on a worker: it is charged, nothing of it stays, and the worker serves others."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from ctorrent.canon import encode
from ctorrent.model.block import InputRef
from ctorrent.model.ids import Digest, Ring, RingKind, node_id
from ctorrent.model.job import Amendment, AmendmentKind
from ctorrent.model.result import FailureKind
from ctorrent.model.session import (
    Acknowledged,
    Declined,
    Engaged,
    Finished,
    HandBack,
    Interest,
    NoThanks,
    Offered,
    Returned,
    Revoke,
)
from ctorrent.model.trade import No, NoReason
from ctorrent.seal import Sealed, Signer
from ctorrent.wire import codec
from tests.attacks.hostile import Lure, Siege, besieged, block, hostile, run, until

pytestmark = pytest.mark.real


@asynccontextmanager
async def baited(friend: bool = True, **settings: Any) -> AsyncIterator[tuple[Siege, Lure]]:
    """A siege, and Eve as a requester; a friend of the victim, unless told otherwise, whose jobs may run in its jail."""
    async with besieged(**settings) as siege:
        eve = await siege.enter(friend=friend)
        lure = Lure(eve, siege.victim)
        await eve.talk(siege.victim)  # so that the victim knows whose node she is
        yield siege, lure
        lure.over.set()


async def charged(siege: Siege, lure: Lure, least: float = 20) -> None:
    await until(lambda: siege.points(lure.eve) >= least)


# announcements -------------------------------------------------------------------------------------------------------


def test_replayed_misplaced_and_forged_announcements_bring_no_dial() -> None:
    async def main() -> None:
        async with baited() as (siege, lure):
            job, stranger = lure.job(), Signer(os.urandom(32))
            first = lure.announcement(job, round=3)
            assert lure.hears(first)
            talk = await lure.caught()
            assert (await talk.hear(Interest)).round == 3
            assert lure.hears(first)  # an echo is relayed, and nothing else
            assert lure.hears(lure.announcement(job, round=2))
            other = lure.announcement(lure.job())
            assert not lure.hears(other, Ring(RingKind.FRIENDS, siege.victim.people.owner))
            assert not lure.hears(other, author=node_id(stranger.public))
            bent = codec.decode_sealed(other)
            assert not lure.hears(codec.encode_sealed(Sealed(bent.body, stranger.public, bent.signature)))
            with trio.move_on_after(1.0):
                await talk.hear(Interest)
                raise AssertionError("a replay was answered")
            assert lure.dials == 1
            assert siege.points(lure.eve) >= 10

    run(main)


def test_an_announcement_flood_is_neither_relayed_nor_answered() -> None:
    async def main() -> None:
        async with baited() as (siege, lure):
            job, began = lure.job(), trio.current_time()
            heard = sum(lure.hears(lure.announcement(job, job=os.urandom(32), bids_wanted=1 << 30)) for _ in range(2000))
            assert heard <= 256 + 4 * (trio.current_time() - began) + 1, "so many at once, and four a second"
            assert heard < 1000
            assert siege.victim.worker._answering.total() <= 32
            await lure.caught()
            await until(lambda: not siege.victim.worker._answering)
            assert lure.dials == 1
            assert len(siege.victim.worker._heard) <= 4096

    run(main)


def test_nobody_else_is_dialled_for_an_announcement() -> None:
    """Records of others, and of one's own with addresses that are none of this machine's business."""

    async def main() -> None:
        async with besieged() as siege, hostile() as ann, hostile() as eve:  # the victim has met neither
            lure, hers = Lure(eve, siege.victim), ann.network.directory.self_record()
            tried, refused = watch_dials(siege), watch_records(siege)
            for record, points in ((hers, 20), (own_record(eve.keys, ["10.254.254.9", "192.168.254.9", "172.31.254.9"]), 0)):
                assert lure.hears(lure.announcement(lure.job(), peer_record=record))
                await until(lambda: refused and not siege.victim.worker._answering)
                assert siege.points(eve) >= points
                refused.clear()
            assert tried == []
            many = own_record(eve.keys, [f"127.0.0.1:{port}" for port in range(2, 60)])
            assert lure.hears(lure.announcement(lure.job(), peer_record=many))
            await until(lambda: refused and not siege.victim.worker._answering, 40)
            assert 0 < len(tried) <= 16

    run(main)


def watch_dials(siege: Siege) -> list[str]:
    network = siege.victim.world.directory.host.network  # type: ignore[attr-defined]
    inner, tried = network._dial_addr_single_attempt, []

    async def noted(address: Any, peer: Any) -> Any:
        tried.append(str(address))
        return await inner(address, peer)

    network._dial_addr_single_attempt = noted
    return tried


def watch_records(siege: Siege) -> list[str]:
    """Why records were not dialled, or not in vain."""
    directory: Any = siege.victim.world.directory
    inner, refused = directory.connect_record, []

    async def noted(record: bytes, of: Any = None) -> Any:
        try:
            return await inner(record, of)
        except Exception as error:
            refused.append(str(error))
            raise

    directory.connect_record = noted
    return refused


def own_record(signer: Signer, places: list[str]) -> bytes:
    """A peer record with a valid signature and addresses of the author's choosing."""
    from libp2p.crypto.ed25519 import create_new_key_pair
    from libp2p.peer.envelope import seal_record
    from libp2p.peer.id import ID
    from libp2p.peer.peer_record import PeerRecord
    from multiaddr import Multiaddr

    pair = create_new_key_pair(signer.secret())
    addresses = [Multiaddr(f"/ip4/{host}/tcp/{port or 4270}") for host, _, port in (one.partition(":") for one in places)]
    record = PeerRecord(ID.from_pubkey(pair.public_key), addresses, seq=1)
    return seal_record(record, pair.private_key).marshal_envelope()


# descriptions --------------------------------------------------------------------------------------------------------


def test_descriptions_that_lie_are_charged() -> None:
    async def main() -> None:
        async with baited() as (siege, first):
            for number in range(4):
                eve = await siege.enter(friend=True)
                lure = Lure(eve, siege.victim)
                job = lure.job()
                talk = await lure.asked(job)
                await talk.say(_lie(number, lure, first, job))
                await talk.ended()
                await charged(siege, lure)
                lure.over.set()

    run(main)


def _lie(number: int, lure: Lure, other: Lure, job: Any) -> Any:
    if number == 0:
        return lure.describe(job, manifest=lure.job().sealed)  # another manifest under this id
    if number == 1:
        return lure.describe(job, manifest=other.job().sealed)
    if number == 2:
        return lure.describe(job, manifest=Sealed(job.sealed.body, lure.eve.keys.public, bytes(64)))
    link = Amendment(job.id, 2, Digest(bytes(32)), AmendmentKind.PAUSE)
    return lure.describe(job, amendments=(codec.seal_amendment(link, lure.eve.keys),))


def test_descriptions_nobody_asked_for_are_ignored_and_remembered_nowhere() -> None:
    async def main() -> None:
        async with baited() as (siege, lure):
            talk = await lure.asked(lure.job())
            line = siege.victim.worker._lines[lure.eve.id]
            jobs = [lure.describe(lure.job()) for _ in range(50)]
            for number in range(5_000):
                if line.session.lost.is_set():
                    break
                await talk.say(jobs[number % 50])
            await talk.ended()
            assert not line.offered
            await charged(siege, lure)

    run(main)


def test_strangers_do_not_get_into_the_jail_nor_into_rings_that_are_not_theirs() -> None:
    async def main() -> None:
        async with baited(friend=False) as (siege, lure):
            talk = None
            for ring, why in (
                (Ring(RingKind.PUBLIC), NoReason.ISOLATION),
                (Ring(RingKind.FRIENDS, lure.eve.owner_id), NoReason.RING),
                (Ring(RingKind.FRIENDS, siege.victim.people.owner), NoReason.RING),
                (Ring(RingKind.SWARM, siege.friend.people.owner), NoReason.RING),
            ):
                job = lure.job(ring=ring)
                siege.victim.worker.hear(lure.announcement(job))
                talk = talk or await lure.caught()
                await talk.hear(Interest)
                await talk.say(lure.describe(job))
                assert why in [no.reason for no in (await talk.hear(NoThanks)).reasons]
                await talk.say(Engaged(job.id, 1))  # and is not taken at its word
            assert not siege.victim.worker.engagements

    run(main)


def test_a_strangers_jobs_leave_places_for_friends() -> None:
    async def main() -> None:
        async with baited(friend=False, strangers_in_jail=True) as (siege, lure):
            talk, refused = None, 0
            for _ in range(9):
                job = lure.job(price_max=100.0)
                assert lure.hears(lure.announcement(job))
                talk = talk or await lure.caught()
                await talk.hear(Interest)
                await talk.say(lure.describe(job))
                message = await talk.hear((Offered, NoThanks))  # type: ignore[arg-type]
                refused += isinstance(message, NoThanks)
                await talk.say(Engaged(job.id, 1))
            await until(lambda: len(siege.victim.worker.engagements) == 6)
            assert refused == 3

    run(main)


# assignments ---------------------------------------------------------------------------------------------------------

LIES: dict[str, dict[str, Any]] = {
    "another key": {"signer": Signer(os.urandom(32))},
    "another worker": {"worker": node_id(Signer(os.urandom(32)).public)},
    "other blocks": {"blocks_named": (Digest(bytes(32)),)},
    "a lease of no number": {"lease_s": float("nan")},
    "an endless lease": {"lease_s": float("inf")},
    "a negative lease": {"lease_s": -1.0},
    "no term": {"term": 0},
}


@pytest.mark.parametrize("lie", LIES)
def test_assignments_that_lie_are_charged_and_not_run(lie: str) -> None:
    async def main() -> None:
        async with baited() as (siege, lure):
            job = lure.job()
            talk = await lure.engaged(job)
            changes = dict(LIES[lie])
            if "blocks_named" in changes:
                changes = {"blocks": changes["blocks_named"]}
                message = replace(lure.assign(job, [block(0)]), assignment=lure.assign(job, [block(1)]).assignment)
            else:
                message = lure.assign(job, [block(0)], **changes)
            await talk.say(message)
            await talk.ended()
            await charged(siege, lure)
            assert not siege.victim.worker.engagements[job.id]._scopes

    run(main)


def test_a_lower_term_is_refused_after_a_higher_one() -> None:
    async def main() -> None:
        async with baited() as (siege, lure):
            job = lure.job()
            talk = await lure.engaged(job)
            await talk.say(lure.assign(job, [block(0)], term=5))
            await talk.hear(Returned)
            await talk.say(lure.assign(job, [block(1)], term=4))
            await talk.ended()
            await charged(siege, lure)

    run(main)


def test_a_lease_that_is_over_at_once_is_handed_back() -> None:
    async def main() -> None:
        async with baited() as (_, lure):
            job = lure.job()
            talk = await lure.engaged(job)
            await talk.say(lure.assign(job, [block(0)], lease_s=0.0))
            await talk.hear(HandBack)

    run(main)


def test_an_answered_assignment_is_never_answered_twice() -> None:
    """Else a requester could make an honest worker look like one that signs two results."""

    async def main() -> None:
        async with baited() as (_, lure):
            job = lure.job()
            talk = await lure.engaged(job)
            message = lure.assign(job, [block(3)])
            await talk.say(message)
            await talk.say(message)
            returned = await talk.hear(Returned)
            await talk.say(Acknowledged(codec.open_result(returned.result).assignment))
            await talk.say(message)
            await talk.say(lure.assign(job, [block(4)]))
            after = await talk.hear(Returned)
            assert codec.open_result(after.result).assignment != codec.open_result(returned.result).assignment
            with trio.move_on_after(1.0):
                await talk.hear(Returned)
                raise AssertionError("a second result for one assignment")

    run(main)


def test_assignments_without_end_end_the_session() -> None:
    async def main() -> None:
        async with baited() as (siege, lure):
            job = lure.job(encode({"work.py": b"import time\ndef work(index):\n    time.sleep(30)\n"}))
            talk = await lure.engaged(job)
            await until(lambda: job.id in siege.victim.worker.engagements)
            engagement = siege.victim.worker.engagements[job.id]
            messages = [lure.assign(job, [block(n)]) for n in range(200)]
            for message in messages:
                if engagement.session is None or engagement.session.lost.is_set():
                    break
                await talk.say(message)
            await talk.ended()
            await charged(siege, lure)
            assert len(engagement._scopes) <= 2 * 3 * engagement.slots + 16
            siege.victim.worker.engagements[job.id].over.set()

    run(main)


def test_one_requester_cannot_end_anothers_job_here() -> None:
    async def main() -> None:
        async with baited() as (siege, lure):
            job = lure.job()
            talk = await lure.engaged(job)
            mallory = Lure(await siege.enter(friend=True), siege.victim)
            theirs = await mallory.asked(mallory.job())
            message = lure.assign(job, [block(5)])
            name = codec.assignment_id(message.assignment)
            for lie in (Finished(job.id), Declined(job.id, No(NoReason.FULL), 0.0), Revoke(name), Acknowledged(name)):
                await theirs.say(lie)
            await theirs.say(message)  # even signed by whom it should be
            await theirs.ended()
            await talk.say(message)
            await talk.hear(Returned)
            assert siege.points(mallory.eve) >= 20 and siege.points(lure.eve) == 0
            mallory.over.set()

    run(main)


def test_declining_for_ever_makes_no_tasks() -> None:
    async def main() -> None:
        async with baited() as (siege, lure):
            job = lure.job()
            talk = await lure.asked(job)
            await talk.flood(Declined(job.id, No(NoReason.FULL), 100.0), 20_000)
            assert len(siege.victim.worker._retrying) == 1
            await charged(siege, lure)

    run(main)


# what runs -----------------------------------------------------------------------------------------------------------

BUNDLES = {
    "not canonical": b"\x81\xd9\x07work.py\xc4\x01x",
    "no map": encode([1, 2, 3]),
    "garbage": os.urandom(1000),
    "upwards": encode({"../../escaped.py": b"x = 1", "work.py": b"def work(index):\n    return 1\n"}),
    "absolute": encode({"/tmp/ct_escaped.py": b"x = 1", "work.py": b"def work(index):\n    return 1\n"}),
    "a number as a file": encode({"work.py": 7}),
    "nothing": b"",
    "a file and a folder": encode({"a": b"", "a/b": b"", "work.py": b""}),
    "too many": encode({f"{n}": b"" for n in range(10_001)}),
    "a name for terminals": encode({"\x1b[2J.py": b"", "work.py": b""}),
    "large files that the manifest is silent on": encode({"work.py": b"", "large": [bytes(32), 1 << 20]}),
}


@pytest.mark.parametrize("bundle", BUNDLES)
def test_code_bundles_that_lie(bundle: str) -> None:
    async def main() -> None:
        async with baited() as (siege, lure):
            job = lure.job(BUNDLES[bundle])
            talk = await lure.engaged(job)
            await talk.say(lure.assign(job, [block(0)]))
            answer = await talk.hear((Returned, NoThanks, HandBack))  # type: ignore[arg-type]
            assert isinstance(answer, NoThanks) and answer.reasons[0].detail.isprintable(), "refused before anything is run"
            assert not await trio.Path("/tmp/ct_escaped.py").exists()
            assert not list(siege.folder.rglob("escaped.py"))

    run(main)


def test_a_code_bundle_that_is_not_its_digest_or_comes_in_crumbs() -> None:
    async def main() -> None:
        for crumb in (0, 1):
            async with baited() as (siege, lure):
                bundle = encode({"work.py": b"#" * 50_000})
                job = lure.job(bundle)
                if crumb:
                    lure.crumb = crumb
                else:
                    lure.blobs[job.manifest.program.code] = bytes(len(bundle))
                talk = await lure.engaged(job)
                await talk.hear(NoThanks)
                await charged(siege, lure, 10)

    run(main)


def test_parameters_and_inputs_that_lie_are_failures_of_their_block() -> None:
    async def main() -> None:
        async with baited() as (_, lure):
            job = lure.job()
            talk = await lure.engaged(job)
            data = os.urandom(100)
            ref = lure.code(data)
            odd = [
                block(0, b"\xd9\x01x"),
                block(1, b"\xff" * 100),
                block(2, encode([1, 2])),
                block(3, encode({"index": float("nan"), "nonsense": {"a": []}})),
                block(4, encode({}), (InputRef("same", ref, 100), InputRef("same", ref, 100))),
                block(5, encode({}), (InputRef("\n\x1b[2J", ref, 100),)),
                block(6, encode({}), (InputRef("a" * 255, ref, 100),)),
                block(7, encode({}), (InputRef("none", Digest(bytes(32)), 100),)),
                block(8, encode({}), (InputRef("large", ref, 10),)),
                block(9, encode({}), (InputRef("spec.json", ref, 100), InputRef("stdout", ref, 100))),
            ]
            for one in odd:
                await talk.say(lure.assign(job, [one]))
                answer = await talk.hear((Returned, HandBack))  # type: ignore[arg-type]
                if isinstance(answer, Returned):
                    (output,) = answer.outputs
                    assert output.failure is None or output.failure.kind in tuple(FailureKind)
            await talk.say(lure.assign(job, [block(12)]))
            returned = await talk.hear(Returned)
            assert returned.outputs[0].data == b"\0" + encode(144)

    run(main)


def test_nothing_escaped() -> None:
    assert not Path("/tmp/ct_escaped.py").exists()
