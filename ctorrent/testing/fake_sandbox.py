"""ports.Sandbox that calls plain functions instead of processes, and can be told to lie, crash, dawdle or waver.

A program is named by its entry ("pi.py:estimate") or, for commands, by its first word, and is a function of
(params, seed): `programs["pi.py:estimate"](params, seed)` returns any value that has a canonical form, or raises.
Reducers are functions of the list of values, checks of (output, params, draw), comparators of two outputs. Time passes on the simulation's clock only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from ctorrent import canon
from ctorrent.errors import LocalError
from ctorrent.model.job import Isolation, ProgramKind
from ctorrent.model.offer import EnvironmentInfo
from ctorrent.model.result import Failure, FailureKind, Outcome, Usage, output_digest
from ctorrent.ports import BlockInput, CellSpec
from ctorrent.seal import digest

Function = Callable[..., Any]


def mix(params: dict[str, Any], seed: int) -> int:
    """A tiny program: a number that only its parameters and seed decide."""
    raw = digest("ctorrent/testing/mix/1", canon.encode(params), seed.to_bytes(8, "big"))
    return int.from_bytes(raw[:4], "big")


def plain(params: dict[str, Any], seed: int) -> int:
    """A tiny program that asks for no seed."""
    return mix(params, 0)


PROGRAMS: Mapping[str, Function] = {"mix.py:mix": mix, "plain.py:plain": plain, "mix.py:total": sum}
SAME_ALWAYS = frozenset({"plain.py:plain"})  # of them, those that another seed would not change
CLOCK: frozenset[str] = frozenset()  # and those that read the clock


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a worker's sandbox behaves. Chances are per block."""

    block_s: tuple[float, float] = (0.05, 0.2)  # how long a block takes
    start_s: float = 0.05  # how long a cell takes to open
    lie: float = 0.0  # a wrong answer, the same one from every liar (they collude)
    lie_alone: float = 0.0  # a wrong answer, its own
    leak: float = 0.0  # a program not safe to run with others: the answer depends on the block before it in its process
    waver: float = 0.0  # a program that is not deterministic: the answer differs from run to run
    crash: float = 0.0  # the process dies
    broken: bool = False  # no cell can be opened


HONEST = Behaviour()


@dataclass(slots=True)
class FakeSandbox:
    """ports.Sandbox."""

    dice: random.Random
    programs: Mapping[str, Function] = field(default_factory=lambda: PROGRAMS)
    behaviour: Behaviour = HONEST
    level: Isolation = Isolation.DOCKER
    gaps: tuple[str, ...] = ()
    environment: EnvironmentInfo | None = None
    open_cells: int = 0
    blocks_run: int = 0
    running: int = 0
    running_peak: int = 0  # units at once: never more than the slots this machine sold

    def commands(self) -> bool:
        return True

    def environments(self) -> tuple[EnvironmentInfo, ...]:
        return (self.environment or environment(),)

    async def open(self, spec: CellSpec) -> FakeCell:
        await trio.sleep(self.behaviour.start_s)
        if self.behaviour.broken:
            raise LocalError("the sandbox does not start.", "Run `ctorrent doctor`.")
        self.open_cells += 1
        return FakeCell(self, spec)

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


def environment(name: str = "base", python: str = "3.11.9", packages: tuple[tuple[str, str], ...] = ()) -> EnvironmentInfo:
    words = canon.encode([python, "x86_64", [list(p) for p in packages]])
    fingerprint = output_digest(words)
    return EnvironmentInfo(name, fingerprint, python, "x86_64", packages)


