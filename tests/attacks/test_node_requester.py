"""What a hostile worker may try on a requester: it is charged, nothing wrong is settled, and others are served."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
import trio

from ctorrent.canon import encode
from ctorrent.errors import Unavailable
from ctorrent.model.identity import Certificate, Link
from ctorrent.model.ids import Digest, node_id
from ctorrent.model.session import (
    Describe,
    HandBack,
    Interest,
    Introduction,
    Message,
    NoThanks,
    Progress,
    Revoke,
    UnsupportedKind,
)
from ctorrent.model.trade import No, NoReason
from ctorrent.seal import Sealed, Signer
from ctorrent.wire import codec
from tests.attacks.hostile import MIB, Eve, Siege, Talk, besieged, right, run, until

pytestmark = pytest.mark.real
LONG = encode("x" * 300_000)


async def worker(siege: Siege, blocks: int = 40, **settings: Any) -> tuple[Eve, Talk, str, bytes]:
    """Eve, a friend of the victim until now, engaged in a job of its. -> and the job's name and id."""
    eve = await siege.enter(friend=True)
    talk = await eve.talk(siege.victim)
    name, job = await siege.submit(blocks, **{"pause": 0.05} | settings)
    await talk.engaged(job.id)
    return eve, talk, name, job.id


# before a job --------------------------------------------------------------------------------------------------------


def test_interest_in_unknown_jobs_is_declined_and_a_flood_of_it_is_charged() -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve = await siege.enter()
            talk = await eve.talk(siege.victim)
            assert await talk.flood(Interest(bytes(32), 1), 20_000) < 20_000
            assert siege.points(eve) >= 20 and "no work" in siege.why(eve)

    run(main)


def test_floods_in_a_job_are_charged_and_remembered_by_nobody() -> None:
    async def main() -> None:
        async with besieged() as siege:
            name, job = await siege.submit(30, pause=0.5)
            floods: list[Message] = [
                Interest(job.id, 1),
                NoThanks(job.id, tuple(No(NoReason.PACKAGES, "\x1b[2J" * 249) for _ in range(32))),
                HandBack(Digest(bytes(32)), No(NoReason.BUSY)),
                Progress(Digest(bytes(32)), 0, b"lies\n" * 1000),
                Revoke(Digest(bytes(32))),
            ]
            for message in floods:
                eve = await siege.enter()
                talk = await eve.talk(siege.victim)
                await talk.say(Interest(job.id, 1))
                await talk.flood(message, 20_000)
                await until(lambda eve=eve: siege.points(eve) >= 20)
            report = await siege.victim.door.why(name)
            assert "\x1b" not in str(report)
            assert (await siege.ended(name))["state"] == "settled"

    run(main)


def test_unknown_kinds_are_answered_until_they_are_too_many() -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve = await siege.enter()
            talk = await eve.talk(siege.victim)
            await talk.channel.send(b"\xf7future")
            assert (await talk.hear(UnsupportedKind)).kind == 0xF7
            with pytest.raises(Unavailable):
                for _ in range(20_000):
                    await talk.channel.send(b"\xf7future")
            await until(lambda: siege.points(eve) >= 20)

    run(main)


@pytest.mark.parametrize("frame", [b"", b"\x02", b"\x02\xff\xff\xff", b"\x09" + bytes(1000), b"\x05\x0a\x02ab"])
def test_garbage_frames_end_the_session_and_are_charged(frame: bytes) -> None:
    async def main() -> None:
        async with besieged(serves=False) as siege:
            eve = await siege.enter()
            talk = await eve.talk(siege.victim)
            await talk.channel.send(frame)
            await talk.ended()
            await until(lambda: siege.points(eve) >= 10)

    run(main)


