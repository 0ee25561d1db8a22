"""Fake sandboxes: honest ones agree, the others misbehave as told and no otherwise."""

from __future__ import annotations

import pytest
import trio

from ctorrent import canon
from ctorrent.errors import LocalError
from ctorrent.model.ids import Digest
from ctorrent.model.job import Limits, Needs, Program, ProgramKind
from ctorrent.model.result import FailureKind, Outcome
from ctorrent.ports import BlockInput, CellSpec
from ctorrent.testing import simulate
from ctorrent.testing.fake_clock import FakeClock
from ctorrent.testing.fake_hardware import FakeHardware
from ctorrent.testing.fake_sandbox import HONEST, Behaviour, FakeSandbox, environment, mix

BLOCKS = [BlockInput(n, n * n, canon.encode({"n": n})) for n in range(50)]


def spec(entry: str = "mix.py:mix", **limits: float) -> CellSpec:
    program = Program(ProgramKind.PYTHON, Digest(b"c" * 32), entry)
    return CellSpec("job", program, b"", environment(), Needs(), Limits(**limits), 0)  # type: ignore[arg-type]


def outcomes(behaviour: Behaviour, given: CellSpec | None = None, seed: int = 1, name: str = "x") -> list[Outcome]:
    async def main(simulation: simulate.Simulation) -> list[Outcome]:
        sandbox = FakeSandbox(simulation.dice(name), behaviour=behaviour)
        cell = await sandbox.open(given or spec())
        found = await cell.run(BLOCKS)
        await cell.aclose()
        assert sandbox.open_cells == 0 and sandbox.running == 0 and sandbox.blocks_run == len(BLOCKS)
        return found

    return simulate.run(seed, main)


def values(found: list[Outcome]) -> list[bytes | None]:
    return [outcome.value for outcome in found]


def test_honest_sandboxes_agree_and_are_right() -> None:
    right = [canon.encode(mix({"n": n}, n * n)) for n in range(50)]
    assert values(outcomes(HONEST)) == right
    assert values(outcomes(HONEST, seed=2, name="another")) == right


def test_colluders_tell_one_lie_and_loners_each_their_own() -> None:
    honest = values(outcomes(HONEST))
    one, other = (values(outcomes(Behaviour(lie=1.0), name=name)) for name in ("a", "b"))
    assert one == other and not set(one) & set(honest)
    one, other = (values(outcomes(Behaviour(lie_alone=1.0), name=name)) for name in ("a", "b"))
    assert not set(one) & set(other) and not set(one) & set(honest)
    some = values(outcomes(Behaviour(lie=0.2)))
    assert 2 <= sum(a != b for a, b in zip(some, honest, strict=True)) <= 20


def test_crashes_time_and_exceptions_are_typed_failures() -> None:
    assert {o.failure.kind for o in outcomes(Behaviour(crash=1.0)) if o.failure} == {FailureKind.KILLED}
    slow = Behaviour(block_s=(10.0, 10.0))
    assert {o.failure.kind for o in outcomes(slow, spec(block_s=1.0)) if o.failure} == {FailureKind.TIME}
    assert {o.failure.type for o in outcomes(HONEST, spec("nothing.py:here")) if o.failure} == {"FileNotFoundError"}
    assert {o.failure.kind for o in outcomes(HONEST, spec(output_bytes=1)) if o.failure} == {FailureKind.OUTPUT}


def test_a_broken_sandbox_says_what_to_do_and_a_reducer_reduces() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        with pytest.raises(LocalError, match="doctor"):
            await FakeSandbox(simulation.dice("b"), behaviour=Behaviour(broken=True)).open(spec())
        cell = await FakeSandbox(simulation.dice("r")).open(spec())
        total = await cell.reduce("mix.py:total", [canon.encode(n) for n in (1, 2, 3)])
        assert total.value == canon.encode(6)

    simulate.run(1, main)


def test_a_clock_counts_the_sleep_that_timers_do_not() -> None:
    async def main(simulation: simulate.Simulation) -> None:
        clock, other = FakeClock(simulation.dice("a")), FakeClock(simulation.dice("b"), skew_s=-3600)
        before = clock.now()
        await trio.sleep(5)
        clock.suspend(100)
        assert clock.now() - before == 105
        assert trio.current_time() == pytest.approx(5)
        assert clock.unix() - other.unix() == 3700
        assert clock.random_bytes(16) != other.random_bytes(16)
        assert (await FakeHardware().probe()).cores == 4

    simulate.run(1, main)
