"""Receipts between whole nodes: what both sides come to, and what those get who inflate, forge, refuse, or never pay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import trio

from ctorrent.canon import encode
from ctorrent.errors import LocalError, Malformed
from ctorrent.model.entry import EntryKind, Work
from ctorrent.model.identity import PeerIdentity
from ctorrent.model.ids import Digest, JobId, OwnerId, Ring, RingKind, node_id, node_public, owner_id
from ctorrent.model.job import Needs
from ctorrent.model.result import Outcome, Usage
from ctorrent.model.session import Billed, Countersigned
from ctorrent.model.trade import GPU_CORES
from ctorrent.node import billing
from ctorrent.node.earnings import Earnings, Rate
from ctorrent.node.records import u32
from ctorrent.ports import Put
from ctorrent.seal import Signer
from ctorrent.testing import simulate
from ctorrent.testing.fake_hardware import machine
from ctorrent.testing.fake_sandbox import Behaviour, FakeCell
from ctorrent.testing.fake_swarm import FakeSwarm, Member, ended, open_swarm
from ctorrent.wire import codec
from tests.node.test_stories import submit, until

MANY = Behaviour(block_s=(4.0, 6.0))  # 5 s on a core of 2.5 reference cores: 0.0035 core-hours
RUN = FakeCell.run
TAG = Digest(b"t" * 32)
PAID = "ring: public\nprice: 2\n"


async def strangers(swarm: FakeSwarm, *names: str, **how: Any) -> list[Member]:
    """Nodes of different owners, none a friend; the first only asks."""
    members = [await swarm.add(names[0], work=False), *[await swarm.add(name, **how) for name in names[1:]]]
    swarm.net.mesh()
    await trio.sleep(1)
    return members


async def row(member: Member, other: Member) -> dict[str, Any]:
    rows = {row["person"]: row for row in await member.node.door.credit()}
    return rows.get(other.owner, {"balance": 0.0, "for_me": {"credits": 0.0, "blocks": 0}, "for_them": {"credits": 0.0, "blocks": 0}})


def story(main: Callable[[FakeSwarm], Awaitable[None]], seed: int = 1) -> None:
    async def run(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            await main(swarm)

    simulate.run(seed, run)


async def settled_with(members: list[Member], asker: Member, count: int, more: str = PAID) -> None:
    job = await submit(asker, count, more)
    status = await ended(asker, job)
    assert status["settled"] == count, status
    await until(lambda: not asker.journal.scan("bill"), 60)
    await trio.sleep(3)


def test_a_job_between_strangers_leaves_the_same_figures_on_both_sides() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, *rest = members = await strangers(swarm, "ann", "ben", "cat", "dan", behaviour=MANY)
        await settled_with(members, ann, 12)
        total = 0.0
        for one in rest:
            mine, theirs = await row(ann, one), await row(one, ann)
            assert mine["balance"] == -theirs["balance"] < 0 and mine["for_me"] == theirs["for_them"]
            assert theirs["for_them"]["credits"] == pytest.approx(1.0 * theirs["for_them"]["core_hours"])
            total += mine["for_me"]["blocks"]
        assert total >= 24  # two owners a block, and audits
        whole = (await ann.node.door.credit(rest[0].name))[0]
        assert len(whole["receipts"]) == whole["for_me"]["receipts"] >= 1
        kinds = [entry["kind"] for entry in await ann.node.door.ledger() if entry["author"] == ann.id]
        assert "receipt" in kinds

    story(main)


def test_friends_owe_nothing_and_their_hours_are_counted() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, ben, cat = members = await strangers(swarm, "ann", "ben", "cat", behaviour=MANY)
        for one in (ben, cat):
            await swarm.befriend(ann, one)
        await settled_with(members, ann, 8, "")
        mine = await row(ann, ben)
        assert mine["balance"] == 0.0 and mine["for_me"]["core_hours"] > 0 and mine["limit"] == 1000.0

    story(main)


def test_figures_last_over_a_crash_on_both_sides() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, ben, cat = members = await strangers(swarm, "ann", "ben", "cat", behaviour=MANY)
        await settled_with(members, ann, 8)
        before = (await row(ann, ben))["balance"], (await row(ben, ann))["balance"]
        for one in (ann, ben):
            await swarm.crash(one)
            await swarm.start(one)
        assert ((await row(ann, ben))["balance"], (await row(ben, ann))["balance"]) == before != (0.0, 0.0)
        assert cat.alive

    story(main)


def test_a_worker_that_is_away_at_the_end_signs_when_it_is_met_again() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, ben, cat = await strangers(swarm, "ann", "ben", "cat", behaviour=MANY)
        ben_signs, ben.node.credit.earnings.billed = ben.node.credit.earnings.billed, never  # type: ignore[method-assign]
        job = await submit(ann, 8, PAID)
        assert (await ended(ann, job))["settled"] == 8
        await until(lambda: len(ann.journal.scan("bill")) == 1, 60)
        assert (await row(ann, ben))["waits_for_me"]["blocks"] > 0 and (await row(ann, ben))["balance"] == 0.0
        await swarm.crash(ann)  # what it asked for outlives it
        await swarm.start(ann)
        swarm.net.mesh()
        ben.node.credit.earnings.billed = ben_signs  # type: ignore[method-assign]
        await submit(ann, 2, PAID)  # any meeting will do
        await until(lambda: ben.node.credit.account(ann.owner).balance > 0, 300)
        assert (await row(ann, ben))["balance"] == -(await row(ben, ann))["balance"] < 0
        assert cat.alive

    story(main)


async def never(peer: object, message: object) -> None:
    return None


# -- attacks ----------------------------------------------------------------------------------------------------------


def test_who_inflates_its_figures_is_paid_as_those_who_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cat says fifty times the processor time. Its pay per block stays beside the others', and so does theirs."""

    async def main(swarm: FakeSwarm) -> None:
        ann, ben, cat, dan = members = await strangers(swarm, "ann", "ben", "cat", "dan", behaviour=MANY)
        async def inflated(cell: FakeCell, *given: Any) -> list[Outcome]:
            outcomes = await RUN(cell, *given)
            if cell._sandbox is not cat.sandbox:
                return outcomes
            return [replace(one, usage=replace(one.usage, cpu_s=50 * one.usage.cpu_s)) for one in outcomes]

        monkeypatch.setattr(FakeCell, "run", inflated)
        await settled_with(members, ann, 30)
        each = {}
        for one in (ben, cat, dan):
            did = (await row(ann, one))["for_me"]
            each[one.name] = did["credits"] / did["blocks"]
        assert each["cat"] < 1.4 * each["ben"] and each["cat"] < 1.4 * each["dan"], each
        assert each["ben"] > 0.002 and each["dan"] > 0.002, each

    story(main)


