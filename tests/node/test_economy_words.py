"""What a job in economy says it waits for: its requester's own machine and owners known for their work answer alone."""

from __future__ import annotations

import pytest
import trio

from ctorrent.testing import simulate
from ctorrent.testing.fake_hardware import machine
from ctorrent.testing.fake_sandbox import Behaviour
from ctorrent.testing.fake_swarm import ended, open_swarm
from tests.sim.story import JOB

TEXT = "python: mix.py:mix\nblocks: {count: 12}\nring: public\nprice: 2\nverify: {assurance: economy}\n"
SLOW = Behaviour((2.0, 3.0))  # the job runs for longer than it takes to say that owners lack
NEWCOMERS = "waits for a second owner: newcomers' blocks are to be run by 2 owners and 1 is here."


@pytest.mark.parametrize(("own", "waits"), [(True, ""), (False, NEWCOMERS)])
def test_economy_waits_for_a_second_owner_only_where_nobody_is_known(own: bool, waits: str) -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann = await swarm.add("ann", work=own, behaviour=SLOW)
            if not own:
                await swarm.add("ben", behaviour=SLOW)
            swarm.net.mesh(4)
            await trio.sleep(1.0)
            rehearsed = await ann.node.door.rehearse(str(JOB), TEXT, {"work": own, "rehearsal": False})
            assert rehearsed["economy"] and rehearsed["audited"], rehearsed
            assert bool(rehearsed["lacks"]) is not own, rehearsed["lacks"]
            job = await ann.node.door.submit(str(JOB), TEXT, {})
            said: set[str] = set()
            with trio.move_on_after(60.0):
                while (status := await ann.node.door.job(job))["state"] != "settled":
                    said.add(status["reason"].partition(" Invite")[0])
                    await trio.sleep(0.5)
            assert (status["state"] == "settled") is own, status
            assert any(words == NEWCOMERS for words in said) is bool(waits), said
            assert not any("every block" in words for words in said), said

    simulate.run(1, main, limit_s=600)


def test_a_job_without_a_price_says_that_strangers_ask_for_one() -> None:
    dear = "1 other asks for more than its price, 0: submit it with a higher one (price: 1)"

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, ben = await swarm.add("ann", work=False), await swarm.add("ben", behaviour=SLOW)
            await swarm.add("cat", behaviour=SLOW)
            await swarm.befriend(ann, ben)  # who asks nothing of a friend
            swarm.net.mesh(4)
            await trio.sleep(1.0)
            free = TEXT.replace("price: 2\n", "")
            job = await ann.node.door.submit(str(JOB), free, {})
            said: set[str] = set()
            with trio.move_on_after(60.0):
                while not any(dear in words for words in said):
                    said.add((await ann.node.door.job(job))["reason"])
                    await trio.sleep(0.5)
            assert f"{NEWCOMERS} {dear}" in said

    simulate.run(1, main, limit_s=600)


def test_a_homogeneous_job_says_that_its_owners_have_hardware_of_different_classes() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, ben = await swarm.add("ann"), await swarm.add("ben", hardware=machine(arch="aarch64"))
            await swarm.befriend(ann, ben)
            swarm.net.mesh()
            await trio.sleep(1.0)
            job = await ann.node.door.submit(str(JOB), "python: mix.py:mix\nblocks: {count: 30}\nverify: {homogeneous: true}\n", {})
            await trio.sleep(20.0)
            words = (await ann.node.door.job(job))["reason"]
            assert words.startswith("waits for one more owner with the same class of hardware as one that is here") and "1 with aarch64" in words, words
            assert (await ann.node.door.why(job))["waits_for"] == words
            cat = await swarm.add("cat")
            await swarm.befriend(ann, cat)
            swarm.net.mesh()
            status = await ended(ann, job)
            assert status["state"] == "settled" and ben.id not in {row["node"] for row in status["workers"]}, status

    simulate.run(1, main, limit_s=600)