def test_bids_that_are_not_for_this_conversation_are_charged() -> None:
    async def main() -> None:
        async with besieged() as siege:
            name, job = await siege.submit(2000, pause=0.2)  # longer than a slow machine takes for all that follows
            stranger = Signer(os.urandom(32))
            lies: list[dict[str, Any]] = [
                {"session_nonce": bytes(16)}, {"worker": node_id(stranger.public)}, {"slots": 1 << 31}, {"credit": (1 << 32) - 1},
                {"speed_gflops": float("nan")}, {"price": float("inf")}, {"price": -1.0},
            ]  # fmt: skip
            for lie in lies:
                eve = await siege.enter()
                talk = await eve.talk(siege.victim)
                await talk.say(Interest(job.id, 1))
                describe = await talk.hear(Describe)
                liar = replace(eve, keys=stranger) if "worker" in lie else eve
                await talk.say(liar.bid(describe, **lie))
                await talk.ended()
                await until(lambda eve=eve: siege.points(eve) >= 20)
            eve = await siege.enter()
            talk = await eve.talk(siege.victim)
            await talk.say(Interest(job.id, 1))
            bid = eve.bid(await talk.hear(Describe))
            await talk.say(bid)
            again = await eve.talk(siege.victim)  # the same bid once more, on another session
            await again.say(Interest(job.id, 1))
            await again.hear(Describe)
            await again.say(bid)
            await again.ended()
            assert siege.points(eve) >= 20
            await siege.victim.door.cancel(name)

    run(main)


def test_a_second_question_does_not_spoil_an_honest_bid() -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve = await siege.enter(friend=True)
            talk = await eve.talk(siege.victim)
            _, job = await siege.submit(40)
            await talk.say(Interest(job.id, 1))
            describe = await talk.hear(Describe)
            await talk.say(Interest(job.id, 2))  # the second round was heard meanwhile
            await talk.say(eve.bid(describe))
            await talk.assigned()
            assert siege.points(eve) == 0

    run(main)


def test_absurd_credit_brings_no_more_than_a_few_units() -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve = await siege.enter(friend=True)
            talk = await eve.talk(siege.victim)
            name, job = await siege.submit(3000)
            await talk.engaged(job.id, slots=1, credit=1 << 31)
            coordination = siege.victim.requester._open[job.id]
            for _ in range(20):
                await trio.sleep(0.05)
                assert sum(given.worker == eve.id for given in coordination.out.by_id.values()) <= 4
            await siege.victim.door.cancel(name)

    run(main)


# introductions -------------------------------------------------------------------------------------------------------


def forged(eve: Eve, siege: Siege) -> dict[str, Introduction]:
    """Introductions that lie, by name."""
    other, day, now = Signer(os.urandom(32)), 86400, siege.victim.world.clock.unix()
    chief, member = siege.victim.people, eve.owner_id
    mine = Link(chief.owner, member, member, 1, now, day)  # the victim's swarm, in eve's own hand
    honest = codec.seal_link(Link(chief.owner, chief.owner, siege.friend.people.owner, 1, now, day), siege.victim.world.keys.owner)
    stale = codec.seal_link(Link(chief.owner, chief.owner, member, 1, now - 9 * day, day), siege.victim.world.keys.owner)
    early = codec.seal_link(Link(chief.owner, chief.owner, member, 1, now + 9 * day, day), siege.victim.world.keys.owner)
    bent = Sealed(honest.body, siege.victim.world.keys.owner.public, codec.seal_link(mine, eve.owner).signature)
    theirs = codec.seal_certificate(Certificate(eve.owner_id, node_id(other.public), now, 0), eve.owner)
    return {
        "somebody else's certificate": eve.introduction(certificate=siege.friend.people.certificate),
        "another node's certificate": eve.introduction(certificate=theirs),
        "an expired certificate": eve.introduction(certificate=eve.certificate(now - 9 * day, day)),
        "a certificate from the future": eve.introduction(certificate=eve.certificate(now + 9 * day, day)),
        "somebody else's membership": eve.introduction(memberships=((honest,),)),
        "a forged membership": eve.introduction(memberships=((bent,),)),
        "an expired membership": eve.introduction(memberships=((stale,),)),
        "a membership from the future": eve.introduction(memberships=((early,),)),
        "a huge offer": eve.introduction(offer=bytes(900_000)),
    }


def test_introductions_that_lie_are_refused_and_charged() -> None:
    async def main() -> None:
        async with besieged() as siege:
            for name in forged(await siege.enter(), siege):
                eve = await siege.enter()
                with pytest.raises(Unavailable):
                    talk = await eve.talk(siege.victim, introduction=forged(eve, siege)[name])
                    await talk.hear(Describe)
                await until(lambda eve=eve: siege.points(eve) >= 10)
                assert eve.id not in siege.victim.people.known, name

    run(main)


def test_a_name_cannot_move_a_terminals_cursor() -> None:
    async def main() -> None:
        async with besieged(serves=False) as siege:
            eve = await siege.enter()
            await eve.talk(siege.victim, introduction=eve.introduction(name="\x1b[2Jroot", offer=encode({"gflops_per_slot": 1.0})))
            row = next(row for row in await siege.victim.door.peers() if row["node"] == eve.id)
            assert row["name"].endswith("[2Jroot") and "\x1b" not in row["name"]

    run(main)