def test_a_requester_that_never_pays_is_refused_with_the_reason() -> None:
    """Ann makes no bills. Ben counts what he did for her, and stops at what a stranger may owe."""

    async def main(swarm: FakeSwarm) -> None:
        ann, ben, cat = await strangers(swarm, "ann", "ben", "cat", behaviour=MANY, credit_strangers=0.02)
        ann.node.credit.bills.waiting = lambda worker: []  # type: ignore[method-assign]
        original = billing.Billing.bills
        try:
            billing.Billing.bills = lambda self, last=False: []  # type: ignore[method-assign]
            job = await submit(ann, 200, PAID)
            await until(lambda: ben.node.credit.room(ann.owner).left <= 0 and not ben.node.worker.engagements, 3600)
            owes = ben.node.credit.debts()[ann.owner]
            assert 0.02 <= owes < 0.1  # the allowance, and what was under way when it was reached
            await ann.node.door.cancel(job)
            await ended(ann, job)
            second = await submit(ann, 4, PAID)
            await until(lambda: "work in return" in str(why(ann, second)), 3600)
            assert (await row(ben, ann))["left"] <= 0 and cat.alive
        finally:
            billing.Billing.bills = original  # type: ignore[method-assign]

    story(main)


def why(member: Member, job: str) -> object:
    return member.node.requester.why(job)


