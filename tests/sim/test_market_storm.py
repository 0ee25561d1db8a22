"""Hundreds of nodes hear one announcement: the requester serves as many sessions as it said, and the job is done.

    CTORRENT_FULL=1 python -m pytest tests/sim/test_market_storm.py     a thousand nodes
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from ctorrent.testing import fake_streams, simulate
from ctorrent.testing.fake_swarm import Member, ended, open_swarm

from .mutants import replaced

JOB = Path(__file__).parent / "jobs" / "mix.yaml"
TEXT = JOB.read_text()
FULL = os.environ.get("CTORRENT_FULL") == "1"
NODES = 1000 if FULL else 300


def storm(nodes: int, sessions_max: int) -> tuple[int, int, str, list]:
    """-> (most sessions at once, nodes that heard the announcement, the job's state, charges)."""

    async def main(simulation: simulate.Simulation) -> tuple[int, int, str, list]:
        async with open_swarm(simulation) as swarm, trio.open_nursery() as nursery:
            requester = await swarm.add("requester", work=False, sessions_max=sessions_max)
            workers = [await swarm.add(f"worker {n}") for n in range(nodes)]
            for worker in workers:
                await swarm.befriend(requester, worker)
            swarm.net.mesh(4)
            await trio.sleep(1.0)
            seen: list[int] = []
            nursery.start_soon(watch, requester, seen)
            job = await requester.node.door.submit(str(JOB), TEXT, {})
            await trio.sleep(4.0)
            status = await ended(requester, job)
            nursery.cancel_scope.cancel()
            heard = sum(bool(worker.node.worker._heard) for worker in workers)
            return max(seen), heard, status["state"], swarm.net.charges

    return simulate.run(5, main)


async def watch(requester: Member, seen: list[int]) -> None:
    """Look a thousand times a second: a dial takes ten of these looks at least."""
    while True:
        seen.append(requester.node.requester.sessions)
        await trio.sleep(0.001)


@pytest.mark.slow
def test_many_nodes_and_one_announcement_stay_within_the_session_limit() -> None:
    with replaced(fake_streams, "INBOUND", NODES):  # a thousand fill what a node has of channels, and so do fewer then
        most, heard, state, charges = storm(NODES, sessions_max=64)
    assert heard >= 0.99 * NODES, "the announcement reached everyone who was connected"
    assert most == 64, "the limit was reached, and never passed"
    assert state == "settled"
    assert charges == [], "who came when all places were taken did nothing wrong"


def test_without_the_limit_the_storm_would_be_felt() -> None:
    assert storm(100, sessions_max=10_000)[0] > 64