class FakeCell:
    """ports.Cell."""

    def __init__(self, sandbox: FakeSandbox, spec: CellSpec) -> None:
        self.level = sandbox.level
        self._sandbox, self._spec = sandbox, spec
        self._closed = False

    async def run(self, unit: Sequence[BlockInput], log: Callable[[int, bytes], None] | None = None) -> list[Outcome]:
        sandbox = self._sandbox
        sandbox.running += 1
        sandbox.running_peak = max(sandbox.running_peak, sandbox.running)
        try:
            outcomes = []
            for at, block in enumerate(unit):
                outcomes.append(self._leak(await self._block(block), unit[at - 1] if at else None))
                if log is not None:
                    log(block.index, f"block {block.index} ran\n".encode()[: self._spec.limits.log_bytes])
            return outcomes
        finally:
            sandbox.running -= 1

    async def _block(self, block: BlockInput) -> Outcome:
        sandbox, limits = self._sandbox, self._spec.limits
        if self._closed:
            raise LocalError("the cell is closed")
        took_s = sandbox.dice.uniform(*sandbox.behaviour.block_s)
        await trio.sleep(min(took_s, limits.block_s))
        sandbox.blocks_run += 1
        usage = Usage(cpu_s=took_s, wall_s=took_s, peak_bytes=16 << 20, same_always=self._entry() in SAME_ALWAYS, clock=self._entry() in CLOCK)
        if took_s > limits.block_s:
            return Outcome(None, Failure(FailureKind.TIME), usage)
        if sandbox.dice.random() < sandbox.behaviour.crash:
            return Outcome(None, Failure(FailureKind.KILLED, "SIGKILL"), usage)
        try:
            params = canon.decode(block.params)
        except canon.CanonError as error:  # a requester chose them
            return Outcome(None, Failure(FailureKind.EXCEPTION, "CanonError", str(error)), usage)
        outcome = self._call(self._entry(), (params, block.seed), usage)
        return self._bend(outcome)

    def _entry(self) -> str:
        program = self._spec.program
        return program.entry if program.kind is ProgramKind.PYTHON else program.argv[0]

    def _call(self, entry: str, arguments: tuple[Any, ...], usage: Usage) -> Outcome:
        function = self._sandbox.programs.get(entry)
        if function is None:
            return Outcome(None, Failure(FailureKind.EXCEPTION, "FileNotFoundError", f"no {entry}"), usage)
        try:
            value = canon.encode(function(*arguments))
        except Exception as error:  # noqa: BLE001 - the user's program may raise anything: that is its outcome
            return Outcome(None, Failure(FailureKind.EXCEPTION, type(error).__name__, str(error)), usage)
        if len(value) > self._spec.limits.output_bytes:
            return Outcome(None, Failure(FailureKind.OUTPUT), usage)
        return Outcome(value, None, usage)

    def _bend(self, outcome: Outcome) -> Outcome:
        """Make an honest outcome wrong, as told."""
        dice, behaviour = self._sandbox.dice, self._sandbox.behaviour
        if outcome.value is None:
            return outcome
        throws = [dice.random() for _ in range(3)]  # always three: one behaviour's dice do not shift another's
        if throws[0] < behaviour.lie:
            return Outcome(canon.encode(["a lie", output_digest(outcome.value)[:4]]), None, outcome.usage)
        if throws[1] < behaviour.lie_alone or throws[2] < behaviour.waver:
            return Outcome(canon.encode(["nonsense", dice.getrandbits(32)]), None, outcome.usage)
        return outcome

    def _leak(self, outcome: Outcome, before: BlockInput | None) -> Outcome:
        """What the block before it left in the process shows."""
        if before is None or outcome.value is None:
            return outcome
        left = output_digest(outcome.value + before.params)  # the same wherever the same two blocks follow each other
        if int.from_bytes(left[:4], "big") >= self._sandbox.behaviour.leak * 2**32:
            return outcome
        return Outcome(canon.encode(["leaked", left[4:8]]), None, outcome.usage)

    async def reduce(self, entry: str, values: Sequence[bytes]) -> Outcome:
        await trio.sleep(self._sandbox.behaviour.block_s[0])
        return self._call(entry, ([canon.decode(value) for value in values],), Usage())

    async def check(self, entry: str, cases: Sequence[BlockInput]) -> list[Outcome]:
        found = []
        for case in cases:
            output, draw = (canon.decode(value) for value in case.values)
            found.append(await self._judged(entry, (output, canon.decode(case.params), draw)))
        return found

    async def compare(self, entry: str, cases: Sequence[BlockInput]) -> list[Outcome]:
        return [await self._judged(entry, tuple(canon.decode(value) for value in case.values[:2])) for case in cases]

    async def _judged(self, entry: str, arguments: tuple[Any, ...]) -> Outcome:
        if self._closed:
            raise LocalError("the cell is closed")
        await trio.sleep(self._sandbox.behaviour.block_s[0])
        return self._call(entry, arguments, Usage())

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._sandbox.open_cells -= 1
        await trio.lowlevel.checkpoint()