def test_who_gave_back_may_ask_again() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, ben, cat = [await swarm.add(name, behaviour=MANY, credit_strangers=0.5) for name in ("ann", "ben", "cat")]
        swarm.net.mesh()
        await trio.sleep(1)
        await settled_with([ann, ben, cat], ann, 12)
        room = ben.node.credit.room(ann.owner).left
        await settled_with([ann, ben, cat], ben, 12)
        assert ben.node.credit.room(ann.owner).left > room
        assert abs((await row(ben, ann))["balance"]) < (await row(ben, ann))["for_me"]["credits"]

    story(main)


def test_a_worker_signs_nothing_above_what_it_did_nor_below_its_price_nor_twice() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, ben, cat = await strangers(swarm, "ann", "ben", "cat", behaviour=MANY)
        original, ann.node.credit.bills.waiting = billing.Billing.bills, lambda worker: []  # type: ignore[method-assign]
        try:
            billing.Billing.bills = lambda self, last=False: []  # type: ignore[method-assign]
            assert (await ended(ann, await submit(ann, 8, PAID)))["settled"] == 8
        finally:
            billing.Billing.bills = original  # type: ignore[method-assign]
        earnings = ben.node.credit.earnings
        job, held = next(iter(earnings._jobs.items()))
        did = held.did
        fair = Work(held.tag, ann.id, ben.id, ann.owner, ben.owner, 1, did.blocks, did.core_hours, did.gpu_hours, did.credits)

        async def signs(work: Work, peer: Member = ann, name: JobId = job) -> bool:
            return await earnings.billed(peer.id, Billed(name, codec.encode_work(work))) is not None

        assert not await signs(replace(fair, core_hours=2 * did.core_hours, credits=2 * did.credits))
        assert not await signs(replace(fair, blocks=did.blocks + 1))
        assert not await signs(replace(fair, credits=did.credits / 2))
        assert not await signs(replace(fair, requester_owner=cat.owner))
        assert not await signs(replace(fair, worker_owner=cat.owner))
        assert not await signs(replace(fair, requester=cat.id), cat)
        assert not await signs(fair, cat)
        assert not await signs(fair, name=JobId(bytes(32)))
        assert held.signed.blocks == 0
        half = replace(fair, blocks=1, core_hours=did.core_hours / 2, credits=did.credits / 2)
        assert await signs(half) and await signs(half), "asked again, it says the same"
        assert not await signs(replace(half, blocks=2)), "another bill of that number"
        assert not await signs(replace(fair, number=2)), "together it would be more than it did"
        assert await signs(replace(half, number=3))

    story(main)


def test_what_is_signed_is_what_was_asked_for_and_is_entered_once() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, ben, cat = await strangers(swarm, "ann", "ben", "cat", behaviour=MANY)
        job = JobId(b"j" * 32)
        work = Work(TAG, ann.id, ben.id, ann.owner, ben.owner, 1, 4, 2.0, 0.0, 2.0)
        key = node_public(ben.id) + job + u32(1)
        await ann.journal.commit([Put("bill", key, encode([codec.encode_work(work), str(Ring(RingKind.PUBLIC)), 0]))])
        bills = ann.node.credit.bills
        more = codec.seal_work(replace(work, credits=9.0), ben.keys.node)
        with pytest.raises(Malformed):
            await bills.countersigned(ben.id, Countersigned(job, more))
        right = Countersigned(job, codec.seal_work(work, ben.keys.node))
        with pytest.raises(Malformed):  # cat brings what ben signed: there is no such bill for it
            other = codec.seal_work(replace(work, worker=cat.id), cat.keys.node)
            await bills.countersigned(ben.id, Countersigned(job, other))
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(bills.countersigned, ben.id, right)
        await bills.countersigned(ben.id, right)
        held = [entry for entry in await ann.node.door.ledger() if entry["kind"] == "receipt"]
        assert len(held) == 1 and (await row(ann, ben))["balance"] == -2.0

    story(main)


