"""One run: a row, a policy, a seed, a form. -> what was measured."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio

from ctorrent.node.hearing import Hearing
from ctorrent.testing import simulate
from ctorrent.testing.fake_swarm import open_swarm

from .attackers import Conduct
from .crowd import TALLIES_S, Crowd, watched
from .form import FORMS, Form
from .judge import Measured, measure
from .ledgers import Stage
from .policies import POLICIES, replaced
from .rows import ROWS, Row

Case = tuple[str, str, int]  # row, policy, seed
LOOK_S = 5.0  # how often a job's state is looked at


def play(row: str, policy: str, seed: int, form: Form | str) -> Measured:
    """Live through one run. A result depends on its arguments alone."""
    found = FORMS[form] if isinstance(form, str) else form
    gc.disable()  # a run makes no cycles to speak of: 130 MB at its end either way
    began = time.process_time()

    async def main(simulation: simulate.Simulation) -> Measured:
        async with open_swarm(simulation) as swarm:
            crowd = Crowd(simulation, swarm, found, POLICIES[policy])
            with watched(crowd), leaking(crowd, ROWS[row]):
                stage = ROWS[row].stage()
                state = await live(crowd, ROWS[row], stage)
                extra = await stage.close(crowd)
                return measure(crowd, ROWS[row], seed, state, time.process_time() - began, extra)

    return simulate.run(seed, main, limit_s=found.limit_s + 3600.0, steps_max=None)


def tried(asked: tuple[str, str, int, Form]) -> tuple[Case, Measured | None, str]:
    """One run, in a process of its own; or why it failed."""
    row, policy, seed, form = asked
    try:
        return (row, policy, seed), play(row, policy, seed, form), ""
    except Exception as error:  # noqa: BLE001  any bug in the code under attack is a result; the other runs go on
        return (row, policy, seed), None, _innermost(error)


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {str(error)[:300]}"


async def live(crowd: Crowd, row: Row, stage: Stage) -> str:
    """From the submission to the last tally. -> how the job ended."""
    form = crowd.form
    hostile = round(form.workers * form.hostile)
    crowd.wavering = row.wavering
    await crowd.open()
    await crowd.submit()
    for _ in range(form.workers - hostile):
        crowd.enter(Conduct(form.honest_error))
    row.fill(crowd, hostile)
    await stage.open(crowd)
    with trio.move_on_after(form.limit_s):
        while (state := str((await crowd.requester.node.door.job(crowd.name))["state"])) in ("waiting", "running"):  # noqa: ASYNC110  the door tells of states, not of events
            await trio.sleep(LOOK_S)
    crowd.over = True
    await trio.sleep(TALLIES_S)
    return state


@contextmanager
def leaking(crowd: Crowd, row: Row) -> Iterator[None]:
    """A coordinator that shows what was answered as soon as it has it."""
    if not row.leaks:
        yield
        return
    deliver = Hearing._deliver

    def shown(self: Hearing, effect: Any, *rest: Any) -> None:
        crowd.leaked(effect.worker, effect.indices)
        deliver(self, effect, *rest)

    with replaced(Hearing, "_deliver", shown):
        yield


if __name__ == "__main__":
    print(play(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]).line())
