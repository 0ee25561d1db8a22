"""Deliberate faults, one for each invariant, that the sweep must find: proof that it looks.

Each is a context in which one function of the real code is wrong, as a plausible slip would make it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ctorrent.dispatch.machine import Dispatch
from ctorrent.market.capacity import Allotment, Capacity
from ctorrent.node import ends
from ctorrent.node.selfrun import SelfRun
from ctorrent.verify import words as q
from ctorrent.verify.ballot import Ballot, Compare, Split
from ctorrent.verify.quorum import Quorum

from .story import Plan


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

    def hasty(self: Quorum, verify: Any, rules: q.Rules | None = None, compare: Compare | None = None) -> None:
        init(self, replace(verify, replicas=1), rules, compare)

    return replaced(Quorum, "__init__", hasty)


def nobody_is_asked_again() -> AbstractContextManager[None]:
    """But those who ran a disputed block together with others."""

    def asked(self: Ballot, values: Split, limit: int) -> list[Any]:
        return [] if self.repeats else [r.worker for r in values.values if not r.alone]

    return replaced(Ballot, "doubted", asked)


@contextmanager
def an_answer_needs_no_repetition() -> Iterator[None]:
    """The requester holds a worker to an answer that it gave once."""

    def hasty(self: Quorum, verify: Any, rules: q.Rules | None = None, compare: Compare | None = None) -> None:
        init(self, verify, q.Rules(repeats=0), compare)

    init = Quorum.__init__
    with nobody_is_asked_again(), replaced(Quorum, "__init__", hasty):
        yield


def majorities_are_always_right() -> AbstractContextManager[None]:
    """The requester's own runs say otherwise, and it blames whoever was outvoted."""
    return replaced(Quorum, "_backs", lambda *_: True)


@contextmanager
def the_program_is_believed_deterministic() -> Iterator[None]:
    """The requester blames at once: it does not wait for the first blocks, nor ask for a disputed one again, nor run it
    twice itself."""

    async def no_check(self: SelfRun, record: Any, index: int, owner: Any) -> Any:
        found = await check(self, record, index, owner)
        if isinstance(found, q.SelfCheckFailed):
            return found
        return q.SelfChecked(index, found.worker, owner, found.fingerprint, (found.outputs[0],) * 2)

    def hasty(self: Quorum, verify: Any, rules: q.Rules | None = None, compare: Compare | None = None) -> None:
        init(self, verify, q.Rules(early_share=1.1, steady_share=1.1, contradictions_max=1 << 30, repeats=0), compare)

    check, init = SelfRun.check, Quorum.__init__
    with replaced(SelfRun, "check", no_check), nobody_is_asked_again(), replaced(Quorum, "__init__", hasty):
        yield


@dataclass(frozen=True, slots=True)
class Mutant:
    """`shows_in`: stories that can show the fault at all; the sweep need not live through the others.

    `first`: a seed that found it, looked at before the others.
    """

    invariant: str  # how the fault's words begin
    inject: Callable[[], AbstractContextManager[None]]
    shows_in: Callable[[Plan], bool]
    first: int = 0


MUTANTS: dict[str, Mutant] = {
    mutant.inject.__name__: mutant
    for mutant in (
        Mutant("never ended", lost_units_are_forgotten, lambda plan: plan.crashes, first=13),
        Mutant("oversold", capacity_is_lent_twice, lambda plan: plan.jobs > 1),
        Mutant("settled twice", a_restart_forgets_what_settled, lambda plan: plan.crashes),
        Mutant("wrong answer", the_first_answer_wins, lambda plan: plan.liars == "alone" and not plan.wavering),
        Mutant("slander", the_program_is_believed_deterministic, lambda plan: plan.wavering > 0),
        Mutant("slander", an_answer_needs_no_repetition, lambda plan: plan.wavering > 0),
        Mutant("slander", majorities_are_always_right, lambda plan: plan.liars == "together", first=99),
    )
}