# sessions ------------------------------------------------------------------------------------------------------------


def test_one_peer_cannot_use_up_the_sessions() -> None:
    async def main() -> None:
        async with besieged(sessions_max=16) as siege:
            eve = await siege.enter()
            talks = [await eve.talk(siege.victim, silent=number % 2 == 0) for number in range(12)]
            assert siege.victim.requester.sessions <= 6  # four of hers, one of the friend, one of its own
            await until(lambda: siege.points(eve) >= 20)
            assert talks

    run(main)


def test_many_silent_peers_leave_places_for_friends_and_give_way_to_others() -> None:
    async def main() -> None:
        async with besieged(sessions_max=8) as siege:
            crowd = [await siege.enter() for _ in range(12)]
            for eve in crowd:
                await eve.talk(siege.victim, silent=True)
            await until(lambda: siege.victim.requester.sessions <= 4)  # half of seven, for one network
            await siege.serves()  # the friend gets in
            await trio.sleep(2.1)
            latecomer = await siege.enter()
            assert await latecomer.talk(siege.victim)

    run(main)


def test_silence_after_hello_ends() -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve = await siege.enter()
            talk = await eve.talk(siege.victim, silent=True)
            await talk.ended()

    run(main)


# results -------------------------------------------------------------------------------------------------------------


def test_a_stranger_without_a_certificate_is_voted_for_without_an_owner() -> None:
    """Its network stands for its owner here; the ledger has no word for that."""

    async def main() -> None:
        async with besieged() as siege:
            eve = await siege.enter()
            talk = await eve.talk(siege.victim, introduction=eve.introduction(certificate=None))
            name, job = await siege.submit(60)
            await talk.engaged(job.id)
            assigned, _ = await talk.assigned()
            await talk.say(eve.result(assigned, right(assigned)))
            await talk.acknowledged()
            status = await siege.ended(name)
            assert status["state"] == "settled"
            about = [row for row in await siege.victim.door.ledger() if row["body"].get("worker") == eve.id]
            assert about and about[0]["body"]["owner"] == ""

    run(main)


def test_two_results_for_one_assignment_are_kept_as_proof_and_refused() -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve, talk, name, _job = await worker(siege)
            assigned, _ = await talk.assigned()
            await talk.say(eve.result(assigned, right(assigned)))
            await talk.acknowledged()
            await talk.say(eve.result(assigned, [b"\0" + encode("another") for _ in assigned.blocks], salt=b"\2"))
            await talk.ended()
            assert siege.points(eve) == 1000
            status = await siege.ended(name)
            assert status["state"] == "settled"
            proofs = siege.victim.world.journal.scan("equivocation")
            assert len(proofs) == 1
            assert (await siege.victim.door.answer(name))["value"] == encode(sum(n * n for n in range(40)))

    run(main)


@pytest.mark.parametrize("trick", ["another machine", "a line less"])
def test_two_results_that_say_the_same_convict_nobody_and_are_refused(trick: str) -> None:
    """Published as a proof, such a pair would be held against the requester that published it."""

    async def main() -> None:
        async with besieged() as siege:
            eve, talk, name, _job = await worker(siege)
            assigned, _ = await talk.assigned()
            honest = eve.result(assigned, right(assigned))
            await talk.say(honest)
            await talk.acknowledged()
            said = codec.open_result(honest.result)
            again = replace(said, hardware_class="aarch64") if trick == "another machine" else replace(said, blocks=said.blocks[1:])
            await talk.say(replace(honest, result=codec.seal_result(again, eve.keys)))
            await talk.ended()
            assert siege.points(eve) > 0
            assert (await siege.ended(name))["state"] == "settled"
            assert siege.victim.world.journal.scan("equivocation") == []
            about = [row["body"] for row in await siege.victim.door.ledger() if row["body"].get("worker") == eve.id]
            assert not any(body["invalid"] for body in about), about

    run(main)


