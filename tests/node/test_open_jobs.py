"""Jobs that take more blocks while they run: appended, sealed, over restarts, and against programs that ask for too much."""

from __future__ import annotations

import io
from contextlib import aclosing
from typing import Any

import pytest
import trio

from ctorrent import canon
from ctorrent.door import Plain
from ctorrent.errors import JobClosed, LocalError
from ctorrent.model.block import block_seed
from ctorrent.model.job import AmendmentKind
from ctorrent.node import growth
from ctorrent.node.receipt_read import read
from ctorrent.node.receipt_words import findings
from ctorrent.testing import simulate
from ctorrent.testing.fake_sandbox import mix
from ctorrent.testing.fake_swarm import Member, ended, open_swarm

from .test_stories import JOB, friends, state, until


async def begin(member: Member, count: int = 1, more: str = "", **options: Any) -> str:
    text = f"python: mix.py:mix\nblocks: {{items: [{', '.join(f'{{x: {x}}}' for x in range(count))}]}}\n{more}"
    return await member.node.door.submit(str(JOB), text, {"open": True, **options})


def params(*numbers: int) -> list[bytes]:
    return [canon.encode({"x": number}) for number in numbers]


async def rows_of(member: Member, job: str) -> list[Plain]:
    return await member.node.door.results(job)


async def check_values(member: Member, job: str, numbers: list[int]) -> None:
    """Each block has the value that its parameters and its place in the job give."""
    seed = member.node.requester.find(job).job.manifest.seed
    rows = await rows_of(member, job)
    assert [(row["state"], canon.decode(row["value"])) for row in rows] == [
        ("settled", mix({"x": x}, block_seed(seed, at))) for at, x in enumerate(numbers)
    ]


async def settled(member: Member, job: str) -> int:
    return int((await member.node.door.job(job))["settled"])


async def wait_settled(member: Member, job: str, count: int) -> None:
    with trio.fail_after(600):
        while await settled(member, job) < count:  # noqa: ASYNC110 - nothing signals it, and the clock is simulated
            await trio.sleep(0.05)


def test_blocks_appended_at_any_time_are_run_and_the_seal_ends_the_job() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, ben, _ = await friends(swarm, "ann", "ben", "cat")
            job = await begin(ann, 3)
            await wait_settled(ann, job, 3)
            assert await state(ann, job) == "running", "it waits for more"
            assert growth.OPEN in (await ann.node.door.job(job))["notes"]
            assert await ann.node.door.append(job, params(10, 11)) == 3
            assert await ann.node.door.append(job, params(12)) == 5
            await wait_settled(ann, job, 6)
            links = ann.node.requester.find(job).links_of(AmendmentKind.BLOCKS)
            assert [(link.first_index, link.count) for link in links] == [(0, 3), (3, 2), (5, 1)]
            assert [one.seq for one in ben.node.worker.engagements.values()] == [3], "workers heard of every link"
            await ann.node.door.seal(job)
            await ann.node.door.seal(job)
            assert (await ended(ann, job))["state"] == "settled"
            await check_values(ann, job, [0, 1, 2, 10, 11, 12])

    simulate.run(1, main)


def test_it_goes_on_after_the_requester_lost_power_and_what_was_acknowledged_is_there() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, *_ = await friends(swarm, "ann", "ben", "cat")
            job = await begin(ann, 1)
            assert await ann.node.door.append(job, params(7, 8, 9)) == 1
            await swarm.crash(ann)
            await swarm.start(ann)
            swarm.net.mesh()
            assert await ann.node.door.append(job, params(20)) == 4
            await wait_settled(ann, job, 5)
            await ann.node.door.seal(job)
            await swarm.crash(ann)  # a seal is an order like another: one that was not kept is given again
            await swarm.start(ann)
            swarm.net.mesh()
            await ann.node.door.seal(job)
            assert (await ended(ann, job))["state"] == "settled"
            await check_values(ann, job, [0, 7, 8, 9, 20])

    for seed in range(3):
        simulate.run(seed, main)


def test_a_worker_that_comes_late_runs_what_was_appended_before_and_after() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            (ann,) = await friends(swarm, "ann", work=False)
            job = await begin(ann, 1, "verify: {replicas: 1}")
            await ann.node.door.append(job, params(*range(1, 40)))
            late = await swarm.add("late")
            await swarm.befriend(ann, late)
            swarm.net.mesh()
            await wait_settled(ann, job, 40)
            await ann.node.door.append(job, params(*range(40, 50)))
            await ann.node.door.seal(job)
            assert (await ended(ann, job))["settled"] == 50
            await check_values(ann, job, list(range(50)))

    simulate.run(2, main)


def test_outcomes_come_as_blocks_end_each_once_over_the_seal() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, *_ = await friends(swarm, "ann", "ben", "cat")
            job = await begin(ann, 2)
            seen: list[int] = []

            async def follow() -> None:
                async with aclosing(ann.node.door.outcomes(job)) as items:  # type: ignore[type-var]
                    async for item in items:
                        assert all(row["state"] == "settled" and canon.decode(row["value"]) >= 0 for row in item["rows"])
                        seen.extend(row["index"] for row in item["rows"])

            async with trio.open_nursery() as nursery:
                nursery.start_soon(follow)
                await until(lambda: len(seen) == 2)
                first = await ann.node.door.append(job, params(5, 6, 7))
                await until(lambda: len(seen) == 5)
                assert first == 2
                assert await state(ann, job) == "running"
                await ann.node.door.seal(job)
            assert sorted(seen) == [0, 1, 2, 3, 4]
            again: list[int] = []
            async with aclosing(ann.node.door.outcomes(job)) as items:  # type: ignore[type-var]
                async for item in items:
                    again += [row["index"] for row in item["rows"]]
            assert again == [0, 1, 2, 3, 4], "of a job that has ended, in the order of its blocks"

    simulate.run(3, main)


