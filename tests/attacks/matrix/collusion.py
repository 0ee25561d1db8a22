"""What colluders tell each other: who holds which block, and what was signed for it already."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from .truth import COLLUDING, RIGHT

if TYPE_CHECKING:
    from ctorrent.model.ids import NodeId

    from .actor import Actor, Unit

DECIDING = 2  # equal answers settle a block under every policy here where others did not answer before
HOLD_S = 2.0  # where replicas are out at once a friend has its own by then; longer costs blocks and wins nothing
MARGIN_S = 1.5  # before a lease's end
LATE_S = 12.0  # after it: the block was handed to the next by then
# every other unit of each is late: three leases in a row that run out would end its engagement


@dataclass(slots=True)
class _Shared:
    """One block of which somebody here was given a replica."""

    holding: dict[NodeId, None] = field(default_factory=dict)
    lied: int = 0
    honest: int = 0


class Plot:
    """Of all colluders of one job. at_once: are a block's replicas handed out together, as far as they know the policy?

    Where they come one after the other a friend gets a block only when the lease of the one before is over, so every
    other unit of each is held until after that, in the hope that its late result is taken, too.
    """

    def __init__(self, dice: random.Random, at_once: bool) -> None:
        self.late = not at_once
        self.chances = 0  # blocks of which they could decide
        self._dice = dice
        self._blocks: dict[int, _Shared] = {}
        self._was_late: dict[NodeId, bool] = {}
        self._taken: dict[int, bool] = {}
        self._held: dict[int, tuple[Actor, Unit]] = {}  # by id(unit): run, and not yet committed

    def given(self, actor: Actor, unit: Unit) -> None:
        for index in unit.indices:
            self._blocks.setdefault(index, _Shared()).holding[actor.id] = None
        ripe = [key for key, (_, held) in self._held.items() if any(index in unit.indices for index in held.indices)]
        for key in ripe:
            if key in self._held:
                self._look(*self._held[key])

    def done(self, actor: Actor, unit: Unit) -> None:
        """Its time has passed: commit at once where nothing can be won by waiting."""
        if all(index in actor.said for index in unit.indices):
            actor.commit(unit)
            return
        self._held[id(unit)] = actor, unit
        self._look(actor, unit)
        if id(unit) in self._held:
            self._set_timer(actor, unit)

    def _set_timer(self, actor: Actor, unit: Unit) -> None:
        now = trio.current_time()
        late = self.late and not self._was_late.get(actor.id, True)
        self._was_late[actor.id] = late
        until = unit.ends + LATE_S if late else now if self.late else min(unit.ends - MARGIN_S, now + HOLD_S)
        actor.crowd.at(max(now, until), lambda: actor.commit(unit))

    def _look(self, actor: Actor, unit: Unit) -> None:
        """Commit when a friend holds all of it too, or nothing can be decided any more."""
        if all(self._decides(index) or self._blocks[index].honest for index in unit.indices):
            actor.commit(unit)

    def _decides(self, index: int) -> bool:
        shared = self._blocks[index]
        return not shared.honest and len(shared.holding) + shared.lied >= DECIDING

    def answer(self, actor: Actor, index: int, share: float) -> int:
        shared = self._blocks.setdefault(index, _Shared({actor.id: None}))
        shared.holding.setdefault(actor.id)
        lie = self._decides(index) and self._takes(index, share)
        if lie:
            shared.lied += 1
        else:
            shared.honest += 1
        return COLLUDING if lie else RIGHT

    def _takes(self, index: int, share: float) -> bool:
        if index not in self._taken:
            self.chances += 1
            self._taken[index] = self._dice.random() < share
        return self._taken[index]

    def forgotten(self, actor: Actor, unit: Unit) -> None:
        self._held.pop(id(unit), None)
        for index in unit.indices:
            shared = self._blocks.get(index)
            if shared is not None:
                shared.holding.pop(actor.id, None)
