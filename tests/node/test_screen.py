"""Jobs with a check, a script, or several classes of hardware: whole nodes on fake ports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from ctorrent import canon
from ctorrent.ledger.evidence import Proven, check
from ctorrent.model.evidence import Case, Evidence
from ctorrent.model.job import AmendmentKind
from ctorrent.model.result import Verdict
from ctorrent.node.bench import REFUSED_MAX
from ctorrent.node.exhibits import open_case, open_evidence
from ctorrent.testing import simulate
from ctorrent.testing.fake_hardware import machine
from ctorrent.testing.fake_sandbox import HONEST, PROGRAMS, Behaviour, FakeSandbox, mix
from ctorrent.testing.fake_swarm import FakeSwarm, Member, ended, open_swarm
from ctorrent.verify.calibrate import decode
from ctorrent.wire import codec
from tests.node.test_evidence import votes

LIAR = Behaviour(lie_alone=0.4)
JOB = "python: mix.py:mix\nblocks: {grid: {n: {from: 1, to: 24, steps: 24}}}\n"


def right(output: Any, params: dict[str, Any], draw: int) -> Any:
    return isinstance(output, int) or f"{output} is no number"


def stumbles(output: Any, params: dict[str, Any], draw: int) -> Any:
    if not isinstance(output, int):
        raise KeyError("x")
    return True


def same(one: Any, other: Any) -> Any:
    return one // 10 == other // 10


class Place:
    """A folder with the files that a job names, and machines whose sandboxes have the functions."""

    def __init__(self, folder: Path, simulation: simulate.Simulation, swarm: FakeSwarm, **functions: Any) -> None:
        self.folder, self.simulation, self.swarm = folder, simulation, swarm
        self.functions = {**PROGRAMS, "judge.py:right": right, "same.py:same": same, **functions}
        for name, asks in (("mix.py:mix", "n"), ("judge.py:right", "output"), ("same.py:same", "one, other")):
            file, _, function = name.partition(":")
            (folder / file).write_text(f"def {function}({asks}): pass\n")

    async def machine(self, name: str, behaviour: Behaviour = HONEST, function: Any = mix, **more: Any) -> Member:
        sandbox = FakeSandbox(self.simulation.dice(f"{name} sandbox"), {**self.functions, "mix.py:mix": function}, behaviour)
        return await self.swarm.add(name, sandbox=sandbox, **more)

    async def run(self, ann: Member, rest: list[Member], text: str) -> tuple[str, Any, list[Any]]:
        for one in rest:
            await self.swarm.befriend(ann, one)
        self.swarm.net.mesh()
        job = await ann.node.door.submit(str(self.folder / "job.yaml"), JOB + text, {})
        status = await ended(ann, job)
        rows = [dict(row) for row in await ann.node.door.results(job)]
        for row in rows:
            row |= {name: canon.decode(row[name]) for name in ("value", "params") if row[name]}
        return job, status, rows


def honest(rows: list[Any]) -> bool:
    return all(row["value"] == mix({"n": row["params"]["n"]}, row["seed"]) for row in rows)


async def paused(member: Member, job: str) -> Any:
    """Its status when it has stopped for a person."""
    while (status := await member.node.door.job(job))["state"] != "paused":
        assert status["state"] in ("waiting", "running"), status
        await trio.sleep(0.2)
    return status


def invalid(status: Any, worker: Member, word: str = "invalid") -> int:
    return sum(int(row[word]) for row in status["workers"] if row["node"] == worker.id)


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_liar_is_refused_by_the_check_even_where_nobody_repeats_its_work(tmp_path: Path, replicas: int) -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            place = Place(tmp_path, simulation, swarm)
            ann, ben = await place.machine("ann", work=replicas > 1), await place.machine("ben")  # else it does all alone
            eve = await place.machine("eve", LIAR)
            _, status, rows = await place.run(ann, [ben, eve], f"verify: {{check: judge.py:right, replicas: {replicas}}}\n")
            assert status["state"] == "settled", status
            assert honest(rows) and len(rows) == 24
            assert all(row["state"] == "settled" for row in rows)
            assert not invalid(status, ben)
            found.append(invalid(status, eve))
            cast = votes(ann)
            assert {vote.tally.worker for vote in cast} <= {eve.id}
            assert sum(vote.tally.invalid for vote in cast) == min(REFUSED_MAX, invalid(status, eve)), "its maker has it in the ledger"
            for vote, place in [(one, at) for one in cast for at in range(one.negatives) if one.verdict(at) is Verdict.INVALID]:
                leaf, case = ann.node.evidence.leaf(vote.tally.evidence_root, place), ann.node.evidence.case(vote.tally.job_tag)
                assert isinstance(leaf, Evidence) and isinstance(case, Case)
                shown = check(vote, place, open_evidence(leaf), open_case(case))
                assert isinstance(shown, Proven) and shown.testimony and shown.output, "signed by her; that it is wrong is Ann's word"

    found: list[int] = []
    for seed in range(4):
        simulate.run(seed, main)
    assert sum(found) >= 5, found


def test_a_check_that_a_liar_makes_stumble_accuses_nobody_and_the_lies_are_outvoted(tmp_path: Path) -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            place = Place(tmp_path, simulation, swarm, **{"judge.py:right": stumbles})
            ann, ben, cat = await place.machine("ann"), await place.machine("ben"), await place.machine("cat")
            eve = await place.machine("eve", LIAR)
            _, status, rows = await place.run(ann, [ben, cat, eve], "verify: {check: judge.py:right}\n")
            assert status["state"] == "settled" and honest(rows), status
            assert any("judge.py:right" in note for note in status["notes"]), status["notes"]
            for one in (ben, cat, eve):
                assert not invalid(status, one)

    simulate.run(1, main)


def test_a_check_that_refuses_everything_is_found_out_by_the_requesters_own_result(tmp_path: Path) -> None:
    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            place = Place(tmp_path, simulation, swarm, **{"judge.py:right": lambda *_: False})
            ann, ben = await place.machine("ann"), await place.machine("ben")
            _, status, rows = await place.run(ann, [ben], "verify: {check: judge.py:right}\n")
            assert status["state"] == "settled" and honest(rows), status
            assert any("refuses this machine's own result too" in note for note in status["notes"])
            assert not invalid(status, ben)

    simulate.run(1, main)


def test_a_script_says_what_is_the_same(tmp_path: Path) -> None:
    """Every machine has last digits of its own; only the script knows that they do not matter."""

    def wobbly(digit: int) -> Any:
        return lambda params, seed: mix(params, seed) // 10 * 10 + digit

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            place = Place(tmp_path, simulation, swarm)
            ann, ben, cat = [await place.machine(name, function=wobbly(n)) for n, name in enumerate(("ann", "ben", "cat"))]
            eve = await place.machine("eve", Behaviour(lie=0.3), function=lambda params, seed: 5)
            _, status, rows = await place.run(ann, [ben, cat, eve], "verify: {equal: {script: same.py:same}}\n")
            assert status["state"] == "settled" and status["cross_validated"], status
            assert all(row["value"] // 10 == mix({"n": row["params"]["n"]}, row["seed"]) // 10 for row in rows)

    for seed in range(3):
        simulate.run(seed, main)


@pytest.mark.parametrize(("ring", "end"), [("", "failed"), ("ring: public\n", "settled")], ids=["friends", "strangers"])
def test_a_script_that_always_fails_pauses_the_job_and_a_resumed_one_takes_equal_bytes(tmp_path: Path, ring: str, end: str) -> None:
    """Else its blocks would end disputed one by one, and the words would be about the program.

    Those that wobble end disputed among friends; among strangers the requester's own run is the last word.
    """

    def wobbly(digit: int) -> Any:
        return lambda params, seed: mix(params, seed) // 10 * 10 + (digit if params["n"] > 12 else 0)

    def broken(one: Any, other: Any) -> Any:
        raise KeyError("labels")

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            place = Place(tmp_path, simulation, swarm, **{"same.py:same": broken})
            ann, ben, cat = [await place.machine(name, function=wobbly(n)) for n, name in enumerate(("ann", "ben", "cat"))]
            for one in (ben, cat):
                await swarm.befriend(ann, one)
            swarm.net.mesh()
            job = await ann.node.door.submit(str(tmp_path / "job.yaml"), JOB + ring + "verify: {equal: {script: same.py:same}}\n", {})
            status = await paused(ann, job)
            assert "its script same.py:same fails on this machine's own results too (same.py:same raises" in status["reason"], status["reason"]
            assert "ctorrent resume" in status["reason"] and not status["disputed"], status
            await ann.node.door.resume(job)
            status = await ended(ann, job)
            assert status["state"] == end and status["settled"] >= 12, "nobody is blamed"
            assert not any(invalid(status, one) + invalid(status, one, "disputed") for one in (ben, cat))

    simulate.run(1, main)


def test_a_liar_whose_outputs_break_the_script_pauses_nobodys_job(tmp_path: Path) -> None:
    """Honest outputs are equal, so the script is asked of the liar's only, and fails on all of them."""

    def picky(one: Any, other: Any) -> Any:
        return one // 10 == other // 10  # a lie is a list

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            place = Place(tmp_path, simulation, swarm, **{"same.py:same": picky})
            ann, ben, cat = await place.machine("ann"), await place.machine("ben"), await place.machine("cat")
            eve = await place.machine("eve", Behaviour(lie_alone=1.0))
            _, status, rows = await place.run(ann, [ben, cat, eve], "verify: {equal: {script: same.py:same}}\n")
            assert status["state"] == "settled" and honest(rows), status

    simulate.run(1, main)