def test_the_same_append_made_twice_adds_once() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            (ann,) = await friends(swarm, "ann")
            job = await begin(ann, 1)
            door = ann.node.door
            assert await door.append(job, params(1, 2), first=1) == 1
            assert await door.append(job, params(1, 2), first=1) == 1, "its answer may have been lost on the way"
            with pytest.raises(LocalError, match=r"next block of job .* is 3, not 1"):
                await door.append(job, params(8, 9), first=1)
            assert len(await rows_of(ann, job)) == 3

    simulate.run(4, main)


def test_what_may_not_be_appended_is_refused_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: list[tuple[Any, Any, str]] = [
        ([], [], "one or more"), (["x"], [], "one or more"), ("abc", [], "one or more"), ([b"\xff\xff"], [], "not canonical"),
        ([canon.encode(5)], [], "no map"), ([canon.encode({"x": "y" * (64 << 10)})], [], "at most 65536"),
        (params(*range(5)) * 1000, [], "5000 blocks are appended at once"),
        ([canon.encode({"x": b"y" * 60_000})] * 200, [], "at once: at most 8388608"),
        (params(1), [[["../up", b"d" * 32]]], "no input"), (params(1), [[["a", b"d" * 32]]], "not in this node's store"),
        (params(1), [[], []], "inputs for 2 blocks and parameters for 1"), (params(1), [[["a", "/no/such"]]], "cannot be read"), (params(1), [[["a", 5]]], "no input"),
        (params(1), [[["a", b"d" * 32]] * 65], "at most 64"), (params(1), {}, "inputs for 0"),
    ]  # fmt: skip

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            (ann,) = await friends(swarm, "ann")
            job = await begin(ann, 1)
            for given, inputs, words in wrong:
                with pytest.raises(LocalError, match=words):
                    await ann.node.door.append(job, given, inputs)
            with pytest.raises(LocalError, match="no job"):
                await ann.node.door.append("zzzzzzzz", params(1))
            monkeypatch.setattr(growth, "BLOCKS_MAX", 3)
            with pytest.raises(JobClosed, match="more than 3 blocks"):
                await ann.node.door.append(job, params(1, 2, 3))
            monkeypatch.setattr(growth, "LINKS_MAX", 2)
            await ann.node.door.append(job, params(1))
            with pytest.raises(JobClosed, match="appended to 2 times"):
                await ann.node.door.append(job, params(2))
            await ann.node.door.seal(job)
            with pytest.raises(JobClosed, match=r"was sealed|has ended"):
                await ann.node.door.append(job, params(2))
            assert len(await rows_of(ann, job)) == 2

    simulate.run(5, main)


def test_a_job_that_was_not_open_or_has_ended_takes_nothing() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, *_ = await friends(swarm, "ann", "ben")
            plain = await begin(ann, 1, open=False)
            with pytest.raises(JobClosed, match="not submitted open"):
                await ann.node.door.append(plain, params(1))
            await ann.node.door.seal(plain)
            job = await begin(ann, 1)
            await ann.node.door.cancel(job)
            assert (await ended(ann, job))["state"] == "cancelled"
            with pytest.raises(JobClosed, match="has ended: it is cancelled"):
                await ann.node.door.append(job, params(1))
            await ann.node.door.seal(job)

    simulate.run(6, main)


def test_one_that_was_forgotten_open_seals_itself() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, *_ = await friends(swarm, "ann", "ben")
            job = await begin(ann, 2)
            await trio.sleep(growth.IDLE_S * 0.9)
            assert await state(ann, job) == "running"
            await ann.node.door.append(job, params(3))
            await trio.sleep(growth.IDLE_S * 0.9)
            assert await state(ann, job) == "running"
            await trio.sleep(growth.IDLE_S * 0.2)
            assert (await ended(ann, job))["settled"] == 3

    simulate.run(7, main)


def test_among_strangers_what_was_appended_is_settled_while_the_job_stays_open() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            members = [await swarm.add(name) for name in ("ann", "ben", "cat", "dan")]
            swarm.net.mesh()
            await trio.sleep(1)
            ann = members[0]
            job = await begin(ann, 4, "ring: public\nprice: 5")
            await wait_settled(ann, job, 4)
            await ann.node.door.append(job, params(*range(4, 12)))
            await wait_settled(ann, job, 12)
            await ann.node.door.seal(job)
            assert (await ended(ann, job))["state"] == "settled"
            await check_values(ann, job, list(range(12)))

    simulate.run(8, main)


def test_the_receipt_of_a_job_that_grew_proves_each_piece() -> None:
    async def main(simulation: simulate.Simulation) -> bytes:
        async with open_swarm(simulation) as swarm:
            ann, *_ = await friends(swarm, "ann", "ben")
            job = await begin(ann, 3)
            await ann.node.door.append(job, params(5, 6))
            await ann.node.door.append(job, params(7))
            await ann.node.door.seal(job)
            await ended(ann, job)
            return b"".join([item["bytes"] async for item in ann.node.door.receipt(job, True)])

    found = list(findings(read(io.BytesIO(simulate.run(9, main)))))
    assert not [one for one in found if one.verdict == "wrong"], found
    assert any("6 blocks" in one.words and "in 3 pieces, each before its first was handed out" in one.words for one in found), found
