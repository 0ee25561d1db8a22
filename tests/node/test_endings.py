"""Jobs that end otherwise than by their blocks, and starts that go otherwise than by default; on fake ports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio

from ctorrent.errors import Unavailable
from ctorrent.node.gate import JOIN_AGAIN_S, keep_joining
from ctorrent.node.node import _notes
from ctorrent.node.settings import Settings
from ctorrent.testing import simulate
from ctorrent.testing.fake_sandbox import Behaviour
from ctorrent.testing.fake_swarm import ended, open_swarm
from tests.node.test_stories import SLOW, friends, submit


def test_a_job_that_outlasts_its_own_time_is_cancelled_in_words() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, _ = await friends(swarm, "ann", "ben", behaviour=Behaviour(block_s=(4.0, 5.0)))
            job = await submit(ann, 200, "limits: {seconds: 30, job_seconds: 60}\n")
            with trio.fail_after(300):
                status = await ended(ann, job)
            assert (status["state"], status["reason"]) == ("cancelled", "the job's own limit of 60 s is over"), status
            assert 0 < status["settled"] < 200

    simulate.run(3, main)


def test_a_job_whose_inputs_a_power_cut_took_ends_and_says_so() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann, _ = await friends(swarm, "ann", "ben", behaviour=SLOW)
            job = await submit(ann, 40)
            await trio.sleep(5)
            record = ann.node.requester.find(job)
            await swarm.crash(ann)
            ann.blobs._unsynced.add(record.job.manifest.program.code)  # as if its sync had never happened
            ann.blobs.crash()
            await swarm.start(ann)
            status = await ended(ann, job)
            assert status["state"] == "failed" and "submit it again" in status["reason"], status

    simulate.run(4, main)


class AwayTwice:
    """A gate whose inviter answers at the third try."""

    def __init__(self) -> None:
        self.tries: list[float] = []

    async def join(self, address: str) -> str:
        self.tries.append(trio.current_time())
        if len(self.tries) < 3:
            raise Unavailable("the inviter cannot be reached")
        return address


def test_a_join_that_failed_is_tried_until_it_works() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        gate: Any = AwayTwice()
        with trio.fail_after(10 * JOIN_AGAIN_S):
            await keep_joining(gate, ["/ip4/127.0.0.1/tcp/1/p2p/x"])
        assert len(gate.tries) == 3
        assert all(later - earlier >= JOIN_AGAIN_S for earlier, later in zip(gate.tries, gate.tries[1:], strict=False))

    simulate.run(5, main)


def test_a_port_that_was_taken_is_said() -> None:
    here = ["/ip4/127.0.0.1/tcp/4271/p2p/x"]
    assert _notes(Settings(data_dir=Path()), here) == ["Port 4270 is taken here: this node listens on 4271."]
    assert _notes(Settings(data_dir=Path(), port=4271), here) == []
    assert _notes(Settings(data_dir=Path(), port=0), here) == []
    assert _notes(Settings(data_dir=Path(), listen=("127.0.0.1:4271",)), here) == []
