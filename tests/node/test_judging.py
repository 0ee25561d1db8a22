"""Checks and scripts in the requester's own sandbox: real node code, a sandbox of plain functions."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio

from ctorrent import canon
from ctorrent.model.ids import NodeId
from ctorrent.model.result import Outcome, output_digest
from ctorrent.node.judging import BATCH, Answer, Judging
from ctorrent.testing import simulate
from ctorrent.testing.fake_sandbox import HONEST, PROGRAMS, Behaviour, FakeSandbox
from ctorrent.testing.fake_swarm import open_swarm
from ctorrent.verify.checks import Judge, Judged, Vouch, Vouched
from ctorrent.verify.comparer import Compared, CompareOutputs
from ctorrent.verify.rulings import YES, Said, draw_of

JOB = "python: mix.py:mix\nblocks: {grid: {n: [0, 1, 2, 3]}}\nverify: {check: judge.py:right, equal: {script: same.py:same}}\n"
BOB = NodeId("bob")
Body = Callable[["Desk"], Awaitable[None]]
FLIPS = random.Random(7)


def right(output: Any, params: dict[str, Any], draw: int) -> Any:
    if output == "wavers":
        return FLIPS.random() < 0.5
    return {"good": True, "bad": False, "none": None}[output] if isinstance(output, str) else output == [params["n"], draw]


def vouching(output: Any, params: dict[str, Any], draw: int) -> Any:
    return isinstance(output, int)


def same(one: Any, other: Any) -> Any:
    return abs(one - other) < 2 or "too far apart"


class Desk:
    """A judging at work, and what it told."""

    def __init__(self, judging: Judging, sandbox: FakeSandbox, record: Any) -> None:
        self.judging, self.sandbox, self.record = judging, sandbox, record
        self.told: list[Answer] = []
        self.came = trio.Event()

    async def tell(self, answer: Answer) -> None:
        self.told.append(answer)
        self.came.set()
        self.came = trio.Event()

    async def answers(self, *wishes: Any) -> list[Answer]:
        for wish in wishes:
            self.judging.ask(wish)
        with trio.fail_after(600):
            while len(self.told) < len(wishes):
                await self.came.wait()
        found, self.told = self.told, []
        return found


def at_the_desk(tmp_path: Path, body: Body, behaviour: Behaviour = HONEST, **programs: Any) -> None:
    for name in ("mix.py:mix", "judge.py:right", "same.py:same"):
        file, _, function = name.partition(":")
        (tmp_path / file).write_text(f"def {function}({'output' if file == 'judge.py' else 'one, other' if file == 'same.py' else 'n'}): pass\n")

    async def main(simulation: simulate.Simulation) -> None:
        sandbox = FakeSandbox(simulation.dice("s"), {**PROGRAMS, "judge.py:right": right, "same.py:same": same, **programs}, behaviour)
        async with open_swarm(simulation) as swarm:
            ann = await swarm.add("ann", sandbox=sandbox)
            requester = ann.node.requester
            record, _ = await requester.submission.sample(tmp_path / "job.yaml", JOB, {})
            record.blocks = [replace(record.blocks[0], index=n, params=canon.encode({"n": n})) for n in range(4)]
            blobs: dict[int, bytes | None] = {2: value("good"), 3: None}

            async def load(index: int, worker: NodeId) -> bytes | None:
                assert worker == BOB
                return blobs[index]

            desk = Desk(None, sandbox, record)  # type: ignore[arg-type]
            desk.judging = Judging(ann.node.world, record, requester.selfrun, load, desk.tell)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(desk.judging.run)
                await body(desk)
                nursery.cancel_scope.cancel()
            assert sandbox.open_cells == 0

    simulate.run(1, main)


def value(thing: Any) -> bytes:
    return Outcome(canon.encode(thing)).output()


def judge(index: int, thing: Any) -> Judge:
    output = None if thing is None else value(thing)
    return Judge(index, BOB, output_digest(output or b""), output)


def test_each_wish_is_answered_with_what_the_function_said(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        secret = [1, draw_of(desk.record.draw_secret, 1)]
        things = ["good", "bad", "none", secret, None, None]
        found = await desk.answers(*(judge(index, thing) for index, thing in zip((0, 0, 0, 1, 2, 3), things, strict=True)))
        assert all(isinstance(answer, Judged) for answer in found)
        assert [answer.ruling.said for answer in found if isinstance(answer, Judged)] == [Said.YES, Said.NO, Said.BROKEN, Said.YES, Said.YES, Said.BROKEN]
        last = found[-1]
        assert isinstance(last, Judged) and last.ruling.words == "an output is gone, and was not judged"

    at_the_desk(tmp_path, body)


def test_a_no_that_is_not_said_twice_is_the_checks_own_fault(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        said = set()
        for _ in range(20):
            (answer,) = await desk.answers(judge(0, "wavers"))
            assert isinstance(answer, Judged)
            said.add((answer.ruling.said, answer.ruling.words))
        assert (Said.BROKEN, "judge.py:right answers now this and now that") in said

    at_the_desk(tmp_path, body)


def test_pairs_are_compared_and_one_cell_serves_all_until_nothing_is_asked(tmp_path: Path) -> None:
    def pair(one: int, other: int) -> CompareOutputs:
        outputs = [value(one), value(other)]
        return CompareOutputs((output_digest(outputs[0]), output_digest(outputs[1])), *outputs)

    async def body(desk: Desk) -> None:
        wishes = [pair(n, n + n % 4) for n in range(3 * BATCH)]
        found = await desk.answers(*wishes)
        assert [answer.pair for answer in found if isinstance(answer, Compared)] == [wish.pair for wish in wishes]
        assert [a.ruling.said is Said.YES for a in found if isinstance(a, Compared)] == [n % 4 < 2 for n in range(3 * BATCH)]
        assert desk.sandbox.open_cells == 1
        await trio.sleep(11)
        assert desk.sandbox.open_cells == 0, "others may want its memory"
        assert len(await desk.answers(pair(1, 1))) == 1

    at_the_desk(tmp_path, body)


def test_the_requesters_own_result_is_judged_before_anybody_is_refused(tmp_path: Path) -> None:
    async def honest(desk: Desk) -> None:
        assert await desk.answers(Vouch(1)) == [Vouched(1, YES)]

    at_the_desk(tmp_path, honest, **{"judge.py:right": vouching})

    async def wavering(desk: Desk) -> None:
        assert await desk.answers(Vouch(1)) == [Vouched(1, None)]

    at_the_desk(tmp_path, wavering, Behaviour(waver=1.0), **{"judge.py:right": vouching})


def test_a_node_that_can_open_no_cell_answers_so(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        first, second = await desk.answers(judge(0, "good"), Vouch(0))
        assert isinstance(first, Judged) and first.ruling.said is Said.IMPOSSIBLE and "sandbox does not start" in first.ruling.words
        assert second == Vouched(0, None)

    at_the_desk(tmp_path, body, Behaviour(broken=True))
