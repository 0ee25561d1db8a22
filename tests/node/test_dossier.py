"""What workers signed for a job is kept with it, through a crash, and goes with it."""

from __future__ import annotations

from pathlib import Path

import trio

from ctorrent.model.ids import node_public
from ctorrent.model.result import commitment, output_digest
from ctorrent.node import dossier
from ctorrent.node.jobbook import load_end
from ctorrent.testing import simulate
from ctorrent.testing.fake_sandbox import Behaviour
from ctorrent.testing.fake_swarm import ended, open_swarm
from ctorrent.wire import codec

JOB = Path(__file__).parents[1] / "sim" / "jobs" / "mix.yaml"
BLOCKS = 40


def test_every_settled_block_has_the_signatures_it_stands_on_also_after_a_crash() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        slow = Behaviour(block_s=(1.0, 2.0))
        async with open_swarm(simulation) as swarm:
            ann = await swarm.add("ann", work=False)
            ben, cat = [await swarm.add(name, behaviour=slow, slots=2) for name in ("ben", "cat")]
            for one in (ben, cat):
                await swarm.befriend(ann, one)
            swarm.net.mesh()
            await trio.sleep(1)
            name = await ann.node.door.submit(str(JOB), f"python: mix.py:mix\nblocks: {{count: {BLOCKS}}}\n", {})
            await trio.sleep(8)
            assert ann.journal.scan("dossier"), "something came back before the crash"
            await swarm.crash(ann)
            await swarm.start(ann)
            swarm.net.mesh()
            assert (await ended(ann, name))["state"] == "settled"

            record = ann.node.requester.find(name)
            held = {kept.id: kept for kept in dossier.of_job(ann.journal, record.id, ann.id)}
            index = dossier.by_index(ann.journal, record.id)
            assert sorted(index) == list(range(BLOCKS))
            for block, assignments in index.items():
                end = load_end(ann.journal, record.id, block)
                assert end is not None
                signers = {held[one].opened().worker for one in assignments}
                assert set(end.workers) <= signers
                for identifier in assignments:
                    kept = held[identifier]
                    result, line = kept.opened(), kept.at(block)
                    opening = kept.openings[line]
                    assert opening.output == output_digest(end.output)
                    made = commitment(kept.id, result.blocks[line].block, result.worker, opening.nonce, opening.output)
                    assert made == result.blocks[line].commitment
                    assert kept.assignment is not None
                    assignment, signer = codec.open_assignment(kept.assignment)
                    assert signer == ann.id and assignment.worker == result.worker
            assert dossier.by_assignment(ann.journal, record.id, index[0][0], ann.id) == held[index[0][0]]
            assert node_public(ann.id) == held[index[0][0]].assignment.public  # type: ignore[union-attr]

            await ann.node.retention.forget(record)
            assert not ann.journal.scan("dossier")

    simulate.run(3, main)
