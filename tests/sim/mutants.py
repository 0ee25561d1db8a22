"""Deliberate faults, one for each invariant, that the sweep must find: proof that it looks.

Each is a context in which one function of the real code is wrong, as a plausible slip would make it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from ctorrent.dispatch.machine import Dispatch
from ctorrent.market.capacity import Allotment, Capacity
from ctorrent.node import ends
from ctorrent.node.selfrun import SelfRun
from ctorrent.verify import words as q
from ctorrent.verify.quorum import Quorum


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def lost_units_are_forgotten() -> AbstractContextManager[None]:
    """What a dead worker held goes to nobody else."""
    return replaced(Dispatch, "_return_block", lambda *_: None)


def capacity_is_lent_twice() -> AbstractContextManager[None]:
    """Every job gets the whole machine."""
    return replaced(Capacity, "take", lambda self, needs, slots=1: Allotment(-1, needs, slots, ()))


def a_restart_forgets_what_settled() -> AbstractContextManager[None]:
    """After a crash the requester settles its blocks again."""
    return replaced(ends, "load_ends", lambda journal, job: iter(()))


def the_first_answer_wins() -> AbstractContextManager[None]:
    """A block is settled by whoever returns it first."""
    init = Quorum.__init__

    def hasty(self: Quorum, verify: Any, *rest: Any) -> None:
        init(self, replace(verify, replicas=1), *rest)

    return replaced(Quorum, "__init__", hasty)


def the_program_is_believed_deterministic() -> AbstractContextManager[None]:
    """The requester blames without having run the block twice itself."""

    async def no_check(self: SelfRun, record: Any, index: int, owner: Any) -> Any:
        found = await check(self, record, index, owner)
        if isinstance(found, q.SelfCheckFailed):
            return found
        return q.SelfChecked(index, found.worker, owner, found.fingerprint, (found.outputs[0],) * 2)

    check = SelfRun.check
    return replaced(SelfRun, "check", no_check)


MUTANTS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "never ended": lost_units_are_forgotten,
    "oversold": capacity_is_lent_twice,
    "settled twice": a_restart_forgets_what_settled,
    "wrong answer": the_first_answer_wins,
    "slander": the_program_is_believed_deterministic,
}
