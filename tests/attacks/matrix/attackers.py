"""How workers behave: the honest one, and every way of cheating with answers. What they do to logs is in ledgers.py.

A conduct is asked when a unit came, when its time has passed, and what to answer to each block; the actor does the rest.
Attackers know this project's code and the policy they are up against. Collusion.py holds what colluders tell each other.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import trio

from ctorrent.seal import digest

from .truth import COLLUDING, OWN, RIGHT

if TYPE_CHECKING:
    from ctorrent.model.session import Billed

    from .actor import Actor, Unit
    from .collusion import Plot

LOOK_S = 2.0  # how often a copier looks whether there is something to copy
MARGIN_S = 1.5  # before a lease's end


class Conduct:
    """An honest worker: now and then a block of its comes out wrong, each time another way."""

    hostile = False

    def __init__(self, error: float = 0.0) -> None:
        self.error = error

    def given(self, actor: Actor, unit: Unit) -> None:
        """A unit came."""

    def works(self, actor: Actor, unit: Unit) -> bool:
        """Does it begin this unit at all?"""
        return True

    def done(self, actor: Actor, unit: Unit) -> None:
        """A unit's time has passed: commit now, or later."""
        actor.commit(unit)

    def answer(self, actor: Actor, unit: Unit, index: int) -> int:
        """Which answer it signs for a block; see truth.py."""
        return self.honestly(actor)

    def honestly(self, actor: Actor) -> int:
        if actor.crowd.wavering and actor.dice.random() < actor.crowd.wavering:
            return COLLUDING  # the program's doing: two values, as where threads race
        return OWN + actor.dice.getrandbits(30) if self.error and actor.dice.random() < self.error else RIGHT

    def claimed_s(self, actor: Actor, unit: Unit) -> float:
        """How long it says that the unit took."""
        return float(len(unit.indices))

    def keeps(self, actor: Actor, unit: Unit) -> bool:
        """Does it go on with a unit that was revoked?"""
        return False

    def forgotten(self, actor: Actor, unit: Unit) -> None:
        """A unit was returned or dropped."""

    def sent_away(self, actor: Actor) -> None:
        """The requester wants it no more."""

    def billed(self, actor: Actor, message: Billed) -> None:
        """A receipt to sign; this one leaves it."""


class Liar(Conduct):
    """Wrong in a share of its blocks; asked for one again, it says the same again.

    own: its own wrong answer, not the one that all liars give. together: all liars lie in the same blocks.
    recants: where it is asked for a block again it tells the truth. patience: honest for so many blocks first.
    """

    hostile = True

    def __init__(self, share: float, own: bool = False, together: bool = False, recants: bool = False, patience: int = 0) -> None:
        super().__init__()
        self.share, self.own, self.together, self.recants, self.patience = share, own, together, recants, patience

    def answer(self, actor: Actor, unit: Unit, index: int) -> int:
        before = actor.said.get(index)
        if before is not None:
            return RIGHT if self.recants else before
        if actor.returned < self.patience or self._dice(actor, index).random() >= self.share:
            return self.honestly(actor)
        return OWN + actor.number if self.own else COLLUDING

    def _dice(self, actor: Actor, index: int) -> random.Random:
        if not self.together:
            return actor.dice
        return random.Random(digest("matrix/together", actor.crowd.simulation.seed.to_bytes(8, "big"), index.to_bytes(8, "big")))


class Coordinated(Conduct):
    """Colluders who tell each other what they hold, and lie only about blocks of which they hold a deciding majority.

    They hold answers back for as long as that can win them one; how long, collusion.py says. share: of such chances they
    take.
    """

    hostile = True

    def __init__(self, plot: Plot, share: float = 1.0) -> None:
        super().__init__()
        self.plot, self.share = plot, share

    def given(self, actor: Actor, unit: Unit) -> None:
        self.plot.given(actor, unit)

    def done(self, actor: Actor, unit: Unit) -> None:
        self.plot.done(actor, unit)

    def answer(self, actor: Actor, unit: Unit, index: int) -> int:
        before = actor.said.get(index)
        return before if before is not None else self.plot.answer(actor, index, self.share)

    def keeps(self, actor: Actor, unit: Unit) -> bool:
        """A lease that is over is not the end: its result is taken while the block is open."""
        return self.plot.late and trio.current_time() >= unit.ends - 1.0

    def forgotten(self, actor: Actor, unit: Unit) -> None:
        self.plot.forgotten(actor, unit)


class Whitewasher(Liar):
    """A liar that comes back under a new identity, owner included, as soon as it is sent away."""

    def sent_away(self, actor: Actor) -> None:
        actor.crowd.reborn(actor)


class Vanisher(Conduct):
    """Bids, is engaged, takes what it gets and returns nothing; half of them hang up and come back."""

    hostile = True

    def works(self, actor: Actor, unit: Unit) -> bool:
        if actor.number % 2 and actor.line is not None:
            line = actor.line
            actor.crowd.later(1.0, line.lose)
        return False


class Copier(Conduct):
    """Runs nothing: a leaky coordinator shows it what others answered, and it says the same; else it makes something up.

    It waits for such an answer until shortly before its lease ends, at most `wait_s`.
    """

    hostile = True
    wait_s = 30.0

    def given(self, actor: Actor, unit: Unit) -> None:
        actor.has_run(unit)  # it takes no time, but is a replica that the requester asked for, and would pay
        unit.began = trio.current_time()
        self.done(actor, unit)

    def works(self, actor: Actor, unit: Unit) -> bool:
        return False

    def done(self, actor: Actor, unit: Unit) -> None:
        now = trio.current_time()
        leak = actor.crowd.leak
        if all(index in leak for index in unit.indices) or now + LOOK_S >= min(unit.ends - MARGIN_S, unit.began + self.wait_s):
            actor.commit(unit)
        else:
            actor.crowd.later(LOOK_S, lambda: self.done(actor, unit))

    def answer(self, actor: Actor, unit: Unit, index: int) -> int:
        return actor.crowd.leak.get(index, OWN + actor.number)