def test_work_that_was_never_paid_is_held_against_its_requester_however_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(swarm: FakeSwarm) -> None:
        ben, ann = await swarm.add("ben"), await swarm.add("ann", work=False)
        earnings = ben.node.credit.earnings
        rate = Rate(ann.owner, ann.owner, TAG, 1.0, 10.0, 0.0)
        open_unpaid, over_unpaid, over_paid, open_paid, free = jobs = [JobId(bytes([n]) * 32) for n in range(5)]
        for job in jobs:
            await ben.journal.commit([earnings.did(job, ann.id, replace(rate, price=0.0) if job is free else rate, [Usage(cpu_s=3600.0)])])
        for job in (over_paid, open_paid):
            work = Work(TAG, ann.id, ben.id, ann.owner, ben.owner, 1, 1, 0.9, 0.0, 0.9)
            assert await earnings.billed(ann.id, Billed(job, codec.encode_work(work)))
        for job in (over_unpaid, over_paid):
            await earnings.closed(job, ann.id)
        await earnings.tidy()
        assert len(earnings._jobs) == 5
        for held in earnings._jobs.values():
            held.unix -= 100 * 86400
        await earnings.tidy()
        assert list(earnings._jobs) == [open_unpaid, over_unpaid]
        assert Earnings(ben.node.world).unpaid()[ann.owner].credits == pytest.approx(2.0), "nor is it gone from the disk"
        earnings._jobs[open_unpaid].unix = ben.clock.unix()
        monkeypatch.setattr("ctorrent.node.earnings.JOBS_MAX", 0)
        await earnings.tidy()
        assert list(earnings._jobs) == [open_unpaid], "there is an end to what is remembered, but for what is under way"

    story(main)


def test_accounts_follow_what_is_learned_of_whose_a_node_is() -> None:
    """Its network first, then its certificate, while no receipt comes."""

    async def main(swarm: FakeSwarm) -> None:
        ann, zoe = await swarm.add("ann"), Signer(b"z" * 32)
        node, owner = node_id(zoe.public), owner_id(Signer(b"o" * 32).public)
        work = codec.seal_work(Work(TAG, ann.id, node, ann.owner, OwnerId(""), 1, 1, 5.0, 0.0, 5.0), zoe)
        await ann.node.scribe.write(Ring(RingKind.PUBLIC), EntryKind.RECEIPT, codec.encode_receipt(work))
        credit, people = ann.node.credit, ann.node.people
        people._remember(PeerIdentity(node, None), b"")
        assert list(credit.accounts().with_me) == [node]
        credit.bills.persons.note(node, "net_10.0.0")
        assert list(credit.accounts().with_me) == ["net_10.0.0"]
        people._remember(PeerIdentity(node, owner), b"")
        assert list(credit.accounts().with_me) == [owner]

    story(main)


def test_a_receipt_that_names_me_without_my_word_moves_nothing() -> None:
    """Ann and Cat sign that Ben's owner owes Cat a million; and Ann publishes as hers what Ben signed for Cat."""

    async def main(swarm: FakeSwarm) -> None:
        ann, ben, cat = await strangers(swarm, "ann", "ben", "cat", behaviour=MANY)
        await settled_with([ann, ben, cat], ann, 4)
        before = (await row(ben, ann))["balance"], (await row(ben, cat))["balance"]
        lie = Work(TAG, ann.id, cat.id, ben.owner, cat.owner, 1, 1, 1e6, 0.0, 1e6)
        await ann.node.scribe.write(Ring(RingKind.PUBLIC), EntryKind.RECEIPT, codec.encode_receipt(codec.seal_work(lie, cat.keys.node)))
        stolen = Work(TAG, cat.id, ben.id, cat.owner, ben.owner, 2, 1, 5.0, 0.0, 5.0)
        await ann.node.scribe.write(Ring(RingKind.PUBLIC), EntryKind.RECEIPT, codec.encode_receipt(codec.seal_work(stolen, ben.keys.node)))
        await trio.sleep(5)
        assert ((await row(ben, ann))["balance"], (await row(ben, cat))["balance"]) == before

    story(main)