@pytest.mark.parametrize("trick", ["not the commitment", "out of order", "twice before the end", "another's assignment", "too many", "a wrong worker"])
def test_results_that_break_the_rules_are_invalid(trick: str) -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve, talk, name, job = await worker(siege)
            assigned, _assignment = await talk.assigned()
            honest = eve.result(assigned, right(assigned))
            if trick == "not the commitment":
                lie = replace(honest, outputs=tuple(replace(o, nonce=bytes(16)) for o in honest.outputs))
            elif trick == "out of order":
                lie = replace(honest, first=1, last=False)
            elif trick == "twice before the end":
                await talk.say(replace(honest, outputs=(), last=False))
                lie = eve.result(assigned, right(assigned), salt=b"\7")
            elif trick == "another's assignment":
                coordination = siege.victim.requester._open[job]
                await until(lambda: any(given.worker != eve.id for given in coordination.out.by_id.values()))
                victim = next(given.id for given in coordination.out.by_id.values() if given.worker != eve.id)
                lie = eve.result(assigned, right(assigned), assignment=victim)
            elif trick == "too many":
                lie = replace(honest, outputs=honest.outputs * 3)
            else:
                lie = replace(eve, keys=Signer(os.urandom(32))).result(assigned, right(assigned))
            await talk.say(lie)
            await until(lambda: siege.points(eve) >= 20)
            assert (await siege.ended(name))["state"] == "settled"
            assert (await siege.victim.door.answer(name))["value"] == encode(sum(n * n for n in range(40)))

    run(main)


def test_outputs_larger_than_the_job_allows_are_not_kept() -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve, talk, name, _job = await worker(siege)
            assigned, _ = await talk.assigned()
            await talk.say(eve.result(assigned, [b"\0" + LONG for _ in assigned.blocks]))
            await until(lambda: siege.points(eve) >= 20)
            assert (await siege.ended(name))["state"] == "settled"

    run(main)


@pytest.mark.parametrize("claim", [1 << 50, 400_000], ids=["larger than allowed", "never there"])
def test_blobs_that_never_come(claim: int) -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve, talk, name, _job = await worker(siege)
            assigned, _ = await talk.assigned()
            honest = eve.result(assigned, right(assigned))
            outputs = tuple(replace(o, data=None, blob=Digest(os.urandom(32)), size_bytes=claim) for o in honest.outputs)
            await talk.say(replace(honest, outputs=outputs))  # eve serves no blobs at all
            assert (await siege.ended(name))["state"] == "settled"

    run(main)


def test_handing_everything_back_for_ever_is_given_up() -> None:
    async def main() -> None:
        async with besieged() as siege:
            _, talk, name, _ = await worker(siege, 60)
            handed = 0
            with trio.move_on_after(15):
                while True:
                    assigned, _ = await talk.assigned()
                    await talk.say(HandBack(codec.assignment_id(assigned.assignment), No(NoReason.BUSY, "\x1b[31mno")))
                    handed += 1
            assert 0 < handed <= 5 * 6  # as often as dispatch bears, all that was under way each time
            assert (await siege.ended(name))["state"] == "settled"

    run(main)


def test_a_worker_that_never_returns_does_not_hold_up_a_job() -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve, talk, name, _job = await worker(siege, 30, seconds=3.0)
            await talk.assigned()
            status = await siege.ended(name)  # its leases run out, or copies of its blocks are made
            assert status["state"] == "settled"
            talk_again = await eve.talk(siege.victim)
            assert talk_again

    run(main)


def test_logs_without_end_are_cut() -> None:
    async def main() -> None:
        async with besieged() as siege:
            eve, talk, name, job = await worker(siege)
            assigned, _assignment = await talk.assigned()
            running = Progress(codec.assignment_id(assigned.assignment), assigned.blocks[0].index, bytes(900_000))
            await talk.flood(running, 5_000)
            await until(lambda: siege.points(eve) >= 20)
            coordination = siege.victim.requester._open.get(job)
            assert coordination is None or coordination.logs._bytes <= 64 * MIB
            assert (await siege.ended(name))["state"] == "settled"

    run(main)


def test_another_workers_answer_cannot_be_passed_off_as_ones_own() -> None:
    """The commitment binds block, worker and nonce; who repeats it, or its bytes, has no result of its own."""

    async def main() -> None:
        async with besieged() as siege:
            eve, talk, name, job = await worker(siege)
            ann = await siege.enter(friend=True)
            hers = await ann.talk(siege.victim)
            await hers.engaged(job)
            theirs, _ = await hers.assigned()
            copied = ann.result(theirs, right(theirs))
            await talk.say(copied)  # eve shows what ann signed
            await until(lambda: siege.points(eve) >= 20)
            assert siege.points(ann) == 0
            assert (await siege.ended(name))["state"] == "settled"

    run(main)
