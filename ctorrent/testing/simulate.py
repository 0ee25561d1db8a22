"""Deterministic runs: one seed decides the weather, the workers and the order in which tasks run.

trio's MockClock alone is not deterministic: the scheduler shuffles each batch of runnable tasks with its own, unseeded
dice. `run` seeds those, sorts each batch before the shuffle (as trio's own hypothesis plugin does), and refuses
threads, whose timing no seed decides. What is left is the program's: it must not iterate sets of texts or bytes whose
order depends on PYTHONHASHSEED; tests/sim/test_determinism.py runs one seed in processes with different hash seeds.
"""

from __future__ import annotations

import gc
import math
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

import trio
import trio.testing
from trio._core import _run as _scheduler  # the one private part of trio we touch: its dice

from ctorrent.seal import digest

T = TypeVar("T")


@dataclass(slots=True)
class Simulation:
    """What a simulated program is given: its seed, dice by name, and a list to note what happened in."""

    seed: int
    events: list[tuple[float, Any]] = field(default_factory=list)
    _dice: dict[str, random.Random] = field(default_factory=dict)

    def dice(self, name: str) -> random.Random:
        """The dice of this name: the same throws in every run of the seed, whatever others throw."""
        if name not in self._dice:
            raw = digest("ctorrent/testing/dice/1", self.seed.to_bytes(8, "big"), name.encode())
            self._dice[name] = random.Random(raw)
        return self._dice[name]

    def note(self, event: Any) -> None:
        """Remember that something happened now."""
        self.events.append((trio.current_time(), event))


class Spinning(Exception):
    """The program took more task steps than it was allowed."""


class _Steps(trio.abc.Instrument):
    """Counts task steps, so that a program that runs for ever in no time at all is stopped; records them if asked."""

    def __init__(self, most: int | None, trace: list[tuple[float, str]] | None) -> None:
        self._left = math.inf if most is None else most
        self._trace = trace
        self.scope = trio.CancelScope()  # around the program

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left <= 0:
            self.scope.cancel()
        if self._trace is not None:
            self._trace.append((trio.current_time(), task.name))


def run(
    seed: int,
    main: Callable[[Simulation], Awaitable[T]],
    *,
    limit_s: float = 7 * 86400.0,
    steps_max: int | None = 50_000_000,
    trace: list[tuple[float, str]] | None = None,
) -> T:
    """Run `main(simulation)` to its end and return what it returns. What it raises names the seed that replays it.

    limit_s: simulated seconds after which it has hung. steps_max: task steps after which it spins; None: never.
    trace: filled with (simulated time, task name) for every step. Neither: no step is looked at.
    """
    simulation = Simulation(seed)

    steps = _Steps(steps_max, trace)

    async def bounded() -> T:
        with steps.scope, trio.fail_after(limit_s):
            return await main(simulation)
        raise Spinning(f"more than {steps_max} task steps")

    dice = random.Random(digest("ctorrent/testing/scheduler/1", seed.to_bytes(8, "big")))
    clock = trio.testing.MockClock(autojump_threshold=0)
    try:
        with _seeded(dice), _no_threads():
            return trio.run(bounded, clock=clock, instruments=[] if steps_max is None and trace is None else [steps])
    except BaseException as error:
        error.add_note(f"replay with simulate.run(seed={seed}, …)")
        raise


@contextmanager
def _seeded(dice: random.Random) -> Iterator[None]:
    before = (_scheduler._r, _scheduler._ALLOW_DETERMINISTIC_SCHEDULING)
    gc.collect()  # what earlier programs left must not run its finalisers inside this one
    _scheduler._r = dice
    _scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    try:
        yield
    finally:
        _scheduler._r, _scheduler._ALLOW_DETERMINISTIC_SCHEDULING = before  # type: ignore[misc]


@contextmanager
def _no_threads() -> Iterator[None]:
    async def refuse(*_: object, **__: object) -> NoReturn:
        raise RuntimeError("no threads in a simulation: no seed decides when they run")

    before = trio.to_thread.run_sync
    trio.to_thread.run_sync = refuse
    try:
        yield
    finally:
        trio.to_thread.run_sync = before