def test_two_classes_of_hardware_are_calibrated_signed_and_compared_by_what_was_fitted(tmp_path: Path) -> None:
    """Their floats differ by more than the job's silent 1e-6: without calibration every block would be disputed."""

    def rounded(factor: float) -> Any:
        return lambda params, seed: {"x": [mix(params, seed + k) * factor for k in range(20)]}

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            place = Place(tmp_path, simulation, swarm)
            one, other = {"function": rounded(1.0)}, {"function": rounded(1.0 + 2e-5), "hardware": machine(arch="aarch64")}
            ann, ben = await place.machine("ann", **one), await place.machine("ben", **one)
            cat, dan = await place.machine("cat", **other), await place.machine("dan", **other)
            _, status, rows = await place.run(ann, [ben, cat, dan], "")
            assert status["state"] == "settled" and status["cross_validated"], status
            assert all(row["state"] == "settled" for row in rows)
            links = [codec.open_amendment(sealed, ann.id) for sealed in amendments(ann)]
            (link,) = [link for link in links if link.kind is AmendmentKind.CALIBRATION]
            found = decode(await ann.blobs.get(link.blob, 1 << 20))
            assert len(found.pairs) == 3 and sum(fitted.exact for fitted in found.pairs.values()) == 2
            (across,) = [fitted for fitted in found.pairs.values() if not fitted.exact]
            assert across.rtol == pytest.approx(8e-5, rel=0.01)
            for worker in (ben, cat, dan):
                assert not invalid(status, worker, "disputed") and not invalid(status, worker)

    def amendments(member: Member) -> list[Any]:
        from ctorrent.node import records

        return [records.unpack_sealed(canon.decode(value)) for _, value in member.journal.scan("amendment")]

    for seed in range(3):
        simulate.run(seed, main)
