"""The requester's own machine as a witness: what a worker can make it do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import trio

from ctorrent import canon
from ctorrent.model.ids import NodeId
from ctorrent.node.selfrun import TOGETHER_S
from ctorrent.testing import simulate
from ctorrent.testing.fake_sandbox import Behaviour
from ctorrent.testing.fake_swarm import open_swarm

JOB = "python: mix.py:mix\nblocks: {grid: {n: [0]}}\n"
BOB = NodeId("bob")
LONG = range(2000)  # a unit of somebody who claimed that blocks take no time


def test_a_unit_that_takes_hours_is_not_run_to_its_end_to_try_it(tmp_path: Path) -> None:
    """It would hold up every check of this node's, and its worker is not expelled while it is tried."""
    (tmp_path / "mix.py").write_text("def mix(n): pass\n")

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann = await swarm.add("ann", behaviour=Behaviour(block_s=(10.0, 10.0)))
            requester = ann.node.requester
            record, _ = await requester.submission.sample(tmp_path / "job.yaml", JOB, {})
            record.blocks = [replace(record.blocks[0], index=n, params=canon.encode({"n": n})) for n in LONG]
            began = trio.current_time()
            found = await requester.selfrun.together(record, 5, BOB, LONG)
            assert found.outputs is None
            assert trio.current_time() - began <= TOGETHER_S + 1
            assert ann.sandbox.open_cells == 0
            short = await requester.selfrun.together(record, 5, BOB, range(4, 8))
            assert short.outputs is not None and len(short.outputs) == 3

    simulate.run(1, main)
