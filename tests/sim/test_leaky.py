"""A program that is not safe to run with others in one process, among strangers: it is found out, and nobody pays for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import trio

from ctorrent import canon
from ctorrent.model.ids import NodeId
from ctorrent.testing import simulate
from ctorrent.testing.fake_sandbox import PROGRAMS, Behaviour, FakeSandbox, mix
from ctorrent.testing.fake_swarm import open_swarm
from ctorrent.verify import words as q
from ctorrent.verify.jury import Jury

from .mutants import replaced
from .story import JOB
from .strangers import recant

BLOCKS, WORKERS, LIARS = 600, 6, 2
QUICK = (0.001, 0.003)  # seconds: such blocks share a process


@dataclass(slots=True)
class Seen:
    """What the jury did, and what came of it."""

    apart: bool = False
    expelled: list[NodeId] = field(default_factory=list)
    early: set[int] = field(default_factory=set)  # final before coalescing was turned off
    state: str = ""
    wrong: set[int] = field(default_factory=set)
    liars: list[NodeId] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)  # worker -> its state, as its person reads it
    notes: list[str] = field(default_factory=list)


@contextmanager
def watched(seen: Seen) -> Iterator[None]:
    handle = Jury.handle

    def noted(self: Jury, event: q.Event, now: float = 0.0) -> list[q.Effect]:
        out = handle(self, event, now)
        for effect in out:
            match effect:
                case q.CoalesceOff():
                    seen.apart = True
                case q.Expelled(worker=worker):
                    seen.expelled.append(worker)
                case q.Settled(indices=indices) if not seen.apart:
                    seen.early.update(indices)
                case _:
                    pass
        return out

    with replaced(Jury, "handle", noted):
        yield


def tell(seed: int, assurance: str, leak: float, liars: int = 0) -> Seen:
    """One public job. liars: workers that lie at first, and recant when they are asked again, alone."""

    async def main(simulation: simulate.Simulation) -> Seen:
        async with open_swarm(simulation) as swarm:
            boxes = [FakeSandbox(simulation.dice(f"{n} box"), PROGRAMS, Behaviour(QUICK, leak=leak)) for n in range(WORKERS + 1)]
            for box in boxes[1 : 1 + liars]:
                recant(box, 0.5, simulation.dice("lies"))
            ann, *rest = [await swarm.add(f"node {n}", sandbox=box) for n, box in enumerate(boxes)]
            seen.liars = [one.id for one in rest[:liars]]
            swarm.net.mesh(4)
            await trio.sleep(1.0)
            text = f"python: mix.py:mix\nblocks: {{count: {BLOCKS}}}\nring: public\nprice: 2\nverify: {{assurance: {assurance}}}\n"
            job = await ann.node.door.submit(str(JOB), text, {})
            while (state := str((await ann.node.door.job(job))["state"])) in ("waiting", "running"):  # noqa: ASYNC110 - the clock is simulated
                await trio.sleep(1.0)
            seen.state = state
            status = await ann.node.door.job(job)
            seen.told, seen.notes = {line["node"]: line["state"] for line in status["workers"]}, status["notes"]
            for row in await ann.node.door.results(job):
                if row["value"] and canon.decode(row["value"]) != mix(canon.decode(row["params"]), row["seed"]):
                    seen.wrong.add(row["index"])
        return seen

    seen = Seen()
    with watched(seen):
        return simulate.run(seed, main, limit_s=3000)


@pytest.mark.parametrize("assurance", ["economy", "strict"])
@pytest.mark.parametrize("leak", [0.3, 1.0])
def test_honest_workers_of_a_leaky_program_are_not_expelled_and_its_job_ends_right(assurance: str, leak: float) -> None:
    seen = tell(1, assurance, leak)
    assert seen.apart and not seen.expelled and seen.state == "settled", (seen.expelled, seen.state)
    assert seen.wrong <= seen.early, "what was not final yet was run again, alone"


def test_liars_that_recant_when_asked_alone_do_not_pass_for_a_leaky_program() -> None:
    for seed in (1, 2):
        seen = tell(seed, "economy", 0.0, LIARS)
        assert not seen.apart and seen.state == "settled", seed
        assert seen.expelled and set(seen.expelled) <= set(seen.liars), seed
        assert {node for node, told in seen.told.items() if told == "expelled"} == set(seen.expelled)
        assert sum("was expelled: " in note for note in seen.notes) == len(seen.expelled)
