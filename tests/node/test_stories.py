"""Whole nodes on fake ports: orders, crashes and replays, each a short story."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio

from ctorrent.model.session import Assign, Finished
from ctorrent.node.engagement import Engagement
from ctorrent.ports import Write
from ctorrent.testing import simulate
from ctorrent.testing.fake_sandbox import Behaviour
from ctorrent.testing.fake_swarm import FakeSwarm, Member, ended, open_swarm

JOB = Path(__file__).parents[1] / "sim" / "jobs" / "mix.yaml"
SLOW = Behaviour(block_s=(1.0, 2.0))


async def friends(swarm: FakeSwarm, *names: str, **how: Any) -> list[Member]:
    """Nodes that are all the first one's friends."""
    members = [await swarm.add(name, **how) for name in names]
    for one in members[1:]:
        await swarm.befriend(members[0], one)
    swarm.net.mesh()
    await trio.sleep(1)
    return members


async def submit(member: Member, count: int, more: str = "") -> str:
    return await member.node.door.submit(str(JOB), f"python: mix.py:mix\nblocks: {{count: {count}}}\n{more}", {})


async def until(look: Callable[[], Any], limit_s: float = 600.0) -> None:
    with trio.fail_after(limit_s):
        while not look():  # noqa: ASYNC110 - nothing signals it, and the clock is simulated
            await trio.sleep(0.05)


async def state(member: Member, job: str) -> str:
    return str((await member.node.door.job(job))["state"])


def test_a_resumed_job_that_wavers_ends_disputed_and_nobody_is_voted_against() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, *rest = await friends(swarm, "ann", "ben", "cat", behaviour=Behaviour(waver=1.0))
            job = await submit(ann, 12)
            while await state(ann, job) != "paused":  # noqa: ASYNC110 - likewise
                await trio.sleep(0.2)
            await ann.node.door.resume(job)
            status = await ended(ann, job)
            assert (status["state"], status["disputed"]) == ("failed", 12), status
            for one in (ann, *rest):
                assert not any(row["disputed"] for row in await one.node.door.reputation())

    for seed in range(3):
        simulate.run(seed, main)


def stalled_after_a_link(member: Member) -> trio.Event:
    """The disk takes the next amendment, and then nothing more: set once it is there."""
    commit, written = member.journal.commit, trio.Event()

    async def stalled(writes: Sequence[Write], durable: bool = True) -> None:
        if written.is_set():
            await trio.sleep_forever()
        await commit(writes, durable)
        if any(write.space == "amendment" for write in writes):
            written.set()
            await trio.sleep_forever()

    member.journal.commit = stalled  # type: ignore[method-assign]
    return written


def test_a_cancel_outlives_the_crash_that_follows_it() -> None:
    """The link is on the disk, the job's end is not: the next life ends it, with the reason that was given."""

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, _, _ = await friends(swarm, "ann", "ben", "cat", behaviour=SLOW)
            job = await submit(ann, 40)
            await trio.sleep(8)
            written = stalled_after_a_link(ann)
            await ann.node.door.cancel(job, "seen enough")
            await written.wait()
            assert await state(ann, job) == "running", "its end was not written"
            await swarm.crash(ann)
            del ann.journal.commit
            await swarm.start(ann)
            status = await ended(ann, job)
            assert (status["state"], status["reason"]) == ("cancelled", "seen enough"), status
            rows = await ann.node.door.results(job)
            assert {row["state"] for row in rows} == {"settled", "cancelled"}

    simulate.run(1, main)


def test_a_job_whose_requester_never_saw_a_second_owner_waits_for_it_after_a_restart() -> None:
    """The requester is back at once, its friends 20 s later: nothing is settled by one owner meanwhile."""

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, ben = await friends(swarm, "ann", "ben", behaviour=SLOW)
            job = await submit(ann, 30)
            await trio.sleep(6)
            await swarm.crash(ann)
            await swarm.start(ann)
            await trio.sleep(20)
            swarm.net.mesh()
            status = await ended(ann, job)
            assert status["state"] == "settled" and status["cross_validated"], status
            assert all(row["agreed"] == 2 for row in await ann.node.door.results(job))
            assert ben.alive

    simulate.run(2, main)


@contextmanager
def overheard(said: list[tuple[Engagement, Assign]]) -> Iterator[None]:
    """Note every assignment that reaches an engagement."""
    assign = Engagement.assign

    async def noted(self: Engagement, message: Assign) -> None:
        said.append((self, message))
        await assign(self, message)

    Engagement.assign = noted  # type: ignore[method-assign]
    try:
        yield
    finally:
        Engagement.assign = assign  # type: ignore[method-assign]


def test_an_assignment_said_again_is_not_answered_again() -> None:
    """Before its acknowledgement, after it, and after the worker's restart: there is one result for it."""

    async def main(simulation: simulate.Simulation) -> None:
        said: list[tuple[Engagement, Assign]] = []
        with overheard(said):
            async with open_swarm(simulation) as swarm:
                ann = await swarm.add("ann", work=False)
                ben = await swarm.add("ben", behaviour=SLOW, slots=1)
                await swarm.befriend(ann, ben)
                swarm.net.mesh()
                await trio.sleep(1)
                job = await submit(ann, 12, "verify: {replicas: 1}\ncoalesce: off\n")
                await until(lambda: ben.sandbox.blocks_run >= 3)
                await trio.sleep(0.3)
                engagement, first = said[0]
                await engagement.assign(first)
                await swarm.crash(ben, survivors=1000)
                await swarm.start(ben)
                swarm.net.mesh()
                await until(lambda: said[-1][0] is not engagement)
                await said[-1][0].assign(first)
                await ended(ann, job)
                assert ben.sandbox.blocks_run <= 13, "12 blocks, and the one that ran when the power went"
                await trio.sleep(5)
                assert not ben.journal.scan("undelivered"), "the job is over: nothing is remembered but that"
                assert ben.node.worker._owed.is_closed(engagement.id)

    simulate.run(7, main)


def test_nobody_but_its_requester_ends_a_job() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann = await swarm.add("ann", work=False)
            eve = await swarm.add("eve", work=False)
            ben = await swarm.add("ben", behaviour=SLOW)
            for one in (ann, eve):
                await swarm.befriend(one, ben)
            swarm.net.mesh()
            await trio.sleep(1)
            job = await submit(ann, 20, "verify: {replicas: 1}\n")
            await submit(eve, 40, "verify: {replicas: 1}\n")
            await trio.sleep(8)
            worker = ben.node.worker
            (line,) = [line for node, line in worker._lines.items() if node == eve.id]
            target = ann.node.requester.find(job).id
            assert target in worker.engagements
            async with trio.open_nursery() as nursery:
                await line._on(Finished(target), nursery)
            assert not worker.engagements[target].over.is_set()
            assert (await ended(ann, job))["state"] == "settled"

    simulate.run(8, main)