def test_a_friends_debt_to_a_stranger_opens_a_path() -> None:
    """Cat worked for Ann, Ann is Ben's friend: Ben works for Cat beyond a stranger's allowance, by that much."""

    async def main(swarm: FakeSwarm) -> None:
        ann, ben, cat = await strangers(swarm, "ann", "ben", "cat", behaviour=MANY)
        await swarm.befriend(ann, ben)
        before = ben.node.credit.room(cat.owner)
        await settled_with([ann, ben, cat], ann, 12)
        owes = -(await row(ann, cat))["balance"]
        assert owes > 0
        await until(lambda: ben.node.credit.room(cat.owner).backed > 0, 600)
        found = ben.node.credit.room(cat.owner)
        assert found.backed == pytest.approx(owes) and found.limit == pytest.approx(before.limit + owes)

    story(main)


def test_work_of_those_who_took_and_gave_nothing_lets_others_go_first() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ben = await swarm.add("ben")
        share, order = ben.node.share, list[str]()
        needs = Needs(cpu=share.slots)

        async def unit(name: str, waits: bool, hold_s: float = 1.0) -> None:
            async with share.unit(needs, waits):
                order.append(name)
                await trio.sleep(hold_s)

        async with trio.open_nursery() as nursery:
            for name, waits in (("first", False), ("taker", True), ("giver", False), ("other taker", True), ("other giver", False)):
                nursery.start_soon(unit, name, waits)
                await trio.sleep(0.1)
        assert order == ["first", "giver", "other giver", "taker", "other taker"]
        assert share.slots_free == share.slots

    story(main)


def test_a_unit_that_stops_waiting_leaves_nothing_taken() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ben = await swarm.add("ben")
        share = ben.node.share
        whole, one = Needs(cpu=share.slots), Needs(cpu=1)
        done: list[str] = []

        async def small(number: int) -> None:
            async with share.unit(one):
                done.append(f"small {number}")
                await trio.sleep(1)

        async with share.unit(one), trio.open_nursery() as nursery:
            with trio.move_on_after(0.5):  # it waits in vain, and others pass it
                nursery.start_soon(small, 1)
                async with share.unit(whole):
                    done.append("whole")
            nursery.start_soon(small, 2)
        assert done == ["small 1", "small 2"] and share.slots_free == share.slots

    story(main)


def test_gpu_hours_are_paid_at_the_gpu_price(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann = await swarm.add("ann", work=False)
        rest = [await swarm.add(name, hardware=machine(gpus=1), price_gpu=30.0, behaviour=MANY) for name in ("ben", "cat")]
        monkeypatch.setattr(FakeCell, "run", held_gpu)
        swarm.net.mesh()
        await trio.sleep(1)
        await settled_with([ann, *rest], ann, 4, "ring: public\nprice: 3\nneeds: {gpu: 1}\n")
        did = (await row(ann, rest[0]))["for_me"]
        assert did["gpu_hours"] > 0
        assert did["credits"] == pytest.approx(3.0 * (did["core_hours"] + GPU_CORES * did["gpu_hours"]))

    story(main)


async def held_gpu(cell: FakeCell, *given: Any) -> list[Outcome]:
    """Its blocks hold a GPU for as long as they run."""
    return [replace(one, usage=replace(one.usage, gpu_s=one.usage.wall_s)) for one in await RUN(cell, *given)]


def test_a_person_is_named_or_refused_in_words() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, ben, cat = await strangers(swarm, "ann", "ben", "cat", behaviour=MANY)
        await settled_with([ann, ben, cat], ann, 4)
        door = ann.node.door
        for word in ("ben", ben.owner, ben.id, ben.owner[:12], ben.owner[-8:], f"…{ben.owner[-10:]}"):
            assert (await door.credit(word))[0]["person"] == ben.owner
        for word in ("own_", "zed", "e"):
            with pytest.raises(LocalError, match=r"names (nobody|2 persons) with an account here"):
                await door.credit(word)

    story(main)
