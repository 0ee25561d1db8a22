"""Which worker gets what, now: re-runs and lone blocks first, then first and second replicas, stragglers' copies last.

A worker is never told why it gets a block. Which replica it gets is drawn from the secret seed that it cannot see.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from ctorrent.dispatch.blocks import Blocks, Owners, Queues
from ctorrent.dispatch.shares import Shares
from ctorrent.dispatch.steps import Steps
from ctorrent.dispatch.units import Unit, Units
from ctorrent.dispatch.words import Assign, Effect, NoReplica, Rules, Terms
from ctorrent.dispatch.workers import Worker
from ctorrent.model.ids import NodeId


class Handout:
    """The part of dispatch that gives blocks away. Shares its records with the machine, which changes them too."""

    def __init__(self, terms: Terms, rules: Rules, draw: random.Random, first_unit: int, steps: Steps) -> None:
        self.blocks = Blocks()
        self.workers: dict[NodeId, Worker] = {}
        self.units = Units(first_unit, rules.expired_max)
        self.shares = Shares(rules)
        self.coalesce = terms.coalesce
        self.others = True  # is another owner within reach?
        self.wait_s = 0.0  # how long for, at least
        self.next_look = 0.0
        self._terms, self._rules, self._draw, self._steps = terms, rules, draw, steps
        self._fit: bool | None = None  # of this turn
        self._stuck: dict[Owners, float] = {}  # since when nobody may take what waits there

    def run(self, now: float, out: list[Effect]) -> None:
        """Give what can be given; look round now and then."""
        self._fit = None
        self._feed(now, out)
        if now >= self.next_look:
            self._look(now, out)

    def wakeup(self) -> float | None:
        """When to run again if nothing happens."""
        if not self.workers:
            return None
        waits = self.blocks.tokens or self.units.flying or any(w.reruns for w in self.workers.values())
        return self.next_look if waits else None

    def _feed(self, now: float, out: list[Effect]) -> None:
        """Give every worker with credit what it may take, best first, one unit a turn so that scarce work spreads."""
        idle = [w for w in self.workers.values() if w.ready(now) and (self.blocks.tokens or w.reruns)]
        idle.sort(key=lambda w: (-w.weight, w.id))
        while idle:
            idle = [w for w in idle if self._give(w, now, out) and w.ready(now)]

    def _give(self, worker: Worker, now: float, out: list[Effect]) -> bool:
        """One unit for this worker. False: nothing for it."""
        while worker.reruns:
            index = worker.reruns.popleft()
            if self.blocks.hand_again(index):
                self._send(worker, (index,), True, now, out).rerun = True
                return True
        taken = self._from(self.blocks.urgent, worker, 1, now)
        if taken:
            self._send(worker, taken, True, now, out)
            return True
        taken = self._from(self.blocks.queues, worker, self._unit_blocks(worker), now)
        if taken:
            self._send(worker, taken, len(taken) == 1, now, out)
        return bool(taken)

    def _unit_blocks(self, worker: Worker) -> int:
        """How many blocks its next unit may have: its own size, but a guided share of what is left."""
        if not self.coalesce:
            return 1
        slots = sum(w.slots for w in self.workers.values() if w.here and not w.avoided)
        share = -(-self.blocks.tokens // (2 * max(1, slots)))
        least = min(self._rules.unit_least, -(-self.blocks.tokens // max(1, slots)))
        return max(1, min(worker.size, max(share, least)))

    def _from(self, queues: Queues, worker: Worker, count: int, now: float) -> list[int]:
        """A slice of a queue this worker may take, drawn by length: so nobody can time its way to a friend's blocks.

        First replicas count only as many as second ones may hide among: the fewer blocks are open, the less is held.
        """
        bytes_max, planned = self._rules.unit_bytes_max, self.blocks.planned
        room = self.shares.room(worker, planned)
        if not room and len(self.workers) > self._rules.many_workers and self._many_fit(now):
            return []
        hide = max(self._rules.hide_min, 2 * self.units.blocks)
        keys = [key for key, queue in queues.items() if queue and worker.owner not in key]
        while keys:
            key = keys.pop(self._pick([len(queues[k]) if k else min(hide, len(queues[k])) for k in keys]))
            limit = count
            if room < count and self.shares.others_fit(key, self.workers.values(), planned, now):
                limit = room
            taken = self.blocks.take(queues, key, worker.owner, limit, bytes_max) if limit else []
            if taken:
                return taken
        return []

    def _many_fit(self, now: float) -> bool:
        """Among many workers no block has so many owners behind it that it matters which: asked once a turn."""
        if self._fit is None:
            self._fit = self.shares.others_fit((), self.workers.values(), self.blocks.planned, now)
        return self._fit

    def _pick(self, weights: list[int]) -> int:
        """A position, drawn in proportion to its weight."""
        if len(weights) == 1:
            return 0
        draw = self._draw.random() * sum(weights)
        for position, weight in enumerate(weights):
            draw -= weight
            if draw < 0:
                return position
        return len(weights) - 1

    def _send(self, worker: Worker, indices: Sequence[int], alone: bool, now: float, out: list[Effect]) -> Unit:
        losses = max(self.blocks.losses[index] for index in indices)
        lease_s = worker.lease_s(len(indices), losses, self._terms.block_s, self._rules)
        unit = self.units.open(worker.id, worker.owner, indices, now, lease_s, alone)
        worker.sent(len(indices), now)
        self.shares.add(worker, len(indices))
        self._steps.note(now, "assigned", worker.id, indices)
        out.append(Assign(unit.id, worker.id, indices, lease_s, alone))
        return unit


    def _look(self, now: float, out: list[Effect]) -> None:
        self.next_look = now + self._rules.look_s
        if self.blocks.tokens:
            self._look_for_owners(now, out)
        if not self.blocks.tokens:
            self._stuck.clear()
            self._copy_stragglers(now, out)

    def _look_for_owners(self, now: float, out: list[Effect]) -> None:
        """Replicas beyond the policy's count that no engaged owner may run wait a while, then quorum is told.

        Those of the policy wait for as long as it takes: how many owners must agree is the requester's word alone.
        """
        owners = {w.owner: None for w in self.workers.values() if w.here and not w.avoided}
        patience = max(self._rules.other_owner_s, self.wait_s) if self.others else 0.0
        lonely: list[int] = []
        for queues in (self.blocks.urgent, self.blocks.queues):
            for key in [k for k, queue in queues.items() if queue and self._is_extra(k) and all(o in k for o in owners)]:
                if not owners or now - self._stuck.setdefault(key, now) < patience:
                    continue
                lonely += self._drop(queues, key)
        waiting = [k for q in (self.blocks.urgent, self.blocks.queues) for k, queue in q.items() if queue]
        self._stuck = {k: t for k, t in self._stuck.items() if k in waiting and all(o in k for o in owners)}
        if lonely:
            out.append(NoReplica(lonely))

    def _is_extra(self, key: Owners) -> bool:
        """Did as many owners run what waits there as the policy asks for?"""
        return len(key) >= self._terms.replicas

    def _drop(self, queues: Queues, key: Owners) -> list[int]:
        blocks, out = self.blocks, []
        for index in queues.pop(key):
            if blocks.ran[index] is key and blocks.need[index] and not blocks.final[index]:
                blocks.drop_need(index)
                out.append(index)
        return out

    def _copy_stragglers(self, now: float, out: list[Effect]) -> None:
        """Idle workers near the end run copies of units that take far longer than the median says they should."""
        measured = sorted(w.est_s for w in self.workers.values() if w.est_s is not None)
        idle = [w for w in self.workers.values() if w.ready(now)]
        if not measured or not idle:
            return
        each = measured[len(measured) // 2]
        idle.sort(key=lambda w: (-w.weight, w.id))
        for unit in list(self.units.flying.values()):
            expected = self._rules.straggle_factor * each * len(unit.indices)
            if unit.copied or unit.copy or unit.rerun or now - unit.sent < max(expected, self._rules.straggle_min_s):
                continue
            for worker in idle:
                if self._copy(unit, worker, now, out):
                    break
            idle = [w for w in idle if w.ready(now)]

    def _copy(self, unit: Unit, worker: Worker, now: float, out: list[Effect]) -> bool:
        blocks = self.blocks
        todo = [i for i in unit.indices if not blocks.final[i] and worker.owner not in blocks.ran[i]]
        if not todo or not worker.ready(now):
            return False
        for index in todo:
            blocks.hand_copy(index, worker.owner)
        unit.copied = True
        self._send(worker, todo, unit.alone, now, out).copy = True
        return True
