"""What a job of this node settled is not run again by its next one."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
import trio

from ctorrent.canon import encode
from ctorrent.model.ids import Digest, NodeId, Ring, RingKind
from ctorrent.model.job import Assurance, Equality, Manifest, Program, ProgramKind, Verify
from ctorrent.node import records
from ctorrent.node.memory import MemoryRules
from ctorrent.node.memory_key import Policy
from ctorrent.node.receipt_read import read
from ctorrent.node.receipt_words import findings
from ctorrent.ports import Put
from ctorrent.testing.fake_sandbox import Behaviour
from ctorrent.testing.fake_swarm import FakeSwarm, Member, ended
from tests.node.test_lives import KILLED, story
from tests.node.test_stories import JOB, friends, state, until

PLAIN = "python: plain.py:plain\nblocks: {items: [%s]}\n"


async def ask(member: Member, items: range, more: str = "", program: str = "plain.py:plain", **options: Any) -> dict[str, Any]:
    """The last status of a job of these items, with its values and how many blocks all sandboxes ran for it."""
    text = PLAIN % ", ".join(map(str, items)) + more
    job = await member.node.door.submit(str(JOB), text.replace("plain.py:plain", program), options)
    status = await ended(member, job)
    rows = await member.node.door.results(job, -1, 1000)
    return {**status, "values": [row.get("value") for row in rows], "rows": rows}


def broken(params: dict[str, Any], seed: int) -> int:
    raise ValueError("no")


def ran(swarm: FakeSwarm) -> int:
    return sum(member.sandbox.blocks_run for member in swarm.members.values())


async def remembered(member: Member, count: int) -> None:
    await until(lambda: member.node.requester.memory.entries == count, 10)


def test_the_same_blocks_are_not_run_again_and_new_ones_are() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, *_ = await friends(swarm, "ann", "ben", "cat")
        first = await ask(ann, range(20))
        await remembered(ann, 20)
        before = ran(swarm)
        again = await ask(ann, range(20))
        assert again["state"] == "settled" and again["settled"] == 20 and ran(swarm) == before, "nobody was asked"
        assert again["values"] == first["values"]
        assert again["replicas_done"] == 0 and again["report"]["assignments"] == 0 and again["report"]["block_s"] == 0
        assert any(f"All 20 blocks were known from job {first['job']}" in note for note in again["notes"]), again["notes"]
        assert [row[1] for row in (await ann.node.door.blocks(again["job"]))["changed"]] == ["settled"] * 20
        more = await ask(ann, range(10, 40))
        assert any(f"10 of 30 blocks were known from job {first['job']}" in note for note in more["notes"]), more["notes"]
        assert more["settled"] == 30 and ran(swarm) - before == 40, "twenty blocks by two"
        assert more["values"][:10] == first["values"][10:]
        known = [row for row in more["rows"] if row.get("words") == f"known from job {first['job']}"]
        assert len(known) == 10 and all(row["agreed"] == 2 and len(row["workers"]) == 2 for row in known), "with its votes"
        answer = await ann.node.door.answer(again["job"])
        assert answer["ready"]
        data = b"".join([item["bytes"] async for item in ann.node.door.receipt(more["job"])])
        book = read(io.BytesIO(data))
        assert not book.wrongs, book.wrongs
        found = list(findings(book))
        assert not [one for one in found if one.verdict == "wrong"], found
        assert any("10 settled outputs stand on no worker's signature that is in this file" in one.words for one in found), "and says so"

    story(main)


def test_a_job_that_is_known_is_not_announced() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, ben, _ = await friends(swarm, "ann", "ben", "cat")
        await ask(ann, range(5))
        await remembered(ann, 5)
        rounds = len(ann.journal.scan("round"))
        await swarm.crash(ben, KILLED)
        await ask(ann, range(5))
        assert len(ann.journal.scan("round")) == rounds

    story(main)


def test_what_is_appended_to_an_open_job_is_known_too() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, *_ = await friends(swarm, "ann", "ben", "cat")
        first = await ask(ann, range(10))
        await remembered(ann, 10)
        before = ran(swarm)
        job = await ann.node.door.submit(str(JOB), PLAIN % "100", {"open": True})
        await ann.node.door.append(job, [encode({"item": item}) for item in range(12)])
        await ann.node.door.seal(job)
        status = await ended(ann, job)
        rows = await ann.node.door.results(job, -1, 1000)
        assert status["state"] == "settled" and status["settled"] == 13 and status["cross_validated"]
        assert [row["value"] for row in rows[1:11]] == first["values"]
        assert ran(swarm) - before == 6, "three blocks by two"
        shown = await ann.node.door.blocks(job)
        assert [row[1] for row in shown["changed"]] == ["settled"] * 13
        assert any("were known from earlier jobs" in note for note in status["notes"]), status["notes"]

    story(main)


def test_a_draw_is_only_known_under_its_own_seed() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, *_ = await friends(swarm, "ann", "ben", "cat")
        drawn = await ask(ann, range(8), program="mix.py:mix")
        anew = await ask(ann, range(8), program="mix.py:mix")
        assert not set(drawn["values"]) & set(anew["values"]) and anew["replicas_done"] == 16, "a draw anew is a draw anew"
        seeded = await ask(ann, range(8), "seed: 5\n", program="mix.py:mix")
        assert seeded["replicas_done"] == 16
        await remembered(ann, 24)
        same = await ask(ann, range(8), "seed: 5\n", program="mix.py:mix")
        assert same["values"] == seeded["values"] and same["replicas_done"] == 0
        other = await ask(ann, range(8), "seed: 6\n", program="mix.py:mix")
        assert not set(other["values"]) & set(same["values"]) and other["replicas_done"] == 16

    story(main)


@pytest.mark.parametrize("how", [{"more": "memo: false\n"}, {"memo": False}])
def test_who_wants_no_memory_gets_none_and_leaves_none(how: dict[str, Any]) -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, *_ = await friends(swarm, "ann", "ben", "cat")
        assert (await ask(ann, range(4), **how))["replicas_done"] == 8
        assert (await ask(ann, range(4)))["replicas_done"] == 8, "nothing was left"
        await remembered(ann, 4)
        assert (await ask(ann, range(4), **how))["replicas_done"] == 8, "nothing is taken"

    story(main)


def test_more_owners_or_nearer_numbers_are_asked_for_anew() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, *_ = await friends(swarm, "ann", "ben", "cat", "dan")
        await ask(ann, range(4))
        await remembered(ann, 4)
        assert (await ask(ann, range(4), "verify: {replicas: 3}\n"))["replicas_done"] == 12
        assert (await ask(ann, range(4), "verify: {replicas: 3}\n"))["replicas_done"] == 0, "now three agreed"
        assert (await ask(ann, range(4), "verify: {replicas: 1}\n"))["replicas_done"] == 0
        assert (await ask(ann, range(4), "verify: {equal: exact}\n"))["replicas_done"] == 8

    story(main)


def test_a_lone_answer_is_kept_only_from_ones_own_machine() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, *_ = await friends(swarm, "ann", "ben")
        one = await ask(ann, range(4), "verify: {replicas: 1}\n", work=False)
        assert one["replicas_done"] == 4 and ann.node.requester.memory.entries == 0, "a friend alone gave them"

    async def alone(swarm: FakeSwarm) -> None:
        ann = await swarm.add("ann")
        assert (await ask(ann, range(4), "verify: {replicas: 1}\n"))["replicas_done"] == 4
        await remembered(ann, 4)
        assert (await ask(ann, range(4), "verify: {replicas: 1}\n"))["replicas_done"] == 0
        drawn = await ask(ann, range(4), "verify: {replicas: 1}\nseed: 5\n", program="mix.py:mix")
        assert drawn["replicas_done"] == 4 and ann.node.requester.memory.entries == 4, "nobody checked whether its seed decides it"

    story(main)
    story(alone)


def test_failures_and_wavering_programs_leave_nothing() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, *_ = await friends(swarm, "ann", "ben", "cat", behaviour=Behaviour(waver=1.0))
        job = await ann.node.door.submit(str(JOB), PLAIN % "1, 2, 3", {})
        with trio.fail_after(600):
            while await state(ann, job) != "paused":  # noqa: ASYNC110 - nothing signals it, and the clock is simulated
                await trio.sleep(0.2)
        for one in swarm.members.values():
            one.sandbox.behaviour = Behaviour()
        await ann.node.door.resume(job)
        await ended(ann, job)
        assert ann.node.requester.memory.entries == 0
        for one in swarm.members.values():
            one.sandbox.programs = {"plain.py:plain": broken}
        failed = await ask(ann, range(3))
        assert failed["failed"] == 3 and ann.node.requester.memory.entries == 0

    story(main)


def test_it_outlives_a_restart_and_what_is_damaged_is_run_again() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, *_ = await friends(swarm, "ann", "ben", "cat")
        first = await ask(ann, range(6))
        await remembered(ann, 6)
        await swarm.crash(ann, KILLED)
        await swarm.start(ann)
        swarm.net.mesh()
        assert ann.node.requester.memory.entries == 6
        rows = ann.journal.scan("memory")
        damaged = [
            Put("memory", rows[0][0], b"\x01nonsense"),  # of another version
            Put("memory", rows[1][0], encode([*records.load(rows[1][1])[:3], b"\x00\x05", *records.load(rows[1][1])[4:]])),
            Put("memory", rows[2][0], encode([1, 2, 3])),
        ]
        await ann.journal.commit(damaged)
        again = await ask(ann, range(6))
        assert again["values"] == first["values"] and again["replicas_done"] == 6, "three blocks by two"
        await remembered(ann, 6)
        assert (await ask(ann, range(6)))["replicas_done"] == 0

    story(main)


def test_the_oldest_go_first_and_one_job_never_fills_it() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, *_ = await friends(swarm, "ann", "ben", "cat")
        memory = ann.node.requester.memory
        memory.rules = MemoryRules(entries_max=10, job_entries_max=6)
        await ask(ann, range(9))
        await remembered(ann, 6)
        ann.clock.suspend(2 * 86_400)
        assert (await ask(ann, range(3)))["replicas_done"] == 0, "used today"
        await ask(ann, range(20, 26))
        await remembered(ann, 10)
        assert (await ask(ann, range(3)))["replicas_done"] == 0
        assert len(ann.journal.scan("memory")) == len(ann.journal.scan("memory-age")) == 10
        memory.rules = MemoryRules(bytes_max=1)
        await ask(ann, range(40, 41))
        await remembered(ann, 0)
        assert ann.journal.scan("memory") == [] and memory.bytes == 0

    story(main)


def test_gc_counts_it_and_forgets_it() -> None:
    async def main(swarm: FakeSwarm) -> None:
        ann, *_ = await friends(swarm, "ann", "ben", "cat")
        await ask(ann, range(5))
        await remembered(ann, 5)
        (row,) = [row for row in await ann.node.door.gc(True) if row["what"] == "remembered results"]
        assert row["count"] == 5 and row["bytes"] > 0
        await ann.node.door.gc(False)
        assert ann.node.requester.memory.entries == 0 and ann.journal.scan("memory") == []
        assert (await ask(ann, range(5)))["replicas_done"] == 10

    story(main)


FRIENDS = Ring(RingKind.FRIENDS, "ann")  # type: ignore[arg-type]
SWARM = Ring(RingKind.SWARM, "root")  # type: ignore[arg-type]


def manifest(ring: Ring = FRIENDS, **verify: Any) -> Manifest:
    program = Program(ProgramKind.PYTHON, Digest(bytes(32)), "a.py:f")
    return Manifest(NodeId("ann"), bytes(16), ring, program, 0, Digest(bytes(32)), 0, 0, verify=Verify(**verify))


@pytest.mark.parametrize(
    ("had", "wants", "serves"),
    [
        (manifest(), manifest(), True),
        (manifest(), manifest(replicas=3), False),
        (manifest(rtol=1e-9), manifest(rtol=1e-6), True),
        (manifest(rtol=1e-3), manifest(rtol=1e-6), False),
        (manifest(equal=Equality.NUMERIC), manifest(), False),
        (manifest(check="judge.py:right"), manifest(), True),
        (manifest(), manifest(check="judge.py:right"), False),
        (manifest(assurance=Assurance.ECONOMY), manifest(), False),
        (manifest(), manifest(assurance=Assurance.ECONOMY, replicas=3), True),
        (manifest(), manifest(audit_share=0.5), False),
        (manifest(), manifest(homogeneous=True), False),
        (manifest(), manifest(Ring(RingKind.PUBLIC)), True),
        (manifest(), manifest(SWARM), True),
        (manifest(SWARM), manifest(SWARM), True),
        (manifest(SWARM), manifest(), False),
        (manifest(SWARM), manifest(replace(SWARM, root="another")), False),  # type: ignore[arg-type]
        (manifest(Ring(RingKind.PUBLIC)), manifest(SWARM), False),
    ],
)
def test_an_answer_serves_who_asks_for_no_more(had: Manifest, wants: Manifest, serves: bool) -> None:
    policy = Policy.of(had, 2)
    assert policy.serves(wants) is serves
    assert Policy.unpacked(policy.packed()).serves(wants) is serves
